/*
breaks: [2, 3]
why: The update is correct, but a separate SELECT reads the value. Another call may have incremented the counter in between.
ask: Two updates ran before this SELECT. Whose value does it return?
*/
import { createPool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function add(id: string): Promise<void> {
    try {
      const [result] = await pool.query<ResultSetHeader>('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
      if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return add(id);
      throw error;
    }
  }

  return {
    async increment(id: string): Promise<number> {
      await add(id);
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      return row!.value;
    },
    close: () => pool.end(),
  };
}
