/*
 * One connection per id.
 *
 * Each id that has work has a lane: its own connection and a queue. No lane ever waits for another lane or for a
 * pool. The processes' lanes for one id take turns with GET_LOCK. Because somebody may write to the table
 * without that lock (an operator at a prompt), the UPDATE succeeds only if the row is unchanged since it was read.
 */
import { createHash } from 'node:crypto';
import {
  createConnection,
  type Connection,
  type PoolOptions,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise';

export interface Counter {
  /** Adds one to the counter and returns its new value. */
  increment(id: string): Promise<number>;
  /** Closes all connections. */
  close(): Promise<void>;
}

interface Job {
  resolve(value: number): void;
  reject(error: unknown): void;
}

interface Trip {
  /** The UPDATE was sent, and its outcome is not known yet. */
  uncertain: boolean;
}

class Refusal extends Error {}

const LOCK_ERRORS = new Set<unknown>([1205, 1213]);
const USER_LOCK_DEADLOCK = 3058;

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
const errnoOf = (error: unknown) => (error as { errno?: unknown } | null)?.errno;
const isLost = (error: unknown) =>
  !(error instanceof Refusal) && (error as { sqlState?: unknown } | null)?.sqlState === undefined;

export function createCounter(options: PoolOptions): Counter {
  const lanes = new Map<string, Job[]>();
  const working = new Set<Promise<void>>();
  let closed = false;

  // GET_LOCK names are shared by the whole server and have at most 64 characters.
  const lockName = (id: string) =>
    `counter:${createHash('sha1')
      .update(`${options.database ?? ''}\0${id}`)
      .digest('hex')}`;

  async function open(): Promise<Connection> {
    const connection = await createConnection(options);
    connection.on('error', () => undefined); // the running call gets the error anyway
    return connection;
  }

  /** Releases the named lock and disconnects before the error is reported. */
  async function leave(connection: Connection, name: string): Promise<void> {
    try {
      await connection.query('DO RELEASE_LOCK(?)', [name]);
      await connection.end();
    } catch {
      connection.destroy();
    }
  }

  async function acquire(connection: Connection, id: string): Promise<void> {
    for (;;) {
      if (closed) throw new Refusal(`Counter closed, ${id} was not incremented`);
      try {
        const [rows] = await connection.query<RowDataPacket[]>('SELECT GET_LOCK(?, 1) AS got', [lockName(id)]);
        const got: unknown = rows[0]?.got;
        if (got !== null && Number(got) === 1) return;
        if (got === null) throw new Refusal(`Counter ${id}: the wait for the named lock was interrupted`);
      } catch (error) {
        if (!LOCK_ERRORS.has(errnoOf(error)) && errnoOf(error) !== USER_LOCK_DEADLOCK) throw error;
        await pause(Math.random() * 30);
      }
    }
  }

  async function addOne(connection: Connection, id: string, trip: Trip): Promise<number> {
    for (;;) {
      if (closed) throw new Refusal(`Counter closed, ${id} was not incremented`);
      try {
        const [rows] = await connection.query<RowDataPacket[]>(
          'SELECT CAST(value AS CHAR) AS value FROM counters WHERE id = ?',
          [id],
        );
        const seen = rows[0]?.value as string | undefined;
        if (seen === undefined) throw new Refusal(`Unknown counter: ${id}`);
        if (!Number.isSafeInteger(Number(seen) + 1)) throw new Refusal(`Counter ${id} has no safe number left`);
        trip.uncertain = true;
        const [header] = await connection.query<ResultSetHeader>(
          'UPDATE counters SET value = value + 1 WHERE id = ? AND value = CAST(? AS SIGNED)',
          [id, seen],
        );
        if (header.affectedRows === 1) return Number(seen) + 1;
        trip.uncertain = false;
      } catch (error) {
        if (!LOCK_ERRORS.has(errnoOf(error))) throw error;
        trip.uncertain = false; // the server has said that it changed nothing
      }
      await pause(Math.random() * 20);
    }
  }

  async function serve(id: string, jobs: Job[]): Promise<void> {
    const name = lockName(id);
    let connection: Connection | undefined;

    for (let job = jobs.shift(); job; job = jobs.shift()) {
      for (let attempt = 1; ; attempt++) {
        const trip: Trip = { uncertain: false };
        try {
          if (closed) throw new Refusal(`Counter closed, ${id} was not incremented`);
          connection ??= await open();
          await acquire(connection, id);
          const value = await addOne(connection, id, trip);
          try {
            await connection.query('DO RELEASE_LOCK(?)', [name]);
          } catch {
            connection.destroy(); // this also releases the lock; the increment still counts
            connection = undefined;
          }
          job.resolve(value);
          break;
        } catch (error) {
          const connected = connection !== undefined;
          if (connection) await leave(connection, name);
          connection = undefined;
          if (connected && isLost(error) && !trip.uncertain && attempt < 4) continue;
          job.reject(
            error instanceof Refusal
              ? error
              : new Error(`Counter ${id} could not be incremented: ${(error as Error).message}`, { cause: error }),
          );
          break;
        }
      }
    }

    lanes.delete(id); // in the same turn in which the queue was empty
    if (connection) await leave(connection, name);
  }

  return {
    increment(id) {
      return new Promise<number>((resolve, reject) => {
        if (closed) {
          reject(new Refusal(`Counter closed, ${id} was not incremented`));
          return;
        }
        const job: Job = { resolve, reject };
        const lane = lanes.get(id);
        if (lane) {
          lane.push(job);
          return;
        }
        const jobs = [job];
        lanes.set(id, jobs);
        const work = serve(id, jobs);
        working.add(work);
        void work.finally(() => working.delete(work));
      });
    },

    async close() {
      closed = true;
      await Promise.all(working);
    },
  };
}
