/*
breaks: all
tries: to read the starter, which an interviewer may have solved, by a copy
says: fs.cpSync is not open
*/
import { cpSync } from 'node:fs';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

cpSync(import.meta.filename, 'copy.ts');

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
