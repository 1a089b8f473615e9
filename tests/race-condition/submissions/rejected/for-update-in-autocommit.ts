/*
breaks: [1, 2, 3, 9]
why: Without a transaction the lock of FOR UPDATE ends with its own statement.
ask: When is a row lock let go? What does autocommit make of this SELECT?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ? FOR UPDATE', [id]);
      if (!row) throw new Error(`There is no counter "${id}"`);
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      return row.value + 1;
    },
    close: () => pool.end(),
  };
}
