import type { IncomingMessage, ServerResponse } from 'node:http';
import { createPool, type Pool, type PoolOptions, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import type * as Starter from '../../../../katas/rate-limiter/rate-limiter.ts';

/** The last calls of one key, in a ring as long as the limit. */
class Ring {
  readonly #times: Float64Array;
  #first = 0;
  #used = 0;

  constructor(private readonly limit: number) {
    this.#times = new Float64Array(limit);
  }

  check(time: number, windowMs: number): Starter.Verdict {
    // A time that lies ahead is from before the clock jumped back.
    for (let at = 0; at < this.limit; at++) if (this.#times[at]! > time) this.#times[at] = time;
    while (this.#used > 0 && this.#times[this.#first]! + windowMs <= time) {
      this.#first = (this.#first + 1) % this.limit;
      this.#used--;
    }
    const allowed = this.#used < this.limit;
    if (allowed) this.#times[(this.#first + this.#used++) % this.limit] = time;
    return new RingVerdict(allowed, this.limit - this.#used, this.#times[this.#first]! + windowMs - time);
  }
}

class RingVerdict implements Starter.Verdict {
  constructor(
    readonly allowed: boolean,
    readonly remaining: number,
    private readonly ms: number,
  ) {}

  get resetMs(): number {
    return this.ms;
  }
}

/** Tokens in floating point, as of the last look. */
class Bucket {
  #tokens: number;
  #at: number;

  constructor(
    private readonly limit: number,
    private readonly burst: number,
    time: number,
  ) {
    this.#tokens = burst;
    this.#at = time;
  }

  check(time: number, windowMs: number): Starter.Verdict {
    this.#tokens = Math.min(this.burst, this.#tokens + (Math.max(0, time - this.#at) * this.limit) / windowMs);
    this.#at = time;
    const allowed = this.#tokens >= 1;
    if (allowed) this.#tokens -= 1;
    const missing = 1 - (this.#tokens % 1);
    return { allowed, remaining: Math.floor(this.#tokens), resetMs: Math.ceil((missing * windowMs) / this.limit) };
  }
}

/** What was used since the last turn, and what was used between the last two. A turn comes after each lifetime. */
class Generations<Value> {
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();
  #turnedAt = -Infinity;

  constructor(private readonly lifetimeMs: number) {}

  get(key: string, time: number, create: () => Value): Value {
    this.#turnedAt = Math.min(this.#turnedAt, time);
    if (time >= this.#turnedAt + this.lifetimeMs) {
      this.#old = time >= this.#turnedAt + 2 * this.lifetimeMs ? new Map() : this.#young;
      this.#young = new Map();
      this.#turnedAt = time;
    }
    const value = this.#young.get(key) ?? this.#old.get(key) ?? create();
    this.#young.set(key, value);
    return value;
  }
}

/** Optimistic: a key's row is only replaced if nobody has changed it since it was read. */
class OptimisticStore implements Starter.Store {
  readonly #pool: Pool;

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
  }

  async check(key: string, limit: number, windowMs: number, time: number): Promise<Starter.Verdict> {
    for (;;) {
      const before = await this.#read(key);
      const times = before.split(' ').filter(Boolean).map(Number);
      const counting = times.filter((at) => at > time - windowMs);
      const allowed = counting.length < limit;
      if (allowed) {
        counting.push(time);
        if (!(await this.#replace(key, before, counting.join(' ')))) continue;
      }
      return new RingVerdict(allowed, limit - counting.length, counting[0]! + windowMs - time);
    }
  }

  async #read(key: string): Promise<string> {
    for (;;) {
      const [rows] = await this.#pool.query<RowDataPacket[]>('SELECT state FROM limiter_keys WHERE name = ?', [key]);
      if (rows[0]) return rows[0].state as string;
      await this.#pool.query("INSERT IGNORE INTO limiter_keys (name, state) VALUES (?, '')", [key]);
    }
  }

  async #replace(key: string, before: string, after: string): Promise<boolean> {
    // Two calls in one millisecond differ in the number of times, so the text always changes.
    const [result] = await this.#pool.query<ResultSetHeader>(
      'UPDATE limiter_keys SET state = ? WHERE name = ? AND state = ?',
      [after, key, before],
    );
    return result.affectedRows === 1;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

class RateLimiter implements Starter.RateLimiter {
  readonly #options: Starter.RateLimiterOptions;
  readonly #states: Generations<Ring | Bucket>;

  constructor(options: Starter.RateLimiterOptions) {
    this.#options = options;
    const { limit, windowMs, burst = 0 } = options;
    this.#states = new Generations(Math.max(windowMs, Math.ceil((burst / limit) * windowMs)));
  }

  check(key: string): Promise<Starter.Verdict> {
    const { limit, windowMs, now = Date.now, burst, store } = this.#options;
    const time = now();
    if (store) return (store as OptimisticStore).check(key, limit, windowMs, time);
    const create = () => (burst === undefined ? new Ring(limit) : new Bucket(limit, burst, time));
    return Promise.resolve(this.#states.get(key, time, create).check(time, windowMs));
  }

  middleware(keyOf: (request: IncomingMessage) => string): Starter.Middleware {
    return (request, response, next) => {
      this.check(keyOf(request)).then(
        (verdict) => this.#answer(verdict, response, next),
        (error: unknown) => response.destroy(error as Error),
      );
    };
  }

  #answer({ allowed, remaining, resetMs }: Starter.Verdict, response: ServerResponse, next: () => void): void {
    const seconds = Math.ceil(resetMs / 1000);
    const headers: Record<string, number> = {
      'RateLimit-Limit': this.#options.limit,
      'RateLimit-Remaining': remaining,
      'RateLimit-Reset': seconds,
      ...(!allowed && { 'Retry-After': seconds }),
    };
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (allowed) next();
    else response.writeHead(429).end();
  }
}

export const createRateLimiter = (options: Starter.RateLimiterOptions): Starter.RateLimiter => new RateLimiter(options);
export const createMysqlStore = (options: PoolOptions): Starter.Store => new OptimisticStore(options);
