/*
breaks: [1, 2, 3, 5, 9]
tries: to let another process or thread read what this one may not
says: expected \d+ to be \d+
*/
import { execFileSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const file = 'solutions/race-condition/race-condition.ts';
const ways = [
  () => execFileSync('cat', [file], { encoding: 'utf8' }),
  () => execFileSync(process.execPath, ['-p', `require('fs').readFileSync('${file}', 'utf8')`], { encoding: 'utf8' }),
  () => new Worker(`console.log(require('fs').readFileSync('${file}', 'utf8'))`, { eval: true }),
];
for (const way of ways) {
  try {
    console.error('read:', way());
  } catch {
    // Neither can be started.
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
