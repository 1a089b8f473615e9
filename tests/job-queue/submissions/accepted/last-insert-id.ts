import { createPool, type Pool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import type { FailedJob, Job, Queue, QueueOptions } from '../../../../katas/job-queue/job-queue.ts';

/** A claim that knows what to do with its row. */
class Claim implements Job {
  readonly #row: { readonly id: number; readonly attempts: number };
  readonly #json: string;

  constructor(row: { readonly id: number; readonly attempts: number }, json: string) {
    this.#row = row;
    this.#json = json;
  }

  get id(): number {
    return this.#row.id;
  }

  get data(): unknown {
    return JSON.parse(this.#json);
  }

  get attempt(): number {
    return this.#row.attempts;
  }

  /** A WHERE that only the row of this claim fits, as long as the claim has not ended. */
  get where(): string {
    return `WHERE id = ${this.id} AND attempts = ${this.attempt} AND lease_until IS NOT NULL`;
  }
}

const isDue = '(lease_until IS NULL AND run_at <= ? OR lease_until <= ?)';

/** `lease_until` is null unless a worker has the job. A single UPDATE takes the job and returns its id in the same answer. */
export function createQueue(options: QueueOptions): Queue {
  const { leaseMs, retryMs, maxAttempts, now } = options;
  const pool: Pool = createPool({ ...options.mysql, waitForConnections: true });

  const again = async <T>(work: () => Promise<T>, times = 5): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException & { sqlState?: string }).sqlState === '40001' && times > 0)
        return again(work, times - 1);
      throw error;
    }
  };

  const update = (sql: string, values: unknown[]): Promise<ResultSetHeader> =>
    again(async () => (await pool.query<ResultSetHeader>(sql, values))[0]);

  const take = (connection: PoolConnection, worker: string) =>
    again(async () => {
      const [result] = await connection.query<ResultSetHeader>(
        `UPDATE jobs SET id = LAST_INSERT_ID(id), attempts = attempts + 1, worker = ?, lease_until = ?
         WHERE state = 'waiting' AND attempts < ? AND ${isDue} ORDER BY run_at, id LIMIT 1`,
        [worker, now() + leaseMs, maxAttempts, now(), now()],
      );
      return result;
    });

  return {
    migrate: async () => undefined,

    async enqueue(data, { connection, runAt = now() } = {}) {
      const insert = async (to: Pick<Pool, 'query'>) =>
        (
          await to.query<ResultSetHeader>('INSERT INTO jobs (data, run_at) VALUES (?)', [[JSON.stringify(data), runAt]])
        )[0].insertId;
      return connection ? insert(connection as unknown as Pool) : again(() => insert(pool));
    },

    async claim(worker) {
      await update(
        `UPDATE jobs SET state = 'failed', error = CONCAT(worker, ' is gone'), lease_until = NULL
         WHERE state = 'waiting' AND attempts >= ? AND lease_until <= ?`,
        [maxAttempts, now()],
      );
      const connection = await pool.getConnection();
      try {
        const { affectedRows, insertId } = await take(connection, worker);
        if (affectedRows === 0) return undefined;
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT id, data, attempts FROM jobs WHERE id = ?', [
          insertId,
        ]);
        return new Claim({ id: insertId, attempts: row!.attempts }, row!.data);
      } finally {
        connection.release();
      }
    },

    async complete(job) {
      const { affectedRows } = await update(
        `UPDATE jobs SET state = 'done', lease_until = NULL ${(job as Claim).where}`,
        [],
      );
      return affectedRows !== 0;
    },

    async fail(job, error) {
      const { affectedRows } = await update(
        `UPDATE jobs SET state = IF(attempts < ?, 'waiting', 'failed'), run_at = ?, lease_until = NULL, error = ? ${(job as Claim).where}`,
        [maxAttempts, now() + retryMs * (1 << (job.attempt - 1)), error.stack ?? error.message],
      );
      return affectedRows !== 0;
    },

    async renew(job) {
      const { affectedRows } = await update(
        `UPDATE jobs SET lease_until = GREATEST(lease_until, ?) ${(job as Claim).where}`,
        [now() + leaseMs],
      );
      return affectedRows !== 0;
    },

    async failedJobs() {
      const [rows] = await pool.query<RowDataPacket[]>("SELECT id, data, error FROM jobs WHERE state = 'failed'");
      return rows.map(({ id, data, error }): FailedJob => ({ id, data: JSON.parse(data), error }));
    },

    async close() {
      await pool.end();
    },
  };
}
