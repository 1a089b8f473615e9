/*
breaks: all
tries: to fill the disk and the log
says: printed more than 16 MiB and was stopped
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const line = 'x'.repeat(1024 * 1024);

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    async increment(id: string) {
      for (let count = 0; count < 100; count++) process.stdout.write(line);
      await new Promise((resolve) => process.stdout.write('', resolve));
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const value = (rows[0]?.value ?? 0) + 1;
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]);
      return value;
    },
    close: () => pool.end(),
  };
}
