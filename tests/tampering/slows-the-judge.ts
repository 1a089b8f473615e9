/*
breaks: all
tries: to lower the priority of the judge
says: os.setPriority is not open
*/
import { setPriority } from 'node:os';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

setPriority(process.ppid, 19);

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    async increment(id: string) {
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const value = (rows[0]?.value ?? 0) + 1;
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]);
      return value;
    },
    close: () => pool.end(),
  };
}
