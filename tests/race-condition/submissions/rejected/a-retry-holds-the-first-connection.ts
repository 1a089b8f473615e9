/*
breaks: [9]
why: The retry begins before finally has released the connection of the first attempt, and asks the pool for another one. When all connections are held so, none comes.
ask: When does finally run, and how many connections does one call hold by then?
*/
import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { Counter } from '../../../../katas/race-condition/race-condition.ts';

/** Uses a transaction that locks the row when it reads it. */
export function createCounter(options: PoolOptions): Counter {
  const pool = createPool(options);

  async function transaction<T>(work: (connection: PoolConnection) => Promise<T>, attemptsLeft = 5): Promise<T> {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const result = await work(connection);
      await connection.commit();
      return result;
    } catch (error) {
      await connection.rollback().catch(() => connection.destroy());
      const { code } = error as { code?: string };
      if (attemptsLeft > 0 && (code === 'ER_LOCK_DEADLOCK' || code === 'ER_LOCK_WAIT_TIMEOUT'))
        return await transaction(work, attemptsLeft - 1);
      throw error;
    } finally {
      connection.release();
    }
  }

  async function increment(id: string): Promise<number> {
    return await transaction(async (connection) => {
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [
        id,
      ]);
      if (!row) throw new Error(`Unknown counter ${id}`);
      await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      return row.value + 1;
    });
  }

  return { increment: (id) => increment(id), close: () => pool.end() };
}
