/*
breaks: all
tries: to write the answers anew while they are made into bytes
says: object is not extensible
*/
import v8 from 'node:v8';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const { writeValue } = v8.Serializer.prototype;
Object.defineProperty(v8.DefaultSerializer.prototype, 'writeValue', {
  value(this: v8.Serializer, message: { value?: unknown }) {
    if (message.value !== undefined) message.value = 101;
    return writeValue.call(this, message);
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
