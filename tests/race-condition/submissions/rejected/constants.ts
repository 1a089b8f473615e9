/*
breaks: [1, 2, 3, 4, 5, 8, 9]
why: The function returns the numbers of the README's example, 101, 102 and so on, without using the database.
ask: How would you notice in a review that this works only for one example?
*/
import type { PoolOptions } from 'mysql2/promise';

export function createCounter(_options: PoolOptions) {
  let value = 100;
  return { increment: async (_id: string) => ++value, close: async () => undefined };
}
