/*
breaks: all
tries: to make the judge wait for, and keep, a message of four gigabytes
says: wrote to the channel between its process and the judge
*/
import { writeSync } from 'node:fs';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

writeSync(3, Buffer.from([0xff, 0xff, 0xff, 0xff, 1]));

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
