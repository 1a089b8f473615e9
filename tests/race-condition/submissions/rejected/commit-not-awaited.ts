/*
breaks: [1, 3, 8]
why: The call returns before its COMMIT has succeeded. If the connection is lost at that point, the caller has a number that was never stored.
ask: What does the caller know when your promise resolves?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [
        id,
      ]);
      if (!row) throw new Error(`There is no counter "${id}"`);
      await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      void connection.commit().then(
        () => connection.release(),
        () => connection.destroy(),
      );
      return row.value + 1;
    } catch (error) {
      await connection.rollback().catch(() => undefined);
      connection.release();
      throw error;
    }
  }

  async function increment(id: string): Promise<number> {
    for (let left = 5; ; left--) {
      try {
        return await attempt(id);
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (left === 0 || (errno !== 1205 && errno !== 1213)) throw error;
      }
    }
  }

  return { increment, close: () => pool.end() };
}
