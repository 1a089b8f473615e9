/*
breaks: [7]
why: The lock has one name, so a call for any id waits for every other.
ask: A thousand series of invoices share this table. What limits their throughput together?
*/
import { createPool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function attempt(id: string): Promise<number> {
    const connection = await pool.getConnection();
    let intact = true;
    try {
      await connection.query("SELECT GET_LOCK('counters', 20)");
      const [result] = await connection.query<ResultSetHeader>('UPDATE counters SET value = value + 1 WHERE id = ?', [
        id,
      ]);
      if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      return row!.value;
    } finally {
      await connection.query("SELECT RELEASE_LOCK('counters')").catch(() => (intact = false));
      if (intact) connection.release();
      else connection.destroy();
    }
  }

  async function increment(id: string): Promise<number> {
    try {
      return await attempt(id);
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return increment(id);
      throw error;
    }
  }

  return { increment, close: () => pool.end() };
}
