import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type { Inside } from '../../helpers/judging/subject/subject-types.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/rate-limiter/rate-limiter.ts';

/** The options that are plain data. */
export type PlainOptions = Pick<Kata.RateLimiterOptions, 'limit' | 'windowMs' | 'burst'>;

/**
 * What happens to a limiter. `edge` moves the clock to so many ms after the oldest counting call of the key stops counting, if that is
 * later than now; `back` makes it jump back, to 0 at the earliest.
 */
export type Step =
  | readonly ['call', key: string, atOnce: number]
  | readonly ['wait', ms: number]
  | readonly ['back', ms: number]
  | readonly ['edge', key: string, ms: number];

export interface Play extends PlainOptions {
  readonly startMs: number;
  /** Whether the limiter gets no `now`, and `Date.now` moves instead. */
  readonly isBare?: boolean;
  readonly steps: readonly Step[];
}

/** One step with calls, and what `check` answered. */
export interface Seen {
  readonly key: string;
  readonly at: number;
  readonly verdicts: readonly Kata.Verdict[];
}

/** How a check through a store ended. */
export type Outcome = { readonly allowed: boolean } | { readonly error: string };

/** What the handler behind the middleware has seen. */
export interface Handled {
  readonly calls: number;
  /** The arguments that next got, if it got any. */
  readonly args: readonly string[];
}

