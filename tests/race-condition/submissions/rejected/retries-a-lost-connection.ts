/*
breaks: [8]
why: If the connection is lost after the update ran, the retry counts a second time.
ask: The answer to your UPDATE never arrived. Did it run?
*/
import { createPool, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      for (let attempt = 1; ; attempt++) {
        try {
          const [result] = await pool.execute<ResultSetHeader>(
            'UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?',
            [id],
          );
          if (result.affectedRows === 0) throw new Error(`There is no counter "${id}"`);
          return result.insertId;
        } catch (error) {
          const { code } = error as { code?: string };
          if (attempt === 3 || code === undefined) throw error;
        }
      }
    },
    close: () => pool.end(),
  };
}
