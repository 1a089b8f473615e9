import { setImmediate as turn } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { waitingThreads } from './lock-waits.ts';
import type { MysqlProxy } from './proxy.ts';
import { Timeline } from './timeline.ts';

/** How a call went: with its value, or with the message of its error. */
export type Outcome<T> = { readonly value: T; readonly error?: never } | { readonly error: string; readonly value?: never };

/** A process, seen from outside: what it says to the server, and whether its event loop still turns. */
export interface Session {
  readonly proxy: MysqlProxy;
  readonly subject: { turns(count: number): Promise<void> };
}

/** Why the explorer let the withheld call go on: what the other calls had come to. */
export type Standstill = 'done' | 'waiting for a lock' | 'idle';

/** One schedule: the first call stood still after its `step`-th command while the others ran. */
export interface Schedule<First, Others> {
  readonly step: number;
  /** The command whose answer was withheld. */
  readonly command: string;
  readonly first: Outcome<First>;
  readonly others: Outcome<Others>;
  /** What the other calls had come to before the first was let go. */
  readonly standstill: Standstill;
  readonly timeline: string;
}

export interface Exploration<First, Others> {
  /** Whose call is stopped after each of its commands in turn. */
  readonly first: Session & { call(): Promise<First> };
  /** Who runs meanwhile; the same session as the first one's, to explore calls within one process. */
  readonly others: Session & { call(): Promise<Others> };
  /** A connection of the test's own that may see every session of the server. */
  readonly admin: Connection;
  /** Brings the tables to the same state before each schedule. */
  reset(): Promise<void>;
  /** Steps beyond this one are not explored. Default 12. */
  readonly maxSteps?: number;
}

/**
 * The preemption sweep. For every k: run the first call until the server has answered its k-th command, withhold that
 * answer, run the others until they are done, wait for a lock, or stand idle; then let the first call go on, and wait
 * for all. Yields each schedule as it was; ends when the first call is done before its k-th command.
 *
 * Every schedule is one that a server may meet, so a right module keeps its promise in each of them, whatever the
 * explorer took for a standstill. Why it withholds answers and not commands: the statement has run, and its locks are held.
 */
export async function* explore<First, Others>(exploration: Exploration<First, Others>): AsyncGenerator<Schedule<First, Others>> {
  const { first, others, admin, reset, maxSteps = 12 } = exploration;
  for (let step = 1; step <= maxSteps; step++) {
    await reset();
    const timeline = new Timeline();
    first.proxy.record(timeline);
    others.proxy.record(timeline);
    const hold = first.proxy.holdCommand(step);
    const firstCall = outcomeOf(first.call());
    try {
      const command = await Promise.race([hold.reached, firstCall.then(() => undefined)]);
      if (command === undefined) return;

      const othersCall = outcomeOf(others.call());
      const standstill = await standstillOf(othersCall, others, admin);
      hold.release();
      const [firstOutcome, othersOutcome] = await Promise.all([firstCall, othersCall]);
      yield { step, command: command.sql, first: firstOutcome, others: othersOutcome, standstill, timeline: timeline.toString() };
    } finally {
      hold.release();
      first.proxy.record(undefined);
      others.proxy.record(undefined);
    }
  }
}

/** Turns a call into data that says how it went. */
export function outcomeOf<T>(call: Promise<T>): Promise<Outcome<T>> {
  return call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  );
}

/**
 * Waits until `call` cannot go further by itself. Idle is what a queue inside the process looks like: nothing asked of
 * the server, nothing passing, while the process's event loop has turned sixty times.
 */
export async function standstillOf(call: Promise<unknown>, { proxy, subject }: Session, admin: Connection): Promise<Standstill> {
  let done = false;
  void call.finally(() => (done = true)).catch(() => undefined);
  for (;;) {
    const { activity } = proxy;
    for (let round = 0; round < 3 && !done; round++) {
      await subject.turns(20);
      await turn();
    }
    if (done) return 'done';
    const { commands, connecting } = proxy.pending;
    const asked = commands.map(({ threadId }) => threadId);
    const waiting = asked.length > 0 ? await waitingThreads(admin, asked) : new Set<number>();
    if (proxy.activity !== activity || connecting) continue;
    if (asked.length === 0) return 'idle';
    if (asked.every((threadId) => waiting.has(threadId))) return 'waiting for a lock';
  }
}
