/*
breaks: [4, 5]
why: On an error, the connection is never released. After as many errors as the pool has connections, every call hangs.
ask: Follow one failing call line by line. Where is its connection afterwards?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function increment(id: string): Promise<number> {
    const connection = await pool.getConnection();
    await connection.beginTransaction();
    try {
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [
        id,
      ]);
      if (!row) throw new Error(`There is no counter "${id}"`);
      await connection.query('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
      await connection.commit();
      connection.release();
      return row.value + 1;
    } catch (error) {
      await connection.rollback();
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: () => pool.end() };
}
