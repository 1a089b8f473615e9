import type { IncomingMessage, ServerResponse } from 'node:http';
import { createPool, type Pool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export interface Verdict {
  readonly allowed: boolean;
  /** `limit` minus the calls that count now, this one included if it was allowed. */
  readonly remaining: number;
  /** From now until the oldest counting call stops counting. */
  readonly resetMs: number;
}

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export interface RateLimiter {
  check(key: string): Promise<Verdict>;
  middleware(keyOf: (request: IncomingMessage) => string): Middleware;
}

export interface Store {
  close(): Promise<void>;
}

export interface RateLimiterOptions {
  limit: number;
  windowMs: number;
  /** Whole milliseconds since any origin. */
  now?: () => number;
  /** Turns the limiter into a token bucket of this size. */
  burst?: number;
  store?: Store;
}

/** Lock wait timeout and deadlock: MySQL has rolled back and asks for a retry. */
const retryable = new Set([1205, 1213]);
const attempts = 10;
/** How many of the keys that have been silent for longest are looked at in each check. */
const looksPerCheck = 2;

/** What a limiter knows of one key, at the time of a check. Pure, so that memory and database share it. */
interface Rule<State> {
  readonly fresh: State;
  check(state: State, time: number): { state: State; verdict: Verdict };
  /** Whether the state says no more than `fresh`. */
  isIdle(state: State, time: number): boolean;
}

/** The times of the calls that count, oldest first: `limit` of them at most. */
function slidingWindow(limit: number, windowMs: number): Rule<readonly number[]> {
  return {
    fresh: [],
    check(state, time) {
      const counting = state.filter((at) => time < at + windowMs);
      const allowed = counting.length < limit;
      if (allowed) counting.push(time);
      const verdict = { allowed, remaining: limit - counting.length, resetMs: counting[0]! + windowMs - time };
      return { state: counting, verdict };
    },
    isIdle: (state, time) => time >= state.at(-1)! + windowMs,
  };
}

interface Bucket {
  /** A token is `windowMs` drops, and `limit` drops come each millisecond: so there are no fractions. */
  readonly drops: number;
  readonly at: number;
}

function tokenBucket(limit: number, windowMs: number, burst: number): Rule<Bucket> {
  const full = burst * windowMs;
  const dropsAt = ({ drops, at }: Bucket, time: number) => Math.min(full, drops + (time - at) * limit);
  return {
    fresh: { drops: full, at: 0 },
    check(state, time) {
      const before = dropsAt(state, time);
      const allowed = before >= windowMs;
      const drops = allowed ? before - windowMs : before;
      const missing = windowMs - (drops % windowMs);
      const verdict = { allowed, remaining: Math.floor(drops / windowMs), resetMs: Math.ceil(missing / limit) };
      return { state: { drops, at: time }, verdict };
    },
    isIdle: (state, time) => dropsAt(state, time) === full,
  };
}

/** The time that has passed, as far as the clock tells: it stands still when the clock jumps back. */
function stopwatch(now: () => number): () => number {
  let last = now();
  let passed = 0;
  return () => {
    const time = now();
    passed += Math.max(0, time - last);
    last = time;
    return passed;
  };
}

function inMemory<State>({ fresh, check, isIdle }: Rule<State>, now: () => number) {
  const passed = stopwatch(now);
  // A check moves its key to the end, so those that have been silent for longest come first.
  const states = new Map<string, State>();

  function forgetIdle(time: number) {
    let looks = looksPerCheck;
    for (const [key, state] of states) {
      if (looks-- === 0 || !isIdle(state, time)) return;
      states.delete(key);
    }
  }

  return async (key: string): Promise<Verdict> => {
    const time = passed();
    const { state, verdict } = check(states.get(key) ?? fresh, time);
    states.delete(key);
    states.set(key, state);
    forgetIdle(time);
    return verdict;
  };
}

class MysqlStore implements Store {
  readonly #pool: Pool;

  constructor(options: PoolOptions) {
    this.#pool = createPool(options);
  }

  /** Replaces the state of a key by what `change` makes of it. Nobody else sees or changes it meanwhile. */
  async update<State, Result>(
    key: string,
    change: (state?: State) => { state: State; result: Result },
  ): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#updateOnce(key, change);
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (errno === undefined || !retryable.has(errno) || attempt === attempts) throw error;
      }
    }
  }

  async #updateOnce<State, Result>(
    key: string,
    change: (state?: State) => { state: State; result: Result },
  ): Promise<Result> {
    const connection = await this.#pool.getConnection();
    try {
      await connection.beginTransaction();
      // Locks the row, whether it was there or not. SELECT … FOR UPDATE alone has nothing to lock for a new key.
      await connection.execute("INSERT INTO limiter_keys VALUES (?, '') ON DUPLICATE KEY UPDATE name = name", [key]);
      const [rows] = await connection.execute<RowDataPacket[]>(
        'SELECT state FROM limiter_keys WHERE name = ? FOR UPDATE',
        [key],
      );
      const text = rows[0]!.state as string;
      const { state, result } = change(text === '' ? undefined : (JSON.parse(text) as State));
      await connection.execute('UPDATE limiter_keys SET state = ? WHERE name = ?', [JSON.stringify(state), key]);
      await connection.commit();
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

function inStore<State>({ fresh, check }: Rule<State>, now: () => number, store: MysqlStore) {
  return async (key: string): Promise<Verdict> =>
    await store.update<State, Verdict>(key, (before = fresh) => {
      const { state, verdict } = check(before, now());
      return { state, result: verdict };
    });
}

export function createRateLimiter({ limit, windowMs, now = Date.now, burst, store }: RateLimiterOptions): RateLimiter {
  const withRule = <State>(rule: Rule<State>) =>
    store ? inStore(rule, now, store as MysqlStore) : inMemory(rule, now);
  const check =
    burst === undefined ? withRule(slidingWindow(limit, windowMs)) : withRule(tokenBucket(limit, windowMs, burst));

  return {
    check,

    middleware: (keyOf) => async (request, response, next) => {
      const { allowed, remaining, resetMs } = await check(keyOf(request));
      const seconds = Math.ceil(resetMs / 1000);
      response.setHeader('RateLimit-Limit', limit);
      response.setHeader('RateLimit-Remaining', remaining);
      response.setHeader('RateLimit-Reset', seconds);
      if (allowed) return next();
      response.writeHead(429, { 'Retry-After': seconds }).end('Too many requests\n');
    },
  };
}

export function createMysqlStore(options: PoolOptions): Store {
  return new MysqlStore(options);
}
