/*
breaks: [2, 9]
why: NOWAIT turns every wait into an error, and nobody tries again.
ask: What does a customer see who orders in the same moment as another?
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
          'SELECT value FROM counters WHERE id = ? FOR UPDATE NOWAIT',
          [id],
        );
        if (!row) throw new Error(`There is no counter "${id}"`);
        await connection.query('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
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
