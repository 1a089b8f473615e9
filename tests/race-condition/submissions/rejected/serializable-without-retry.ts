/*
breaks: [2, 9]
why: SERIALIZABLE keeps the value right by ending transactions with a deadlock; somebody has to try those again.
ask: What does the server answer to the loser of two serializable transactions, and who hears of it here?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      const connection = await pool.getConnection();
      try {
        await connection.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
        await connection.beginTransaction();
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
        if (!row) throw new Error(`There is no counter "${id}"`);
        await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
        await connection.commit();
        return row.value + 1;
      } catch (error) {
        await connection.rollback().catch(() => undefined);
        throw error;
      } finally {
        connection.release();
      }
    },
    close: () => pool.end(),
  };
}
