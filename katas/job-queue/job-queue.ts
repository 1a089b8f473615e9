import {
  createPool,
  type Connection,
  type PoolOptions,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise';

export interface QueueOptions {
  /** For createPool of mysql2. */
  mysql: PoolOptions;
  /** How long a worker may keep a job without a word. */
  leaseMs: number;
  /** How long a job waits after its first failed attempt. */
  retryMs: number;
  /** After so many attempts a job is set aside. */
  maxAttempts: number;
  /** The time in whole milliseconds. */
  now: () => number;
}

/** A claim of a job. */
export interface Job {
  readonly id: number;
  readonly data: unknown;
  /** How often the job has been claimed, this time included. */
  readonly attempt: number;
}

/** A job that was set aside. */
export interface FailedJob {
  readonly id: number;
  readonly data: unknown;
  readonly error: string;
}

export interface EnqueueOptions {
  /** When the job is due. Default: now. */
  runAt?: number;
  /** The caller's connection, with its open transaction. */
  connection?: Connection;
}

export interface Queue {
  /** Called once per database, before everything else. */
  migrate(): Promise<void>;
  /** Returns the job's id. */
  enqueue(data: unknown, options?: EnqueueOptions): Promise<number>;
  /** Resolves to undefined when no job is due. */
  claim(worker: string): Promise<Job | undefined>;
  /** Returns whether the claim had not ended yet; so do fail and renew. */
  complete(job: Job): Promise<boolean>;
  fail(job: Job, error: Error): Promise<boolean>;
  renew(job: Job): Promise<boolean>;
  /** The jobs that were set aside. */
  failedJobs(): Promise<FailedJob[]>;
  close(): Promise<void>;
}

export function createQueue({ mysql, retryMs, maxAttempts, now }: QueueOptions): Queue {
  const pool = createPool(mysql);

  return {
    async migrate() {},

    async enqueue(data, { runAt = now() } = {}) {
      const [result] = await pool.query<ResultSetHeader>('INSERT INTO jobs (data, run_at) VALUES (?, ?)', [
        JSON.stringify(data),
        runAt,
      ]);
      return result.insertId;
    },

    async claim(worker) {
      const [[row]] = await pool.query<RowDataPacket[]>(
        "SELECT id, data, attempts FROM jobs WHERE state = 'waiting' AND run_at <= ? ORDER BY run_at, id LIMIT 1",
        [now()],
      );
      if (!row) return undefined;
      await pool.query("UPDATE jobs SET state = 'taken', worker = ?, attempts = attempts + 1 WHERE id = ?", [
        worker,
        row.id,
      ]);
      return { id: row.id, data: JSON.parse(row.data), attempt: row.attempts + 1 };
    },

    async complete({ id }) {
      const [result] = await pool.query<ResultSetHeader>('DELETE FROM jobs WHERE id = ?', [id]);
      return result.affectedRows === 1;
    },

    async fail({ id, data, attempt }, error) {
      const state = attempt < maxAttempts ? 'waiting' : 'failed';
      await pool.query('DELETE FROM jobs WHERE id = ?', [id]);
      await pool.query('INSERT INTO jobs (id, data, run_at, state, attempts, error) VALUES (?, ?, ?, ?, ?, ?)', [
        id,
        JSON.stringify(data),
        now() + retryMs,
        state,
        attempt,
        error.message,
      ]);
      return true;
    },

    async renew() {
      return true;
    },

    async failedJobs() {
      const [rows] = await pool.query<RowDataPacket[]>("SELECT id, data, error FROM jobs WHERE state = 'failed'");
      return rows.map(({ id, data, error }) => ({ id, data: JSON.parse(data), error }));
    },

    async close() {
      await pool.end();
    },
  };
}
