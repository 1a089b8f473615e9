import {
  createPool,
  type Connection,
  type PoolConnection,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise';
import type * as Starter from '../../katas/job-queue/job-queue.ts';

/** The server has rolled back the transaction and asks for another try. */
const deadlock = 1213;
const tries = 10;

/**
 * A job that may be claimed is 'waiting'. `run_at` is when that is next: its start, the end of its lease, or the end of its wait
 * after a failure. So one index has all jobs in the order in which they are claimed. `worker` is set while a claim has not ended, and
 * `attempts` tells the claims of a job apart.
 */
export const createQueue = ((options: Starter.QueueOptions): Starter.Queue => {
  const { mysql, leaseMs, retryMs, maxAttempts, now } = options;
  const pool = createPool(mysql);
  const isHeld = "WHERE id = ? AND attempts = ? AND worker IS NOT NULL AND state = 'waiting'";

  async function retried<T>(run: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run();
      } catch (error) {
        if ((error as { errno?: number }).errno !== deadlock || attempt === tries) throw error;
      }
    }
  }

  /** Runs `work` in a transaction. When anything fails, the connection goes, and its locks with it. */
  async function transaction<T>(work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    const connection = await pool.getConnection();
    try {
      // At this level no gap is locked, so that nobody's insert has to wait.
      await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
      await connection.query('START TRANSACTION');
      const result = await work(connection);
      await connection.query('COMMIT');
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Claims the next job. Returns 'set aside' when that has lost the lease of its last attempt. */
  async function claimNext(connection: PoolConnection, worker: string): Promise<Starter.Job | 'set aside' | undefined> {
    // The decisive line: a row that another claim has locked is skipped. The index is forced, because a read that does not
    // follow it locks every row that it looks at.
    const [[row]] = await connection.query<RowDataPacket[]>(
      `SELECT id, data, attempts, worker FROM jobs FORCE INDEX (jobs_due)
       WHERE state = 'waiting' AND run_at <= ? ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED`,
      [now()],
    );
    if (!row) return undefined;
    if (row.attempts >= maxAttempts) {
      const error = `The lease of ${row.worker} ended in attempt ${row.attempts}.`;
      await connection.query("UPDATE jobs SET state = 'failed', error = ? WHERE id = ?", [error, row.id]);
      return 'set aside';
    }
    const attempt = row.attempts + 1;
    await connection.query('UPDATE jobs SET attempts = ?, worker = ?, run_at = ? WHERE id = ?', [
      attempt,
      worker,
      now() + leaseMs,
      row.id,
    ]);
    return { id: row.id, data: JSON.parse(row.data), attempt };
  }

  /** Changes the row of a claim that has not ended, and says whether there was one. */
  async function change(job: Starter.Job, assignments: string, values: readonly unknown[] = []): Promise<boolean> {
    const [result] = await retried(() =>
      pool.query<ResultSetHeader>(`UPDATE jobs SET ${assignments} ${isHeld}`, [...values, job.id, job.attempt]),
    );
    return result.affectedRows === 1;
  }

  async function insert(connection: Connection | typeof pool, data: unknown, runAt: number): Promise<number> {
    const [result] = await connection.query<ResultSetHeader>('INSERT INTO jobs (data, run_at) VALUES (?, ?)', [
      JSON.stringify(data),
      runAt,
    ]);
    return result.insertId;
  }

  return {
    async migrate() {
      await pool.query('CREATE INDEX jobs_due ON jobs (state, run_at, id)');
    },

    async enqueue(data, { runAt = now(), connection } = {}) {
      // A deadlock has ended the caller's transaction. A second try would insert the job outside of it.
      return connection ? await insert(connection, data, runAt) : await retried(() => insert(pool, data, runAt));
    },

    async claim(worker) {
      for (;;) {
        const job = await retried(() => transaction((connection) => claimNext(connection, worker)));
        if (job !== 'set aside') return job;
      }
    },

    async complete(job) {
      return await change(job, "state = 'done', worker = NULL");
    },

    async fail(job, error) {
      const isLast = job.attempt >= maxAttempts;
      return await change(job, 'state = ?, run_at = ?, worker = NULL, error = ?', [
        isLast ? 'failed' : 'waiting',
        now() + retryMs * 2 ** (job.attempt - 1),
        error.message,
      ]);
    },

    async renew(job) {
      // A later renew may have overtaken this one.
      return await change(job, 'run_at = GREATEST(run_at, ?)', [now() + leaseMs]);
    },

    async failedJobs() {
      const [rows] = await pool.query<RowDataPacket[]>(
        "SELECT id, data, error FROM jobs WHERE state = 'failed' ORDER BY id",
      );
      return rows.map(({ id, data, error }) => ({ id, data: JSON.parse(data), error }));
    },

    async close() {
      await pool.end();
    },
  };
}) satisfies typeof Starter.createQueue;
