/*
breaks: [6]
why: close() comes back, but every connection of the pool stays open.
ask: A deploy starts new instances and stops old ones. How many connections does the server count after ten of them?
*/
import { createPool, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function increment(id: string): Promise<number> {
    try {
      const [result] = await pool.execute<ResultSetHeader>(
        'UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?',
        [id],
      );
      if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
      return result.insertId;
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: async () => undefined };
}
