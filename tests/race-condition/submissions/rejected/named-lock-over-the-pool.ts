/*
breaks: [1, 2, 3, 9]
why: GET_LOCK belongs to a connection; pool.query may take another one for each statement, also for RELEASE_LOCK.
ask: Which connection holds the lock, and which one gives it back?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      await pool.query('SELECT GET_LOCK(?, 1)', [id]);
      try {
        const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
        if (!row) throw new Error(`There is no counter "${id}"`);
        await pool.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
        return row.value + 1;
      } finally {
        await pool.query('SELECT RELEASE_LOCK(?)', [id]);
      }
    },
    close: () => pool.end(),
  };
}
