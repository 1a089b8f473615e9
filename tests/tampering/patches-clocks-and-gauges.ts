/*
breaks: all
tries: to bend what the judge could measure in this process
says: Cannot assign to read only property
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

Date.now = () => 0;
performance.now = () => 0;
const flat = Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), {
  rss: () => 0,
});
process.memoryUsage = flat;
process.cpuUsage = () => ({ user: 0, system: 0 });
process.getActiveResourcesInfo = () => [];
Reflect.set(globalThis, 'setImmediate', (fn: () => void) => queueMicrotask(fn));
Reflect.set(globalThis, 'setTimeout', (fn: () => void) => queueMicrotask(fn));

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
