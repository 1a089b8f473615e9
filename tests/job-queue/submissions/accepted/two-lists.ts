import { createPool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import type * as Kata from '../../../../katas/job-queue/job-queue.ts';

type Session = Pick<PoolConnection, 'query'>;

/**
 * Waiting and running jobs are two lists with an index each. A claim locks the head of the waiting list, and only if that list is
 * empty, looks at leases that have ended. All rows are locked before they are changed.
 */
export const createQueue = (options: Kata.QueueOptions): Kata.Queue => {
  const { leaseMs, retryMs, maxAttempts, now } = options;
  const pool = createPool(options.mysql);

  const inTransaction = async <T>(work: (session: Session) => Promise<T>): Promise<T> => {
    for (let tries = 0; ; tries++) {
      const session = await pool.getConnection();
      try {
        await session.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
        await session.beginTransaction();
        const result = await work(session);
        await session.commit();
        return result;
      } catch (error) {
        await session.rollback().catch(() => session.destroy());
        if ((error as { errno?: number }).errno !== 1213 || tries === 8) throw error;
      } finally {
        session.release();
      }
    }
  };

  const head = async (session: Session, list: string, time: string): Promise<RowDataPacket | undefined> => {
    const [[row]] = await session.query<RowDataPacket[]>(
      `SELECT id, data, attempts, worker FROM jobs FORCE INDEX (jobs_${list})
       WHERE state = '${list}' AND ${time} <= ? ORDER BY ${time}, id LIMIT 1 FOR UPDATE SKIP LOCKED`,
      [now()],
    );
    return row;
  };

  /** Locks the row of a claim; undefined when the claim has ended. */
  const rowOf = async (session: Session, { id, attempt }: Kata.Job): Promise<RowDataPacket | undefined> => {
    const [[row]] = await session.query<RowDataPacket[]>('SELECT * FROM jobs WHERE id = ? FOR UPDATE', [id]);
    return row?.state === 'running' && row.attempts === attempt ? row : undefined;
  };

  const ifHeld = (job: Kata.Job, sql: string, values: unknown[] = []): Promise<boolean> =>
    inTransaction(async (session) => {
      const row = await rowOf(session, job);
      if (row) await session.query(`${sql} WHERE id = ?`, [...values, job.id]);
      return row !== undefined;
    });

  return {
    async migrate() {
      for (const [list, time] of [
        ['waiting', 'run_at'],
        ['running', 'lease_until'],
      ])
        await pool.query(`CREATE INDEX jobs_${list} ON jobs (state, ${time}, id)`);
    },

    enqueue(data, { runAt, connection } = {}) {
      const insert = async (session: Session) => {
        const [result] = await session.query<ResultSetHeader>('INSERT INTO jobs (run_at, data) VALUES (?, ?)', [
          runAt ?? now(),
          JSON.stringify(data),
        ]);
        return result.insertId;
      };
      return connection ? insert(connection as unknown as Session) : inTransaction(insert);
    },

    claim(worker) {
      return inTransaction(async (session) => {
        for (;;) {
          const row = (await head(session, 'waiting', 'run_at')) ?? (await head(session, 'running', 'lease_until'));
          if (!row) return undefined;
          if (row.attempts === maxAttempts) {
            const error = `given up, as ${row.worker} has not answered`;
            await session.query("UPDATE jobs SET state = 'dead', error = ? WHERE id = ?", [error, row.id]);
            continue;
          }
          await session.query(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = ?, lease_until = ? WHERE id = ?",
            [worker, now() + leaseMs, row.id],
          );
          return { id: row.id, data: JSON.parse(row.data), attempt: row.attempts + 1 };
        }
      });
    },

    complete: (job) => ifHeld(job, 'DELETE FROM jobs'),

    async fail(job, error) {
      const delayMs = retryMs * 2 ** (job.attempt - 1);
      return job.attempt === maxAttempts
        ? await ifHeld(job, "UPDATE jobs SET state = 'dead', error = ?", [error.message])
        : await ifHeld(job, "UPDATE jobs SET state = 'waiting', error = ?, run_at = ?", [
            error.message,
            now() + delayMs,
          ]);
    },

    renew: (job) => ifHeld(job, 'UPDATE jobs SET lease_until = GREATEST(lease_until, ?)', [now() + leaseMs]),

    async failedJobs() {
      const [rows] = await pool.query<RowDataPacket[]>("SELECT id, data, error FROM jobs WHERE state = 'dead'");
      return rows.map(({ id, data, error }) => ({ id, data: JSON.parse(data), error }));
    },

    async close() {
      await pool.end();
    },
  };
};
