/*
breaks: [8]
why: When the connection is lost at COMMIT, the commit may have been done; the whole transaction is tried again and counts twice.
ask: At which statement is a lost connection safe to try again, and at which not?
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
      if (!row) throw new Error(`There is no counter "${id}"`);
      await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      await connection.query('COMMIT');
      connection.release();
      return row.value + 1;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  return {
    async increment(id: string): Promise<number> {
      for (let tries = 1; ; tries++) {
        try {
          return await attempt(id);
        } catch (error) {
          const { code = '' } = error as { code?: string };
          const passing = ['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'PROTOCOL_CONNECTION_LOST', 'ECONNRESET'];
          if (tries === 4 || !passing.includes(code)) throw error;
        }
      }
    },
    close: () => pool.end(),
  };
}
