/*
breaks: [2]
why: Among ten connections a call loses three deadlocks in a row; with a pool of three it seldom does.
ask: How many rivals can one transaction have, and how many tries do they leave it?
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
