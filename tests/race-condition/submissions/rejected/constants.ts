/*
breaks: [1, 2, 3, 4, 5, 8, 9]
why: Returns the numbers 101, 102, … that an example shows, without a database.
ask: How would you notice in a review that this works for one example only?
*/
import type { PoolOptions } from 'mysql2/promise';

export function createCounter(_options: PoolOptions) {
  let value = 100;
  return { increment: async (_id: string) => ++value, close: async () => undefined };
}
