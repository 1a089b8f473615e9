import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

/** Uses GET_LOCK per id, on the same connection that does the work. */
export function createCounter(options: PoolOptions) {
  const pool = createPool(options);

  return {
    async increment(id: string): Promise<number> {
      const connection = await pool.getConnection();
      const name = `${options.database}.counter.${id}`;
      let broken = false;
      try {
        const [[got]] = await connection.query<RowDataPacket[]>('SELECT GET_LOCK(?, 30) AS got', [name]);
        if (got?.got !== 1) throw new Error(`Could not get the lock of counter ${id}`);
        try {
          for (let attempt = 1; ; attempt++) {
            try {
              const [[row]] = await connection.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
              if (!row) throw new Error(`No counter called ${id}`);
              await connection.query('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
              return row.value + 1;
            } catch (error) {
              const { errno } = error as { errno?: number };
              if ((errno !== 1205 && errno !== 1213) || attempt >= 4) throw error;
            }
          }
        } finally {
          await connection.query('DO RELEASE_LOCK(?)', [name]).catch(() => (broken = true));
        }
      } finally {
        if (broken) connection.destroy();
        else connection.release();
      }
    },

    close: () => pool.end(),
  };
}
