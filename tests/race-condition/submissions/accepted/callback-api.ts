import { createPool, type PoolOptions, type QueryError, type RowDataPacket } from 'mysql2';

/** Uses the callback API of mysql2. A session variable carries the new value from the UPDATE to the next SELECT. */
export function createCounter(options: PoolOptions) {
  const pool = createPool({ ...options, waitForConnections: true });

  function attempt(id: string, triesLeft: number, done: (error: Error | null, value?: number) => void): void {
    pool.getConnection((noConnection, connection) => {
      if (noConnection) return done(noConnection);
      const finish = (error: QueryError | Error | null, value?: number) => {
        if (error && 'fatal' in error && error.fatal) connection.destroy();
        else connection.release();
        if (error && triesLeft > 1 && 'errno' in error && (error.errno === 1205 || error.errno === 1213))
          attempt(id, triesLeft - 1, done);
        else done(error, value);
      };
      connection.query('SET @made = NULL', (resetError) => {
        if (resetError) return finish(resetError);
        connection.query('UPDATE counters SET value = (@made := value + 1) WHERE id = ?', [id], (updateError) => {
          if (updateError) return finish(updateError);
          connection.query<RowDataPacket[]>('SELECT @made AS made', (selectError, rows) => {
            if (selectError) return finish(selectError);
            const made = rows[0]?.made as number | null | undefined;
            if (made === null || made === undefined) finish(new Error(`increment of ${id}: there is no such counter`));
            else finish(null, Number(made));
          });
        });
      });
    });
  }

  return {
    increment: (id: string) =>
      new Promise<number>((resolve, reject) =>
        attempt(id, 5, (error, value) => (error ? reject(error) : resolve(value!))),
      ),
    close: () => new Promise<void>((resolve, reject) => pool.end((error) => (error ? reject(error) : resolve()))),
  };
}
