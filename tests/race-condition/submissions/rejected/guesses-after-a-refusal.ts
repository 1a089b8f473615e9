/*
breaks: [9]
why: When the server refuses the update, the call returns the current value plus one without writing anything.
ask: The caller has a number. Where is it stored?
*/
import { createPool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      try {
        const [result] = await pool.execute<ResultSetHeader>(
          'UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?',
          [id],
        );
        if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
        return result.insertId;
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (errno !== 1205 && errno !== 1213) throw error;
        const [[row]] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
        return row!.value + 1;
      }
    },
    close: () => pool.end(),
  };
}
