/*
breaks: all
tries: to answer by writing to the descriptor of the channel
says: wrote to the channel between its process and the judge
*/
import { writeSync } from 'node:fs';
import { serialize } from 'node:v8';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

/** As the host's frames are made, but for the seal. */
function forge(): void {
  const body = serialize({ id: '1', value: { value: 101 } });
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  writeSync(3, Buffer.concat([head, body]));
}

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    async increment(id: string) {
      forge();
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const value = (rows[0]?.value ?? 0) + 1;
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]);
      return value;
    },
    close: () => pool.end(),
  };
}
