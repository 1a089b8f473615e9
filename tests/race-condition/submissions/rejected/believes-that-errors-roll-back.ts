/*
breaks: [4]
why: Only a deadlock rolls back the transaction. Any other error leaves it open, with its locks, on a connection of the pool.
ask: Which errors end a transaction in InnoDB, and which only the statement?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
    const connection = await pool.getConnection();
    try {
      await connection.query('START TRANSACTION');
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [
        id,
      ]);
      if (!row) {
        await connection.query('ROLLBACK');
        throw new Error(`There is no counter "${id}"`);
      }
      await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      await connection.query('COMMIT');
      return row.value + 1;
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
