import type { IncomingMessage, ServerResponse } from 'node:http';
import { createPool, type Pool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

interface Verdict {
  readonly allowed: boolean;
  readonly remaining: number;
  readonly resetMs: number;
}

interface Limiter {
  check(key: string): Promise<Verdict>;
}

interface Options {
  limit: number;
  windowMs: number;
  now?: () => number;
  burst?: number;
  store?: { close(): Promise<void> };
}

/** An allowed call, in the queue of all calls and in the list of its key. */
interface Call {
  readonly key: string;
  readonly endsAt: number;
  next: Call | undefined;
  nextOfKey: Call | undefined;
}

interface CallsOfKey {
  count: number;
  oldest: Call;
  newest: Call;
}

/** Time that never runs backwards: the sum of all steps forward. */
class ForwardTime {
  #sum = 0;
  #seen: number | undefined;

  constructor(private readonly now: () => number) {}

  read(): number {
    const now = this.now();
    if (this.#seen !== undefined && now > this.#seen) this.#sum += now - this.#seen;
    this.#seen = now;
    return this.#sum;
  }
}

/** All allowed calls in one queue. They end in the order in which they came, so idle keys go with their last call. */
class CallQueue implements Limiter {
  readonly #keys = new Map<string, CallsOfKey>();
  readonly #time: ForwardTime;
  #head: Call | undefined;
  #tail: Call | undefined;

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
    now: () => number,
  ) {
    this.#time = new ForwardTime(now);
  }

  async check(key: string): Promise<Verdict> {
    const time = this.#time.read();
    while (this.#head && this.#head.endsAt <= time) this.#dropHead(this.#head);
    const known = this.#keys.get(key);
    const allowed = (known?.count ?? 0) < this.limit;
    const calls = allowed
      ? this.#add({ key, endsAt: time + this.windowMs, next: undefined, nextOfKey: undefined })
      : known!;
    return Object.freeze({ allowed, remaining: this.limit - calls.count, resetMs: calls.oldest.endsAt - time });
  }

  #add(call: Call): CallsOfKey {
    if (this.#tail) this.#tail.next = call;
    this.#head ??= call;
    this.#tail = call;
    const calls = this.#keys.get(call.key);
    if (!calls) {
      const first = { count: 1, oldest: call, newest: call };
      this.#keys.set(call.key, first);
      return first;
    }
    calls.newest.nextOfKey = call;
    calls.newest = call;
    calls.count++;
    return calls;
  }

  #dropHead(call: Call): void {
    this.#head = call.next;
    if (!this.#head) this.#tail = undefined;
    const calls = this.#keys.get(call.key)!;
    if (--calls.count === 0) this.#keys.delete(call.key);
    else calls.oldest = call.nextOfKey!;
  }
}

/** The generic cell rate algorithm: of each key only the time at which its bucket will be full again. */
class CellRate implements Limiter {
  readonly #fullAt = new Map<string, number>();
  readonly #time: ForwardTime;
  readonly #intervalMs: number;

  constructor(
    limit: number,
    windowMs: number,
    private readonly burst: number,
    now: () => number,
  ) {
    this.#intervalMs = windowMs / limit;
    this.#time = new ForwardTime(now);
  }

  async check(key: string): Promise<Verdict> {
    const time = this.#time.read();
    const before = Math.max(this.#fullAt.get(key) ?? time, time);
    const after = before + this.#intervalMs;
    const allowed = after - time <= this.burst * this.#intervalMs;
    this.#fullAt.delete(key);
    this.#fullAt.set(key, allowed ? after : before);
    for (const [other, fullAt] of this.#fullAt) {
      if (fullAt > time) break;
      this.#fullAt.delete(other);
    }
    const missing = ((allowed ? after : before) - time) / this.#intervalMs;
    return {
      allowed,
      remaining: Math.floor(this.burst - missing),
      resetMs: Math.ceil((missing % 1 || 1) * this.#intervalMs),
    };
  }
}

/** A named lock for each key, and a row for each call. */
class MysqlStore {
  readonly #pool: Pool;

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
  }

  async check(key: string, limit: number, windowMs: number, now: () => number): Promise<Verdict> {
    const connection = await this.#pool.getConnection();
    try {
      await connection.query('SELECT GET_LOCK(CONCAT(DATABASE(), ?), 60)', [key]);
      const verdict = await this.#checkLocked(connection, key, limit, windowMs, now());
      await connection.query('SELECT RELEASE_LOCK(CONCAT(DATABASE(), ?))', [key]);
      connection.release();
      return verdict;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  async #checkLocked(connection: PoolConnection, key: string, limit: number, windowMs: number, time: number) {
    const [[row]] = await connection.query<RowDataPacket[]>(
      'SELECT COUNT(*) AS used, MIN(at_ms) AS oldest FROM limiter_calls WHERE name = ? AND at_ms > ?',
      [key, time - windowMs],
    );
    const used = Number(row!.used);
    const allowed = used < limit;
    if (allowed) await connection.query('INSERT INTO limiter_calls (name, at_ms) VALUES (?, ?)', [key, time]);
    const oldest = row!.oldest === null ? time : Number(row!.oldest);
    return { allowed, remaining: limit - used - (allowed ? 1 : 0), resetMs: oldest + windowMs - time };
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

function limiterOf({ limit, windowMs, now = Date.now, burst, store }: Options): Limiter {
  if (store instanceof MysqlStore) return { check: (key) => store.check(key, limit, windowMs, now) };
  return burst === undefined ? new CallQueue(limit, windowMs, now) : new CellRate(limit, windowMs, burst, now);
}

export function createRateLimiter(options: Options) {
  const limiter = limiterOf(options);
  return {
    check: (key: string) => limiter.check(key),
    middleware: (keyOf: (request: IncomingMessage) => string) =>
      async function limit(request: IncomingMessage, response: ServerResponse, next: () => void): Promise<void> {
        const verdict = await limiter.check(keyOf(request));
        const reset = Math.ceil(verdict.resetMs / 1000).toString();
        response
          .setHeader('ratelimit-limit', `${options.limit}`)
          .setHeader('ratelimit-remaining', `${verdict.remaining}`)
          .setHeader('ratelimit-reset', reset);
        if (verdict.allowed) {
          next();
          return;
        }
        response.statusCode = 429;
        response.setHeader('retry-after', reset);
        response.setHeader('content-type', 'application/problem+json');
        response.end(JSON.stringify({ title: 'Too many requests', status: 429 }));
      },
  };
}

export function createMysqlStore(options: PoolOptions): MysqlStore {
  return new MysqlStore(options);
}
