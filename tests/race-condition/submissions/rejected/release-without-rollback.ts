/*
breaks: [4]
why: The connection goes back to the pool with its transaction open, and keeps the row locked until somebody reuses it.
ask: What does release() do to an open transaction?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [
        id,
      ]);
      if (!row) throw new Error(`There is no counter "${id}"`);
      await connection.query('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
      await connection.commit();
      return row.value + 1;
    } finally {
      connection.release();
    }
  }

  async function increment(id: string): Promise<number> {
    for (let left = 5; ; left--) {
      try {
        return await attempt(id);
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (left === 0 || (errno !== 1205 && errno !== 1213)) throw error;
      }
    }
  }

  return { increment, close: () => pool.end() };
}
