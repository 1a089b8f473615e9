import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { Counter } from '../../../../katas/race-condition/race-condition.ts';

/** Uses a transaction that locks the row when it reads it. */
export function createCounter(options: PoolOptions): Counter {
  const pool = createPool(options);

  async function transaction<T>(work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const result = await work(connection);
      await connection.commit();
      connection.release();
      return result;
    } catch (error) {
      try {
        await connection.rollback();
        connection.release();
      } catch {
        connection.destroy();
      }
      throw error;
    }
  }

  async function increment(id: string, attemptsLeft = 5): Promise<number> {
    try {
      return await transaction(async (connection) => {
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [
          id,
        ]);
        if (!row) throw new Error(`Unknown counter ${id}`);
        await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
        return row.value + 1;
      });
    } catch (error) {
      const { code } = error as { code?: string };
      if (attemptsLeft > 0 && (code === 'ER_LOCK_DEADLOCK' || code === 'ER_LOCK_WAIT_TIMEOUT'))
        return increment(id, attemptsLeft - 1);
      throw error;
    }
  }

  return { increment: (id) => increment(id), close: () => pool.end() };
}
