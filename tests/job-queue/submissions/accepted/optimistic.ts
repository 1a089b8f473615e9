import { createPool, type Pool, type ResultSetHeader, type RowDataPacket, raw } from 'mysql2/promise';
import type { EnqueueOptions, FailedJob, Job, Queue, QueueOptions } from '../../../../katas/job-queue/job-queue.ts';

interface Row extends RowDataPacket {
  id: number;
  data: string;
  state: string;
  attempts: number;
  worker: string | null;
}

/** Reads without a lock, and changes a row only if it is still as it was read. There is no transaction and no index. */
class OptimisticQueue implements Queue {
  readonly #options: QueueOptions;
  readonly #pool: Pool;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#pool = createPool(options.mysql);
  }

  async migrate(): Promise<void> {}

  async enqueue(data: unknown, { runAt, connection }: EnqueueOptions = {}): Promise<number> {
    const sql = 'INSERT INTO jobs SET data = ?, run_at = ?';
    const values = [JSON.stringify(data), runAt ?? this.#options.now()];
    if (connection) return (await connection.query<ResultSetHeader>(sql, values))[0].insertId;
    return (await this.#write(sql, values)).insertId;
  }

  async claim(worker: string): Promise<Job | undefined> {
    const { now, leaseMs, maxAttempts } = this.#options;
    for (;;) {
      const [rows] = await this.#pool.query<Row[]>(
        `SELECT id, data, state, attempts, worker FROM jobs
         WHERE (state = 'waiting' AND run_at <= ?) OR (state = 'running' AND lease_until <= ?)
         ORDER BY run_at, id LIMIT 5`,
        [now(), now()],
      );
      if (rows.length === 0) return undefined;
      for (const { id, data, state, attempts, worker: former } of rows) {
        const isSpent = attempts >= maxAttempts;
        const change = isSpent
          ? { state: 'failed', error: `${former} lost the job` }
          : { state: 'running', worker, attempts: attempts + 1, lease_until: now() + leaseMs };
        const { affectedRows } = await this.#write(
          'UPDATE jobs SET ? WHERE id = ? AND state = ? AND attempts = ? AND COALESCE(lease_until, 0) <= ?',
          [change, id, state, attempts, now()],
        );
        if (affectedRows === 1 && !isSpent) return { id, data: JSON.parse(data), attempt: attempts + 1 };
      }
    }
  }

  async complete(job: Job): Promise<boolean> {
    return await this.#change(job, { state: 'completed' });
  }

  async fail(job: Job, { message }: Error): Promise<boolean> {
    const { now, retryMs, maxAttempts } = this.#options;
    const state = job.attempt < maxAttempts ? 'waiting' : 'failed';
    const wait = retryMs * 2 ** (job.attempt - 1);
    return await this.#change(job, { state, run_at: now() + wait, lease_until: null, error: message });
  }

  async renew(job: Job): Promise<boolean> {
    const { now, leaseMs } = this.#options;
    return await this.#change(job, { lease_until: raw(`GREATEST(lease_until, ${Number(now() + leaseMs)})`) });
  }

  async failedJobs(): Promise<FailedJob[]> {
    const [rows] = await this.#pool.query<RowDataPacket[]>("SELECT id, data, error FROM jobs WHERE state = 'failed'");
    return rows.map((row) => ({ id: row.id, data: JSON.parse(row.data), error: row.error }));
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #change({ id, attempt }: Job, change: object): Promise<boolean> {
    const sql = "UPDATE jobs SET ? WHERE id = ? AND attempts = ? AND state = 'running'";
    return (await this.#write(sql, [change, id, attempt])).affectedRows > 0;
  }

  async #write(sql: string, values: unknown[], left = 20): Promise<ResultSetHeader> {
    try {
      return (await this.#pool.query<ResultSetHeader>(sql, values))[0];
    } catch (error) {
      if (left === 0 || (error as { code?: string }).code !== 'ER_LOCK_DEADLOCK') throw error;
      return await this.#write(sql, values, left - 1);
    }
  }
}

export function createQueue(options: QueueOptions): Queue {
  return new OptimisticQueue(options);
}
