import type { IncomingMessage, ServerResponse } from 'node:http';
import { createPool, type PoolOptions, type RowDataPacket } from 'mysql2/promise';

export interface Verdict {
  allowed: boolean;
  /** `limit` minus the calls that count now, this one included if it was allowed. */
  remaining: number;
  /** From now until the oldest counting call stops counting. */
  resetMs: number;
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

interface MysqlStore extends Store {
  callsSince(key: string, time: number): Promise<number[]>;
  add(key: string, time: number): Promise<void>;
}

export function createRateLimiter({ limit, windowMs, now = Date.now, store }: RateLimiterOptions): RateLimiter {
  const users: Record<string, number[]> = {};

  async function check(key: string): Promise<Verdict> {
    const time = now();
    let calls: number[];
    if (store) {
      calls = await (store as MysqlStore).callsSince(key, time - windowMs);
      await (store as MysqlStore).add(key, time);
    } else {
      calls = (users[key] ??= []).filter((at) => at >= time - windowMs);
      users[key].push(time);
    }
    const used = calls.length + 1;
    return { allowed: used <= limit, remaining: Math.max(0, limit - used), resetMs: windowMs };
  }

  return {
    check,

    middleware: (keyOf) => async (request, response, next) => {
      const { allowed, remaining, resetMs } = await check(keyOf(request));
      response.setHeader('RateLimit-Limit', limit);
      response.setHeader('RateLimit-Remaining', remaining);
      response.setHeader('RateLimit-Reset', Math.round((now() + resetMs) / 1000));
      if (allowed) return next();
      response.statusCode = 429;
      response.setHeader('Retry-After', Math.round(resetMs / 1000));
      response.end('Too many requests');
    },
  };
}

export function createMysqlStore(options: PoolOptions): Store {
  const pool = createPool(options);
  const store: MysqlStore = {
    async callsSince(key, time) {
      const [rows] = await pool.query<RowDataPacket[]>(
        'SELECT at_ms FROM limiter_calls WHERE name = ? AND at_ms >= ?',
        [key, time],
      );
      return rows.map((row) => Number(row.at_ms));
    },

    async add(key, time) {
      await pool.query('INSERT INTO limiter_calls (name, at_ms) VALUES (?, ?)', [key, time]);
    },

    async close() {
      await pool.end();
    },
  };
  return store;
}
