import { createPool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import type * as Starter from '../../../../katas/rate-limiter/rate-limiter.ts';

type Check = (key: string) => Promise<Starter.Verdict>;

/** How many calls of a key came at each time, oldest first. */
type Counts = Map<number, number>;

/** Timers only free memory; what counts is decided by the clock. */
function sweepEvery(ms: number, sweep: () => void): void {
  setInterval(sweep, Math.min(ms, 2 ** 31 - 1)).unref();
}

function slidingWindow({ limit, windowMs, now = Date.now }: Starter.RateLimiterOptions): Check {
  let keys = new Map<string, Counts>();
  let seenMs = now();

  const drop = (counts: Counts, time: number) => {
    for (const at of counts.keys()) {
      if (at > time - windowMs) break;
      counts.delete(at);
    }
  };

  /** When the clock has jumped back, everything that is known jumps with it. */
  const follow = (time: number) => {
    const backMs = seenMs - time;
    seenMs = time;
    if (backMs <= 0) return;
    keys = new Map([...keys].map(([key, counts]) => [key, new Map([...counts].map(([at, n]) => [at - backMs, n]))]));
  };

  sweepEvery(windowMs, () => {
    const time = now();
    follow(time);
    for (const [key, counts] of keys) {
      drop(counts, time);
      if (counts.size === 0) keys.delete(key);
    }
  });

  return async (key) => {
    const time = now();
    follow(time);
    const counts = keys.get(key) ?? new Map<number, number>();
    drop(counts, time);
    let used = 0;
    for (const count of counts.values()) used += count;
    const allowed = used < limit;
    if (allowed) {
      counts.set(time, (counts.get(time) ?? 0) + 1);
      keys.set(key, counts);
      used++;
    }
    const [oldest] = counts.keys();
    return { allowed, remaining: limit - used, resetMs: oldest! + windowMs - time };
  };
}

/** Gives whole tokens, one at each tick of the bucket's own clock, which starts when the bucket stops being full. */
function tokenBucket({ limit, windowMs, now = Date.now, burst = 1 }: Starter.RateLimiterOptions): Check {
  const intervalMs = windowMs / limit;
  const buckets = new Map<string, { tokens: number; tickAt: number }>();

  const fill = (bucket: { tokens: number; tickAt: number }, time: number) => {
    const ticks = Math.floor((time - bucket.tickAt) / intervalMs) + 1;
    if (ticks <= 0) return;
    bucket.tokens = Math.min(burst, bucket.tokens + ticks);
    bucket.tickAt += ticks * intervalMs;
  };

  sweepEvery(windowMs, () => {
    for (const [key, bucket] of buckets) {
      fill(bucket, now());
      if (bucket.tokens === burst) buckets.delete(key);
    }
  });

  return async (key) => {
    const time = now();
    const bucket = buckets.get(key) ?? { tokens: burst, tickAt: time + intervalMs };
    buckets.set(key, bucket);
    fill(bucket, time);
    const allowed = bucket.tokens > 0;
    if (allowed && bucket.tokens === burst) bucket.tickAt = time + intervalMs;
    if (allowed) bucket.tokens--;
    return { allowed, remaining: bucket.tokens, resetMs: bucket.tickAt - time };
  };
}

interface CallStore extends Starter.Store {
  check(options: Starter.RateLimiterOptions, key: string): Promise<Starter.Verdict>;
}

export function createMysqlStore(options: PoolOptions): Starter.Store {
  const pool = createPool(options);

  /**
   * One statement counts and inserts. At REPEATABLE READ it locks what it reads, so two of them that meet are a deadlock, of which
   * MySQL ends one.
   */
  async function insertIfFree(key: string, time: number, { limit, windowMs }: Starter.RateLimiterOptions) {
    for (let attempt = 1; ; attempt++) {
      try {
        const [{ affectedRows }] = await pool.query<ResultSetHeader>(
          'INSERT INTO limiter_calls (name, at_ms) SELECT ?, ? FROM DUAL WHERE (SELECT COUNT(*) FROM limiter_calls WHERE name = ? AND at_ms > ?) < ?',
          [key, time, key, time - windowMs, limit],
        );
        return affectedRows === 1;
      } catch (error) {
        if (![1205, 1213].includes((error as { errno?: number }).errno ?? 0) || attempt === 20) throw error;
      }
    }
  }

  const store: CallStore = {
    async check(settings, key) {
      const time = (settings.now ?? Date.now)();
      const allowed = await insertIfFree(key, time, settings);
      const [[row]] = await pool.query<RowDataPacket[]>(
        'SELECT COUNT(*) AS used, MIN(at_ms) AS oldest FROM limiter_calls WHERE name = ? AND at_ms > ?',
        [key, time - settings.windowMs],
      );
      const { used, oldest } = row as { used: number; oldest: number | null };
      return {
        allowed,
        remaining: Math.max(0, settings.limit - Number(used)),
        resetMs: Number(oldest ?? time) + settings.windowMs - time,
      };
    },
    close: () => pool.end(),
  };
  return store;
}

export function createRateLimiter(options: Starter.RateLimiterOptions): Starter.RateLimiter {
  const { limit, burst, store } = options;
  const check: Check = store
    ? (key) => (store as CallStore).check(options, key)
    : burst === undefined
      ? slidingWindow(options)
      : tokenBucket(options);

  return {
    check,
    middleware: (keyOf) => async (request, response, next) => {
      const { allowed, remaining, resetMs } = await check(keyOf(request));
      const reset = `${Math.ceil(resetMs / 1000)}`;
      const fields = { 'RateLimit-Limit': `${limit}`, 'RateLimit-Remaining': `${remaining}`, 'RateLimit-Reset': reset };
      response.setHeaders(new Headers(fields));
      if (allowed) next();
      else response.writeHead(429, { 'Retry-After': reset, 'Content-Type': 'text/plain' }).end('Slow down.');
    },
  };
}
