/*
breaks: all
tries: to pass off any object as an error
says: Cannot redefine property
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

Object.defineProperty(Error, Symbol.hasInstance, { value: () => true });

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
