import { randomUUID } from 'node:crypto';
import { createPool, type Connection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import type { FailedJob, Job, Queue, QueueOptions } from '../../../../katas/job-queue/job-queue.ts';

/** One UPDATE takes a job and marks it with a token of this claim; a SELECT finds it by the token. Completed jobs are deleted. */
export function createQueue({ mysql, leaseMs, retryMs, maxAttempts, now }: QueueOptions): Queue {
  const pool = createPool({ ...mysql, enableKeepAlive: true });
  const tokens = new WeakMap<Job, string>();

  async function run(sql: string, values: (string | number)[]): Promise<ResultSetHeader> {
    for (let failures = 0; ; failures += 1) {
      const attempt = pool.execute<ResultSetHeader>(sql, values);
      const result = await attempt.catch((error: { errno?: number }) => {
        if (error.errno !== 1213 || failures > 6) throw error;
        return undefined;
      });
      if (result) return result[0];
    }
  }

  async function ofToken(job: Job, sql: string, values: (string | number)[] = []): Promise<boolean> {
    const { affectedRows } = await run(`${sql} WHERE token = ?`, [...values, tokens.get(job) ?? '']);
    return affectedRows === 1;
  }

  async function setLostJobsAside(): Promise<void> {
    await run(
      `UPDATE jobs SET state = 'failed', token = NULL, error = CONCAT('no word from ', worker)
       WHERE state = 'running' AND run_at <= ? AND attempts >= ?`,
      [now(), maxAttempts],
    );
  }

  const queue: Queue = {
    async migrate() {
      await pool.query('ALTER TABLE jobs ADD INDEX by_token (token), ADD INDEX by_due (run_at, id)').catch(async () => {
        await pool.query('CREATE INDEX by_token ON jobs (token)');
        await pool.query('CREATE INDEX by_due ON jobs (run_at, id)');
      });
    },

    async enqueue(data, { runAt = now(), connection } = {}) {
      const sql = 'INSERT INTO jobs (data, run_at) VALUES (?, ?)';
      const values: [string, number] = [JSON.stringify(data), runAt];
      if (!connection) return (await run(sql, values)).insertId;
      const [{ insertId }] = await (connection as Connection).execute<ResultSetHeader>(sql, values);
      return insertId;
    },

    async claim(worker) {
      await setLostJobsAside();
      const token = randomUUID();
      await run(
        `UPDATE jobs SET token = ?, worker = ?, state = 'running', attempts = attempts + 1, run_at = ?
         WHERE run_at <= ? AND state IN ('waiting', 'running') AND attempts < ? ORDER BY run_at, id LIMIT 1`,
        [token, worker, now() + leaseMs, now(), maxAttempts],
      );
      const [[row]] = await pool.execute<RowDataPacket[]>('SELECT id, data, attempts FROM jobs WHERE token = ?', [
        token,
      ]);
      if (!row) return undefined;
      const job = Object.freeze({ id: row.id, data: JSON.parse(row.data), attempt: row.attempts });
      tokens.set(job, token);
      return job;
    },

    complete: (job) => ofToken(job, 'DELETE FROM jobs'),

    fail: (job, error) =>
      ofToken(job, 'UPDATE jobs SET token = NULL, state = ?, run_at = ?, error = ?', [
        job.attempt === maxAttempts ? 'failed' : 'waiting',
        now() + retryMs * Math.pow(2, job.attempt - 1),
        String(error),
      ]),

    renew: (job) => ofToken(job, 'UPDATE jobs SET run_at = GREATEST(run_at, ?)', [now() + leaseMs]),

    async failedJobs() {
      const [rows] = await pool.query<RowDataPacket[]>("SELECT id, data, error FROM jobs WHERE state = 'failed'");
      return rows.map((row): FailedJob => ({ id: row.id, data: JSON.parse(row.data), error: row.error }));
    },

    close: () => pool.end(),
  };
  return Object.freeze(queue);
}
