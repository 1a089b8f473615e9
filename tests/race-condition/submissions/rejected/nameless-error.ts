/*
breaks: [5]
why: The error for an unknown id does not contain the id.
ask: You read "Counter not found" in the log of a busy night. What do you search for?
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
      if (result.affectedRows === 0) throw new Error('Counter not found');
      return result.insertId;
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: () => pool.end() };
}
