/*
breaks: [1, 2, 3, 9]
why: A transaction alone does not keep others out; under REPEATABLE READ a plain SELECT takes no lock.
ask: What does BEGIN protect you from here, and what not?
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      const connection = await pool.getConnection();
      try {
        await connection.beginTransaction();
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
        if (!row) throw new Error(`There is no counter "${id}"`);
        await connection.query('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
        await connection.commit();
        return row.value + 1;
      } catch (error) {
        await connection.rollback().catch(() => undefined);
        throw error;
      } finally {
        connection.release();
      }
    },
    close: () => pool.end(),
  };
}
