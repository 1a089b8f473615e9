/*
breaks: [1, 2, 3, 9]
why: Reads, adds in JavaScript, writes back. Whoever reads in between is overwritten.
ask: Two requests arrive in the same millisecond. Which statements does the server see, and in which order?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      if (!row) throw new Error(`There is no counter "${id}"`);
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      return row.value + 1;
    },
    close: () => pool.end(),
  };
}
