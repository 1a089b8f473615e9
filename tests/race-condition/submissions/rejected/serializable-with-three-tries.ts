/*
breaks: [2]
why: Under SERIALIZABLE, concurrent calls end in deadlocks. With ten connections, a call can lose three times in a row, and then it gives up.
ask: How many other calls can compete with one transaction, and how often can it lose?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
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
  }

  return {
    async increment(id: string): Promise<number> {
      for (let tries = 1; ; tries++) {
        try {
          return await attempt(id);
        } catch (error) {
          const { errno } = error as { errno?: number };
          if (tries === 3 || (errno !== 1205 && errno !== 1213)) throw error;
        }
      }
    },
    close: () => pool.end(),
  };
}
