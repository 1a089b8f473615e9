import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// For a judge's inside.ts, which is evaluated before the module loads, and keeps these for itself.
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const { nextTick } = process;

/** After the last finalizer, what finalizers asked for may happen in so many turns of the event loop. */
const turnsAfter = 3;
/** In each turn, one FinalizationRegistry is served. */
const mostTurns = 10_000;
/** A FinalizationRegistry that nobody can reach is never served. */
const waiting = new Set<FinalizationRegistry<undefined>>();

/**
 * Collects all garbage, now. No finalizer runs before the caller gives control back to the event loop. What was created for a
 * WeakRef or dereferenced in the present job stays; see `endJob`.
 */
export function collectNow(): void {
  gc();
}

/** Ends the present job: the language lets go of what it keeps until then. No finalizer runs meanwhile. */
export async function endJob(): Promise<void> {
  // A job ends when its microtasks have run. The first tick may come before them, the second cannot.
  for (const _ of [1, 2]) await new Promise<void>((resolve) => nextTick(resolve));
}

/**
 * Ends the job, collects all garbage, and waits until the finalizers of all that was collected, now or before, have run.
 *
 * V8 puts each FinalizationRegistry whose targets were collected at the end of one queue, and serves one per task. So one whose
 * first target is collected by a second collection is served after all that the first collection has found.
 * @throws Error when finalizers do not run
 */
export async function collectAndFinalize(): Promise<void> {
  await endJob();
  gc();
  let isServed = false;
  const last = new FinalizationRegistry<undefined>(() => (isServed = true));
  waiting.add(last);
  registerGarbage(last);
  await endJob();
  gc();
  for (let turns = 0; !isServed; turns++) {
    if (turns === mostTurns) throw new Error(`No finalizer ran in ${mostTurns} turns of the event loop.`);
    await turn();
  }
  waiting.delete(last);
  for (let turns = 0; turns < turnsAfter; turns++) await turn();
}

/** In a function of its own: what a running function's registers hold is no garbage. */
function registerGarbage(registry: FinalizationRegistry<undefined>): void {
  registry.register({}, undefined);
}
