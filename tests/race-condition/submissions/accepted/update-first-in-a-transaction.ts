import * as mysql from 'mysql2/promise';

enum Verdict {
  Again,
  Give,
}

/** The UPDATE locks the row, so the SELECT that follows in the same transaction returns this call's own value. */
export class Counters {
  private pool: mysql.Pool;

  constructor(options: mysql.PoolOptions) {
    this.pool = mysql.createPool({ ...options, maxIdle: 2 });
  }

  private judge(error: { code?: string }, attempt: number): Verdict {
    const contention = error.code === 'ER_LOCK_DEADLOCK' || error.code === 'ER_LOCK_WAIT_TIMEOUT';
    return contention && attempt < 8 ? Verdict.Again : Verdict.Give;
  }

  async increment(id: string, attempt = 1): Promise<number> {
    const connection = await this.pool.getConnection();
    try {
      await connection.query('BEGIN');
      const [updated] = await connection.query<mysql.ResultSetHeader>(
        'UPDATE counters SET value = value + 1 WHERE id = ?',
        [id],
      );
      if (updated.affectedRows === 0) throw new Error(`no counter ${JSON.stringify(id)}`);
      const [[row]] = await connection.query<mysql.RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
      await connection.query('COMMIT');
      this.pool.releaseConnection(connection);
      return row!.value;
    } catch (error) {
      // Closing the connection rolls back and releases its locks.
      connection.destroy();
      if (this.judge(error as { code?: string }, attempt) === Verdict.Again) return this.increment(id, attempt + 1);
      throw error;
    }
  }

  close(): Promise<void> {
    return this.pool.end();
  }
}

export function createCounter(options: mysql.PoolOptions): Counters {
  return new Counters(options);
}
