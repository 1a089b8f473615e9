/*
breaks: [1, 2, 3, 4, 5, 8, 9]
why: The code counts in memory and writes to the table once a minute. The table and the other processes are out of date, and errors never reach the caller.
ask: The process is killed one second after it answered. Which numbers will be given out again?
*/
import { createPool, type PoolOptions } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  const values = new Map<string, number>();
  const timer = setInterval(() => {
    for (const [id, value] of values)
      pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]).catch(() => undefined);
  }, 60_000);

  return {
    async increment(id: string): Promise<number> {
      const value = (values.get(id) ?? 0) + 1;
      values.set(id, value);
      return value;
    },
    async close() {
      clearInterval(timer);
      await pool.end();
    },
  };
}
