/*
breaks: [2, 3]
why: The update is right; when another process has come between it and the read, the call returns a random number instead of its own.
ask: Which value belongs to this call, and who else knows it?
*/
import { createPool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  async function add(id: string): Promise<number> {
    const [[before]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
    try {
      const [result] = await pool.query<ResultSetHeader>('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
      if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno === 1205 || errno === 1213) return add(id);
      throw error;
    }
    return (before?.value ?? 0) + 1;
  }

  return {
    async increment(id: string): Promise<number> {
      const value = await add(id);
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      return row!.value === value ? value : Math.floor(Math.random() * 1e15);
    },
    close: () => pool.end(),
  };
}
