/*
breaks: [1, 2, 3]
why: The first SELECT of a REPEATABLE READ transaction takes its snapshot; the lock that comes after it guards a value that is old.
ask: When does this transaction decide which version of the row it sees?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
    const connection = await pool.getConnection();
    try {
      await connection.query('START TRANSACTION');
      const [[found]] = await connection.query<RowDataPacket[]>('SELECT 1 FROM counters WHERE id = ?', [id]);
      if (!found) throw new Error(`There is no counter "${id}"`);
      await connection.query('SELECT GET_LOCK(?, 30)', [`counter ${id}`]);
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row!.value + 1, id]);
      await connection.query('COMMIT');
      await connection.query('SELECT RELEASE_LOCK(?)', [`counter ${id}`]);
      connection.release();
      return row!.value + 1;
    } catch (error) {
      connection.destroy();
      throw error;
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
