/*
breaks: all
tries: to overwrite a file by a flag of V8's
says: v8.setFlagsFromString is not open
*/
import { setFlagsFromString } from 'node:v8';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

setFlagsFromString('--redirect-code-traces-to=.npmrc');

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
