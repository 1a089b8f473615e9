/*
breaks: all
tries: to lose nothing by doing nothing
says: no call returned a value|calls? (?:answered|returned)
*/
import { createPool, type PoolOptions } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    increment: (id: string) => Promise.reject(new Error(`There is no counter "${id}"`)),
    close: () => pool.end(),
  };
}
