import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

/** Never waits inside MySQL. It retries a locked row after a short, growing pause. */
export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  const tryAgain = ['ER_LOCK_NOWAIT', 'ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT'];

  async function locked(connection: PoolConnection, id: string): Promise<number> {
    await connection.beginTransaction();
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT value FROM counters WHERE id = ? FOR UPDATE NOWAIT',
      [id],
    );
    if (!rows[0]) throw new Error(`cannot increment ${id}: no such counter`);
    await connection.query('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
    await connection.commit();
    return Number(rows[0].value) + 1;
  }

  async function increment(id: string): Promise<number> {
    const giveUpAt = Date.now() + 8_000;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 50)) {
      const connection = await pool.getConnection();
      try {
        const value = await locked(connection, id);
        connection.release();
        return value;
      } catch (error) {
        await connection.rollback().then(
          () => connection.release(),
          () => connection.destroy(),
        );
        if (!tryAgain.includes((error as { code: string }).code) || Date.now() > giveUpAt) throw error;
      }
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }

  return { increment, close: () => pool.end() };
}
