/*
breaks: [1, 2, 3, 9]
why: Outside a transaction, FOR UPDATE holds its lock only until the SELECT ends. Another call can write before this call's UPDATE.
ask: In autocommit mode, when does MySQL release the lock of a SELECT … FOR UPDATE?
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
