import { Agent, request } from 'undici';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/circuit-breaker/circuit-breaker.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { type Moment, type Play, playHistory } from './play-history.ts';

/** The options that are plain data. */
export type PlainOptions = Omit<Kata.BreakerOptions, 'now' | 'isFailure' | 'onStateChange'>;

export interface BenchOptions {
  /** Whether the breaker gets the required options only: no clock, no `isFailure`, no listener. */
  readonly isBare: boolean;
  readonly origin: string;
  readonly options: PlainOptions;
  /** Whether `onStateChange` throws after it has noted the change. */
  readonly listenerThrows: boolean;
  /** What a call does when its signal is aborted: its request ends, or goes on, or goes on while the call itself rejects at once. */
  readonly atAbort: 'ends' | 'goes on' | 'rejects';
  /** Which statuses of 400 and more are no failures. */
  readonly excused: readonly number[];
}

/** What a bench shows. */
export interface Report {
  /** Undefined after the injected clock moved: the README says nothing about `state` until the next call. */
  readonly state: Kata.State | undefined;
  /** All changes of state so far, as in `closed → open`. */
  readonly changes: readonly string[];
  /** How each fired call ended, in the order of firing. */
  readonly outcomes: readonly Outcome[];
  /** How many times the module called `call`. */
  readonly calls: number;
  /** Of each call of `call`: whether its signal is aborted. */
  readonly aborted: readonly boolean[];
  /** Timers that hold the process. */
  readonly timers: number;
}

/** One call of `call`. */
interface Call {
  readonly signal: AbortSignal;
  readonly ended: Promise<unknown>;
}

interface Bench {
  fire(path: string): Promise<Outcome>;
  state(): Kata.State;
  nowMs: number;
  readonly calls: Call[];
  readonly outcomes: Outcome[];
  readonly changes: string[];
}

interface Kept {
  bench: Bench;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** A request for which `call` throws before it returns a promise; with `/404` behind it, what it throws has that status. */
export const throwingPath = '/throws';

/** How often the event loop turns before a module that only waits for promises is taken to have done what it does. */
const settleTurns = 20;

const clock = installSteppedClock();
/** Undici's own timers are off, so that none of them is taken for one of the module's. */
const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, connectTimeout: 0, connections: null });

/** An answer with a status of 400 or more. */
class StatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The server answered with ${status}.`);
    this.status = status;
  }
}

/** Makes a new breaker in front of a server. From now on the process's clocks stand still. */
export function openBench({ kata, args, kept }: In<BenchOptions>): void {
  const { origin, options, isBare, listenerThrows, atAbort, excused } = args;
  clock.release();
  clock.hold();
  const { CircuitOpenError, CallTimeoutError } = kata;
  const [calls, outcomes, changes] = [[] as Call[], [] as Outcome[], [] as string[]];
  const ownErrors = new Map<unknown, string>();

  async function ask(path: string, signal: AbortSignal): Promise<string> {
    try {
      const { statusCode, body } = await request(`${origin}${path}`, {
        dispatcher,
        ...(atAbort === 'ends' && { signal }),
      });
      const text = await body.text();
      if (statusCode >= 400) throw new StatusError(statusCode);
      return text;
    } catch (error) {
      // An aborted request rejects with the module's own error.
      if (!signal.aborted) ownErrors.set(error, error instanceof StatusError ? String(error.status) : 'no answer');
      throw error;
    }
  }

  const bench: Bench = {
    fire: (path) => outcomeOf({ CircuitOpenError, CallTimeoutError }, () => breaker.fire(path), ownErrors),
    state: () => breaker.state,
    nowMs: 5_000_000,
    calls,
    outcomes,
    changes,
  };
  const call: Kata.Call<string, string> = (path, { signal }) => {
    if (path.startsWith(throwingPath)) {
      const status = Number(path.slice(throwingPath.length + 1));
      const error = status > 0 ? new StatusError(status) : new Error('The call throws.');
      ownErrors.set(error, 'thrown');
      throw error;
    }
    const answer = atAbort === 'rejects' ? orOwnError(ask(path, signal), signal) : ask(path, signal);
    calls.push({ signal, ended: Promise.allSettled([answer]) });
    return answer;
  };
  const optional: Omit<Kata.BreakerOptions, keyof PlainOptions> = {
    now: () => bench.nowMs,
    isFailure: (error) => !(error instanceof StatusError && excused.includes(error.status)),
    onStateChange: (to, from) => {
      changes.push(`${from} → ${to}`);
      if (listenerThrows) throw new Error('the listener throws');
    },
  };
  const breaker = kata.createBreaker(call, isBare ? options : { ...options, ...optional });
  kept.bench = bench;
}

/** Settles like the answer, or rejects in the very moment in which the signal is aborted. */
function orOwnError(answer: Promise<string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('of a call that hears its signal')), { once: true });
    answer.then(resolve, reject);
  });
}

/** Fires one call, and reports when the module has had its turns. */
export async function fire({ args: path, kept: { bench }, tools }: In<string>): Promise<Report> {
  const { outcomes } = bench;
  const at = outcomes.push('pending') - 1;
  void bench.fire(path).then((outcome) => (outcomes[at] = outcome));
  await tools.turns(settleTurns);
  return reportOf(bench, tools);
}

/** Waits until the request of the call of this number has ended, and reports when the module has had its turns. */
export async function endOf({ args: number, kept: { bench }, tools }: In<number>): Promise<Report> {
  await bench.calls[number]!.ended;
  await tools.turns(settleTurns);
  return reportOf(bench, tools);
}

/** Moves the injected clock, the timers of the process, or both, and reports. */
export async function pass({
  args: { nowMs = 0, timersMs = 0 },
  kept: { bench },
  tools,
}: In<{ readonly nowMs?: number; readonly timersMs?: number }>): Promise<Report> {
  bench.nowMs += nowMs;
  if (timersMs > 0) await clock.step(timersMs);
  await tools.turns(settleTurns);
  return reportOf(bench, tools, nowMs === 0);
}

/** Plays histories one after the other; see `playHistory`. */
export async function playHistories({ kata, args: plays, tools }: In<readonly Play[]>): Promise<Moment[][]> {
  const seen: Moment[][] = [];
  for (const play of plays) {
    clock.release();
    clock.hold();
    seen.push(await playHistory(kata, play, { clock, turns: tools.turns }));
  }
  return seen;
}

function reportOf({ state, changes, outcomes, calls }: Bench, tools: In['tools'], looksAtState = true): Report {
  return {
    state: looksAtState ? state() : undefined,
    changes,
    outcomes,
    calls: calls.length,
    aborted: calls.map(({ signal }) => signal.aborted),
    timers: tools.timers(),
  };
}
