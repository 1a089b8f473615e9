import fs from 'node:fs';
import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/event-loop-order/event-loop-order.ts';
import { type DrainCall, type DrainSeen, observeDrainOf } from './observe-drain.ts';
import { type ObservedRuns, type Run, type RunSeen, startRuns } from './observe-runs.ts';

interface Kept {
  slowRuns?: ObservedRuns;
}

let synchronous = 0;

inSubject(() => {
  const all = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of ['readFileSync', 'readSync', 'readvSync']) {
    const original = all[name]!;
    all[name] = (...args) => {
      synchronous++;
      return original(...args);
    };
  }
});

/** How often Node's synchronous functions that read files have been called so far. */
export function synchronousReads(_inside: Inside<typeof Kata>): number {
  return synchronous;
}

/** Calls `run` as told, and reports each step with the callback of the event loop in which it was logged. */
export async function observeRuns({
  kata,
  args: { runs, way },
}: Inside<typeof Kata, { readonly runs: readonly Run[]; readonly way: 'one by one' | 'side by side' }>): Promise<
  RunSeen[]
> {
  return await startRuns(kata, runs, way).seen;
}

/** Calls `run` in the background; `finishRuns` reports. Returns when none of the module's timers and immediates is left. */
export async function startRunsAndAwaitTimers({ kata, args: runs, kept }: Inside<typeof Kata, readonly Run[], Kept>) {
  kept.slowRuns = startRuns(kata, runs, 'one by one');
  await kept.slowRuns.timersDone();
}

/** Reports the runs that `startRunsAndAwaitTimers` began. */
export async function finishRuns({ kept }: Inside<typeof Kata, undefined, Kept>): Promise<RunSeen[]> {
  return await kept.slowRuns!.seen;
}

/** Calls `drain` with `count` tasks, of which one may throw, and reports what ran when. */
export async function observeDrain({ kata, args }: Inside<typeof Kata, DrainCall>): Promise<DrainSeen> {
  return await observeDrainOf(kata, args);
}

/** Calls `drain` twice at once: with tasks of which one throws, and with as many that only run. Reports on the latter. */
export async function observeDrainsSideBySide({
  kata,
  args: { count, throwsAt },
}: Inside<typeof Kata, { readonly count: number; readonly throwsAt: number }>): Promise<
  Pick<DrainSeen, 'order' | 'end'>
> {
  const failing = kata.drain(
    Array.from({ length: count }, (_, number) => () => {
      if (number === throwsAt) throw new Error('of the other call');
    }),
  );
  failing.catch(() => undefined);
  const order: number[] = [];
  const all = kata.drain(Array.from({ length: count }, (_, number) => () => void order.push(number)));
  const end = await Promise.race([
    all.then(
      () => 'resolved',
      (error: unknown) => `rejected with ${String(error)}`.slice(0, 80),
    ),
    standsStill(() => order.length),
  ]);
  return { order, end };
}

/** Says so when nothing has happened for a hundred turns of the event loop and 50 ms. */
async function standsStill(progress: () => number): Promise<string> {
  for (let before = -1; before !== progress();) {
    before = progress();
    for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return 'did not settle';
}

/** What `predict` returns for each program; each list is read when the last one has been returned. */
export function predictAll({ kata, args: programs }: Inside<typeof Kata, readonly Kata.Program[]>): string[][] {
  const predicted = programs.map((program) => kata.predict(program));
  return predicted.map((names) => [...names].map(String).slice(0, 1000));
}