interface Kept {
  nowMs: number;
  limiter: Kata.RateLimiter;
  handled: { calls: number; args: string[] };
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

const clock = installSteppedClock();

/** Plays each history on a limiter of its own, while timers and clocks of the process stand still. */
export async function playAll({ kata, args: plays }: In<readonly Play[]>): Promise<Seen[][]> {
  clock.hold();
  try {
    const seen: Seen[][] = [];
    for (const play of plays) seen.push(await playOne(kata, play));
    return seen;
  } finally {
    clock.release();
  }
}

async function playOne(kata: typeof Kata, { startMs, isBare = false, steps, ...options }: Play): Promise<Seen[]> {
  let nowMs = startMs;
  const limiter = kata.createRateLimiter(isBare ? options : { ...options, now: () => nowMs });
  const allowedAt = new Map<string, number[]>();
  const seen: Seen[] = [];
  for (const step of steps) {
    if (step[0] === 'wait') {
      nowMs += step[1];
      if (isBare) await clock.step(step[1]);
    } else if (step[0] === 'back') {
      nowMs = Math.max(0, nowMs - step[1]);
    } else if (step[0] === 'edge') {
      const oldest = allowedAt.get(step[1])?.find((at) => at + options.windowMs > nowMs) ?? nowMs;
      nowMs = Math.max(nowMs, oldest + options.windowMs + step[2]);
    } else {
      const [, key, atOnce] = step;
      const answers = await Promise.all(Array.from({ length: atOnce }, () => limiter.check(key)));
      const verdicts = answers.map(({ allowed, remaining, resetMs }) => ({ allowed, remaining, resetMs }));
      const times = allowedAt.get(key) ?? [];
      for (const { allowed } of verdicts) if (allowed === true) times.push(nowMs);
      allowedAt.set(key, times);
      seen.push({ key, at: nowMs, verdicts });
    }
  }
  return seen;
}

/** A key that is older than all others and calls twice a window. */
const busy = 'busy';

/** Makes the limiter on which `useKeys` and `callOften` work, and returns how many timers it added that hold the process. */
export async function makeLimiter({ kata, args: options, kept, tools }: In<PlainOptions>): Promise<number> {
  clock.hold();
  const before = tools.timers();
  kept.nowMs = 1_800_000_000_000;
  kept.limiter = kata.createRateLimiter({ ...options, now: () => kept.nowMs });
  for (const key of [busy, 'one', 'two', 'two']) await kept.limiter.check(key);
  // These two never call again, and their calls are in the future from now on. That must not keep others from being forgotten.
  kept.nowMs -= 3_600_000;
  return tools.timers() - before;
}

/** Checks once with each of these keys, lets them become idle while one key stays busy, and checks for others. Returns how many were allowed. */
export async function useKeys({
  args: { prefix, keys, windowMs, windows, checks },
  kept,
}: In<{ prefix: string; keys: number; windowMs: number; windows: number; checks: number }>): Promise<number> {
  let allowed = 0;
  for (let number = 0; number < keys; number++)
    if ((await kept.limiter.check(`${prefix} ${number} ${'x'.repeat(200)}`)).allowed) allowed++;
  for (let half = 0; half < 2 * windows; half++) {
    kept.nowMs += windowMs / 2;
    await clock.step(windowMs / 2);
    await kept.limiter.check(busy);
  }
  for (let number = 0; number < checks; number++) await kept.limiter.check(`other ${number % 5}`);
  return allowed;
}

/** Checks for one key again and again. Returns how many were allowed. */
export async function callOften({ args: { calls, everyMs }, kept }: In<{ calls: number; everyMs: number }>) {
  let allowed = 0;
  for (let call = 0; call < calls; call++) {
    kept.nowMs += everyMs;
    if ((await kept.limiter.check(busy)).allowed) allowed++;
  }
  return allowed;
}

/** Lets timers go on. */
export function releaseClock(): void {
  clock.release();
}

/** Starts an HTTP server that limits requests by their header `x-user`, and returns its port. Its handler throws for the user `eve`. */
export async function startServer({ kata, args: options, kept, tools }: In<PlainOptions>): Promise<number> {
  kept.nowMs = 1_800_000_000_000;
  const limiter = kata.createRateLimiter({ ...options, now: () => kept.nowMs });
  const limit = limiter.middleware((request) => String(request.headers['x-user']));
  const server = createServer((request, response) => {
    limit(request, response, (...args: unknown[]) => {
      kept.handled.calls++;
      kept.handled.args.push(...args.map(String));
      if (request.headers['x-user'] === 'eve') {
        // Nobody else may end this request.
        void tools.turns(20).then(() => response.destroy());
        throw new Error('the handler throws');
      }
      if (!response.headersSent) response.writeHead(200);
      if (!response.writableEnded) response.end('served');
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** From now on, errors that nobody catches do not end this process: a middleware may pass on what next throws. */
export function outliveErrors(): void {
  process.on('uncaughtException', () => undefined).on('unhandledRejection', () => undefined);
}

/** Moves the clock of the server, and starts to count what its handler sees. */
export function pass({ args: ms, kept }: In<number>): void {
  kept.nowMs += ms;
  kept.handled = { calls: 0, args: [] };
}

/** What the handler has seen since `pass`, some turns of the event loop later. */
export async function readHandled({ kept, tools }: In): Promise<Handled> {
  await tools.turns(20);
  return kept.handled;
}

/** Creates this process's limiter before a store. */
export function openStore({
  kata,
  args: { account, ...options },
  kept,
}: In<PlainOptions & { account: AccountOptions }>): void {
  kept.nowMs = 0;
  const store = kata.createMysqlStore(account);
  kept.limiter = kata.createRateLimiter({ ...options, store, now: () => kept.nowMs });
}

/** Sets the clock of this process, also while a check of its is stopped. */
export function setClock({ args: nowMs, kept }: In<number>): void {
  kept.nowMs = nowMs;
}

/** Makes checks through the store at that time: one after the other, or at once. */
export async function checkInStore({
  args: { key, atMs, inTurn = 1, atOnce = 0 },
  kept,
}: In<{ key: string; atMs: number; inTurn?: number; atOnce?: number }>): Promise<Outcome[]> {
  kept.nowMs = atMs;
  const outcomes: Outcome[] = [];
  for (let number = 0; number < inTurn; number++) outcomes.push(await outcomeOf(kept.limiter, key));
  outcomes.push(...(await Promise.all(Array.from({ length: atOnce }, () => outcomeOf(kept.limiter, key)))));
  return outcomes;
}

async function outcomeOf(limiter: Kata.RateLimiter, key: string): Promise<Outcome> {
  try {
    return { allowed: (await limiter.check(key)).allowed };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
