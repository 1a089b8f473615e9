/*
breaks: [3, 7, 9]
why: One connection makes a queue of this process's calls, of all ids, and of this process only.
ask: How many calls a second can one connection serve? Who else writes to this table?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool({ ...options, connectionLimit: 1 });

  return {
    async increment(id: string): Promise<number> {
      const connection = await pool.getConnection();
      try {
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
        if (!row) throw new Error(`There is no counter "${id}"`);
        await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
        return row.value + 1;
      } finally {
        connection.release();
      }
    },
    close: () => pool.end(),
  };
}
