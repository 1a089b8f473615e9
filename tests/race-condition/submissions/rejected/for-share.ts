/*
breaks: [2, 9]
why: Two shared locks do not exclude each other; both want to write, and one of them is ended by a deadlock.
ask: Which lock does the second reader get, and what happens when both go on to write?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      const connection = await pool.getConnection();
      try {
        await connection.beginTransaction();
        const [[row]] = await connection.query<RowDataPacket[]>(
          'SELECT value FROM counters WHERE id = ? LOCK IN SHARE MODE',
          [id],
        );
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
