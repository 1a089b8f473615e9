/*
breaks: all
tries: to fill the judge's memory with one answer
says: does not come across
*/
import { createPool, type PoolOptions } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    increment: async (_id: string) => '1'.repeat(200 * 1024 * 1024),
    close: () => pool.end(),
  };
}
