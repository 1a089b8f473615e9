/*
breaks: all
tries: to change each answer while the promise that carries it is settled
says: createHook is not open
*/
import { createHook } from 'node:async_hooks';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

createHook({
  init(_id, type, _trigger, resource) {
    if (type === 'PROMISE')
      setImmediate(
        () => void (resource as Promise<unknown>).then((value) => Object.assign(value as object, { value: 101 })),
      );
  },
}).enable();

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
