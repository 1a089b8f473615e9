import { createPool, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';
import type * as Starter from '../../katas/race-condition/race-condition.ts';

/** Lock wait timeout and deadlock: MySQL has rolled back the statement and asks for a retry. */
const retryable = new Set([1205, 1213]);
const attempts = 10;

export const createCounter = ((options: PoolOptions): Starter.Counter => {
  const pool = createPool(options);

  async function incrementOnce(id: string): Promise<number> {
    // The decisive line: one statement reads, adds and writes, so no other call can come in between, and
    // LAST_INSERT_ID(x) returns the new value in the answer to the same statement.
    const [result] = await pool.execute<ResultSetHeader>(
      'UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE id = ?',
      [id],
    );
    if (result.affectedRows === 0) throw new Error(`There is no counter "${id}".`);
    return result.insertId;
  }

  return {
    async increment(id) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await incrementOnce(id);
        } catch (error) {
          const { errno } = error as { errno?: number };
          if (errno === undefined || !retryable.has(errno) || attempt === attempts) throw error;
        }
      }
    },

    async close() {
      await pool.end();
    },
  };
}) satisfies typeof Starter.createCounter;
