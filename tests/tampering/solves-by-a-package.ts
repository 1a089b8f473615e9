/*
breaks: all
tries: to answer by code that somebody else has written, from a package that no kata has
says: Access to this API has been restricted
*/
import { createRequire } from 'node:module';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

// No name of a package is written here.
createRequire(`${process.cwd()}/x.js`)(['fast', 'check'].join('-'));

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
