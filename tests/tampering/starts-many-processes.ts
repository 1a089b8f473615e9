/*
breaks: [1, 2, 3, 5, 9]
tries: to start processes without end
says: expected \d+ to be \d+
*/
import { fork, spawn } from 'node:child_process';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

// Fifty and no more, should they start.
for (let count = 0; count < 50; count++) {
  try {
    spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600_000)'], { detached: true, stdio: 'ignore' }).unref();
    fork('anything.js');
  } catch {
    // None starts.
  }
}

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
