import { setTimeout as sleep } from 'node:timers/promises';
import mysql from 'mysql2/promise';

/** Uses the strictest isolation level and retries the deadlocks that it causes. */
export function createCounter(options: mysql.PoolOptions) {
  const pool = mysql.createPool(options);

  const once = async (id: string): Promise<number> => {
    const connection = await pool.getConnection();
    let healthy = true;
    try {
      await connection.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE');
      await connection.query('START TRANSACTION');
      const [rows] = await connection.execute<mysql.RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const [row] = rows;
      if (row === undefined) throw new RangeError(`counter "${id}" is unknown`);
      await connection.execute('UPDATE counters SET value = ? WHERE id = ?', [row.value + 1, id]);
      await connection.query('COMMIT');
      return row.value + 1;
    } catch (error) {
      await connection.query('ROLLBACK').catch(() => (healthy = false));
      throw error;
    } finally {
      if (healthy) connection.release();
      else connection.destroy();
    }
  };

  return {
    increment: async (id: string) => {
      let delayMs = 1;
      for (;;) {
        try {
          return await once(id);
        } catch (error) {
          if (![1205, 1213].includes((error as mysql.QueryError).errno ?? 0) || delayMs > 200) throw error;
          await sleep(Math.random() * delayMs);
          delayMs *= 1.5;
        }
      }
    },
    close: async () => pool.end(),
  };
}
