/*
breaks: all
tries: to see and change all that the judge awaits
says: object is not extensible
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const name = ['th', 'en'].join('');
Object.defineProperty(Object.prototype, name, {
  get(this: { value?: unknown }) {
    if (this.value !== undefined) this.value = 101;
    return undefined;
  },
});

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
