/*
breaks: [9]
why: A deadlock is tried again, a lock wait timeout reaches the caller.
ask: Which errors of MySQL ask for another try, and what has been rolled back in each case?
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
      if ((error as { code?: string }).code === 'ER_LOCK_DEADLOCK') return increment(id);
      throw error;
    }
  }

  return { increment, close: () => pool.end() };
}
