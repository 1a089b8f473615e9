/*
breaks: [5]
why: For an unknown id, the UPDATE matches no row. LAST_INSERT_ID() then still returns the last number of this connection, and the call succeeds with it.
ask: What does SELECT LAST_INSERT_ID() return after an UPDATE that matched no row?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
    const connection = await pool.getConnection();
    try {
      await connection.query('UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?', [id]);
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT LAST_INSERT_ID() AS value');
      if (row!.value === 0) throw new Error(`There is no counter "${id}"`);
      return row!.value;
    } finally {
      connection.release();
    }
  }

  async function increment(id: string): Promise<number> {
    try {
      return await attempt(id);
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: () => pool.end() };
}
