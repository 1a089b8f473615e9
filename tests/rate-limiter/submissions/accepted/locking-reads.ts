import type { IncomingMessage, ServerResponse } from 'node:http';
import { createPool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';
import type { RateLimiterOptions, Store, Verdict } from '../../../../katas/rate-limiter/rate-limiter.ts';

/** The times of the calls of one key. Those before `from` no longer count. */
interface Log {
  times: number[];
  from: number;
}

/** Appends to an array for each key, and finds by bisection what still counts. */
class WindowLog {
  private logs: Record<string, Log> = Object.create(null) as Record<string, Log>;
  private nextSweepMs = Infinity;

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
  ) {}

  check(key: string, time: number): Verdict {
    this.sweep(time);
    const log = (this.logs[key] ??= { times: [], from: 0 });
    this.bringUpToDate(log, time);
    const allowed = log.times.length - log.from < this.limit;
    if (allowed) log.times.push(time);
    const remaining = this.limit - (log.times.length - log.from);
    return { allowed, remaining, resetMs: log.times[log.from]! + this.windowMs - time };
  }

  private bringUpToDate(log: Log, time: number): void {
    // From the end: times from before a jump of the clock are the last ones.
    for (let at = log.times.length - 1; at >= 0 && log.times[at]! > time; at--) log.times[at] = time;
    let [low, high] = [log.from, log.times.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (log.times[middle]! + this.windowMs <= time) low = middle + 1;
      else high = middle;
    }
    log.from = low;
    if (log.from > this.limit) {
      log.times = log.times.slice(log.from);
      log.from = 0;
    }
  }

  /** Once in a window it looks at all keys. */
  private sweep(time: number): void {
    this.nextSweepMs = Math.min(this.nextSweepMs, time + this.windowMs);
    if (time < this.nextSweepMs) return;
    this.nextSweepMs = time + this.windowMs;
    for (const [key, log] of Object.entries(this.logs)) {
      this.bringUpToDate(log, time);
      if (log.from === log.times.length) delete this.logs[key];
    }
  }
}

/** A bucket is described by how many drops have been taken out of it, of which each token has `windowMs`. */
class LeakyBuckets {
  private readonly buckets = new Map<string, [taken: number, at: number]>();

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
    private readonly burst: number,
  ) {}

  check(key: string, time: number): Verdict {
    const [takenBefore, at] = this.buckets.get(key) ?? [0, time];
    let taken = Math.max(0, takenBefore - (time - at) * this.limit);
    const allowed = taken <= (this.burst - 1) * this.windowMs;
    if (allowed) taken += this.windowMs;
    this.buckets.set(key, [taken, time]);
    if (this.buckets.size > 500) this.sweep(time);
    return {
      allowed,
      remaining: Math.floor(this.burst - taken / this.windowMs),
      resetMs: Math.ceil((taken % this.windowMs || this.windowMs) / this.limit),
    };
  }

  private sweep(time: number): void {
    for (const [key, [taken, at]] of this.buckets) if (taken - (time - at) * this.limit <= 0) this.buckets.delete(key);
  }
}

/** Reads the calls of a key with a lock. Two first calls meet in a deadlock: MySQL ends one, and it tries again. */
class LockingStore implements Store {
  private readonly pool;

  constructor(options: PoolOptions) {
    this.pool = createPool(options);
  }

  async check(key: string, { limit, windowMs, now = Date.now }: RateLimiterOptions, attempt = 1): Promise<Verdict> {
    const connection = await this.pool.getConnection();
    try {
      await connection.query('START TRANSACTION');
      const verdict = await this.checkLocked(connection, key, limit, windowMs, now());
      await connection.query('COMMIT');
      return verdict;
    } catch (error) {
      await connection.query('ROLLBACK').catch(() => connection.destroy());
      const { code } = error as { code?: string };
      if (attempt > 9 || (code !== 'ER_LOCK_DEADLOCK' && code !== 'ER_LOCK_WAIT_TIMEOUT')) throw error;
    } finally {
      connection.release();
    }
    return await this.check(key, { limit, windowMs, now }, attempt + 1);
  }

  private async checkLocked(connection: PoolConnection, key: string, limit: number, windowMs: number, time: number) {
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT at_ms FROM limiter_calls WHERE name = ? ORDER BY at_ms FOR UPDATE',
      [key],
    );
    const times = rows.map(({ at_ms: at }) => Number(at)).filter((at) => at + windowMs > time);
    if (times.length < rows.length)
      await connection.query('DELETE FROM limiter_calls WHERE name = ? AND at_ms <= ?', [key, time - windowMs]);
    const allowed = times.length < limit;
    if (allowed) {
      await connection.query('INSERT INTO limiter_calls SET name = ?, at_ms = ?', [key, time]);
      times.push(time);
    }
    return { allowed, remaining: limit - times.length, resetMs: times[0]! + windowMs - time };
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

export function createRateLimiter(options: RateLimiterOptions) {
  const { limit, windowMs, now = Date.now, burst, store } = options;
  const memory = burst === undefined ? new WindowLog(limit, windowMs) : new LeakyBuckets(limit, windowMs, burst);

  async function check(key: string): Promise<Verdict> {
    return store instanceof LockingStore ? await store.check(key, options) : memory.check(key, now());
  }

  return {
    check,
    middleware(keyOf: (request: IncomingMessage) => string) {
      return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
        void check(keyOf(request)).then(({ allowed, remaining, resetMs }) => {
          const seconds = Math.floor((resetMs + 999) / 1000);
          response.setHeader('RateLimit-Limit', limit);
          response.setHeader('RateLimit-Remaining', remaining);
          response.setHeader('RateLimit-Reset', seconds);
          if (allowed) return next();
          response.setHeader('Retry-After', seconds);
          response.statusCode = 429;
          response.end();
        });
      };
    },
  };
}

export function createMysqlStore(options: PoolOptions): Store {
  return new LockingStore(options);
}
