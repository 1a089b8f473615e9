/*
breaks: all
tries: to put a Unix socket anywhere on the disk, by the class behind standard output
says: A Unix socket is not open
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const { constructor: Pipe } = (
  process.stdout as unknown as { _handle: { constructor: new (type: number) => { bind(path: string): number } } }
)._handle;
new Pipe(1).bind('/tmp/kata-planted-socket');

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
