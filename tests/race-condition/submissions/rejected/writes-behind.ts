/*
breaks: [1, 2, 3, 4, 5, 8, 9]
why: Counts in memory and writes later: fast, and the table, the other process and every error hear of it too late.
ask: The process is killed a second after it has answered. Which numbers are given again?
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
