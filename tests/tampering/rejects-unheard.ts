/*
breaks: all
tries: to end in an unhandled rejection while nobody looks
says: ended its process by an unhandled rejection: Error: nobody hears this
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    async increment(id: string) {
      void Promise.reject(new Error('nobody hears this'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const value = (rows[0]?.value ?? 0) + 1;
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]);
      return value;
    },
    close: () => pool.end(),
  };
}
