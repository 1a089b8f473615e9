import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export interface Counter {
  /** Adds one to the counter and returns its new value. */
  increment(id: string): Promise<number>;
  /** Closes all connections. */
  close(): Promise<void>;
}

export function createCounter(options: PoolOptions): Counter {
  const pool = createPool(options);

  return {
    async increment(id) {
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const value = (rows[0]?.value ?? 0) + 1;
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]);
      return value;
    },

    async close() {
      await pool.end();
    },
  };
}
