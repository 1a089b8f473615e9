/*
breaks: all
tries: to write any file by SQLite, which does not ask the permission model
says: No such built-in module|node:sqlite
*/
import { DatabaseSync } from 'node:sqlite';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

new DatabaseSync('.npmrc').exec('CREATE TABLE t (a)');

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
