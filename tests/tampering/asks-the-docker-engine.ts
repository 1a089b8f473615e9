/*
breaks: all
tries: to reach the Docker engine by its socket
says: A Unix socket is not open
*/
import { connect } from 'node:net';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

connect('/var/run/docker.sock');

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
