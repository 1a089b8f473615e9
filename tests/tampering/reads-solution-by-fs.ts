/*
breaks: [1, 2, 3, 5, 9]
tries: to read the answer from the disk and to run it
says: expected \d+ to be \d+
*/
import { readFileSync } from 'node:fs';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

for (const folder of ['.', '..', '../..', import.meta.dirname, `${import.meta.dirname}/../..`]) {
  for (const file of [
    'solutions/race-condition/race-condition.ts',
    'tests/race-condition/submissions/accepted/for-update.ts',
    'tests/race-condition/race-condition.test.ts',
  ]) {
    try {
      console.error(`read: ${readFileSync(`${folder}/${file}`, 'utf8')}`);
    } catch {
      // It is shut off from there.
    }
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
