/*
breaks: [5]
why: INSERT … ON DUPLICATE KEY UPDATE makes a counter of every misspelt id.
ask: Somebody mistypes a series. When is that noticed, and by whom?
*/
import { createPool, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function increment(id: string): Promise<number> {
    try {
      const [result] = await pool.query<ResultSetHeader>(
        'INSERT INTO counters (id, value) VALUES (?, LAST_INSERT_ID(1)) ON DUPLICATE KEY UPDATE value = LAST_INSERT_ID(value + 1)',
        [id],
      );
      return result.insertId;
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: () => pool.end() };
}
