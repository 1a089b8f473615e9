/*
breaks: [1, 2, 3]
why: A deadlock has rolled back the whole transaction, and with it the lock; the retried UPDATE writes a value read before it.
ask: After error 1213, which locks do you still hold, and how old is the value in your hand?
*/
import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function persistently(connection: PoolConnection, sql: string, values: unknown[]): Promise<RowDataPacket[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        const [rows] = await connection.query<RowDataPacket[]>(sql, values);
        return rows;
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (attempt === 5 || (errno !== 1205 && errno !== 1213)) throw error;
      }
    }
  }

  return {
    async increment(id: string): Promise<number> {
      const connection = await pool.getConnection();
      try {
        await connection.beginTransaction();
        const [row] = await persistently(connection, 'SELECT value FROM counters WHERE id = ? LOCK IN SHARE MODE', [
          id,
        ]);
        if (!row) throw new Error(`There is no counter "${id}"`);
        await persistently(connection, 'UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
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
