import { createHook } from 'node:async_hooks';
import { stat } from 'node:fs';
import { kindOfCallback } from './callbacks.ts';

/** One call of `run`, and what happens around it. */
export interface Run {
  /** The kind of callback from which `run` is called. */
  readonly caller: 'I/O' | 'timer' | 'immediate';
  readonly file: string;
  /** After this step the thread is held until every short timer is due. */
  readonly holdAt?: string;
  /** How much of a step is reported; 200 letters unless told. */
  readonly letters?: number;
}

/** What one call did. `account` holds the steps in the order of their logging; what the judge did itself is in parentheses. */
export interface RunSeen {
  readonly account: readonly Logged[];
  readonly end: string;
}

export interface Logged {
  readonly step: string;
  /** The kind of callback: `I/O`, `timer`, `immediate` or `other`. */
  readonly place: string;
  /** Number of the callback; steps with the same number were logged in the same callback. */
  readonly callback: number;
}

export interface ObservedRuns {
  /** Resolves when every call of `run` is over, whatever its promise does. */
  readonly seen: Promise<RunSeen[]>;
  /** Resolves when all calls are made and no timer or immediate of the module is left. */
  timersDone(): Promise<void>;
}

interface RunModule {
  run(log: (step: string) => void, file: string): Promise<void>;
}

const holdMs = 3;
const mostSteps = 30;

/**
 * Calls `run` for each of `runs`. `async_hooks` tells in which callback of the event loop a step is logged; a call is over when nothing
 * that the module began is pending.
 */
export function startRuns(kata: RunModule, runs: readonly Run[], way: 'one by one' | 'side by side'): ObservedRuns {
  const kinds = new Map<number, string>();
  /** What the module has begun and what has not come back. */
  const pending = new Set<number>();
  /** Whether what begins now belongs to the judge. */
  let isJudges = true;
  let place = 'none';
  let callback = 0;
  let callsToCome = runs.length;
  const hook = createHook({
    init(id, type, _trigger, resource) {
      const kind = kindOfCallback(type, resource);
      if (kind === undefined) return;
      kinds.set(id, kind);
      // An open file handle stays until it is collected, so it is not pending work.
      if (!isJudges && kind !== 'other' && type !== 'FILEHANDLE') pending.add(id);
    },
    before(id) {
      const kind = kinds.get(id);
      if (kind === undefined) return;
      pending.delete(id);
      place = kind;
      callback++;
    },
    destroy: (id) => void pending.delete(id),
  }).enable();

  return { seen: observeAll().finally(() => hook.disable()), timersDone };

  async function timersDone() {
    const isTimer = (id: number) => kinds.get(id) !== 'I/O';
    do await asJudge(() => new Promise((resolve) => setImmediate(resolve)));
    while (callsToCome > 0 || [...pending].some(isTimer));
  }

  async function observeAll(): Promise<RunSeen[]> {
    if (way === 'side by side') return await Promise.all(runs.map(observe));
    const seen: RunSeen[] = [];
    for (const run of runs) seen.push(await observe(run));
    return seen;
  }

  async function observe({ caller, file, holdAt, letters = 200 }: Run): Promise<RunSeen> {
    const account: Logged[] = [];
    let end = 'did not settle';
    let laterTimers = 0;
    const note = (step: string) => {
      if (account.length < mostSteps) account.push({ step, place, callback });
    };
    const log = (step: string) => {
      note(String(step).slice(0, letters));
      if (String(step).startsWith('file: ')) setLaterTimer();
      // Held after the step's own callback, so that everything that it sets is set before the clock moves.
      if (step === holdAt) asJudge(() => process.nextTick(holdThread));
    };

    const setLaterTimer = () => {
      laterTimers++;
      const later = () => {
        laterTimers--;
        note('(a timer set in the I/O callback)');
      };
      asJudge(() => setTimeout(later, 0));
    };

    await new Promise<void>((resolve) => {
      const call = () => {
        queueMicrotask(() => note('(a waiting microtask)'));
        isJudges = false;
        callsToCome--;
        try {
          kata.run(log, file).then(
            () => {
              end = 'resolved';
              note('(the promise resolves)');
            },
            (error) => (end = `rejected with ${String(error?.code ?? error?.name)}`.slice(0, 80)),
          );
        } catch (error) {
          end = `threw ${String((error as Error | undefined)?.message)}`.slice(0, 80);
        }
        note('(the call returns)');
        resolve();
      };
      if (caller === 'I/O') stat(file, call);
      else if (caller === 'timer') setTimeout(call, 0);
      else setImmediate(call);
    });
    // `isJudges` stays false between our own calls: what the module's callbacks begin counts as the module's.
    for (let quiet = 0; quiet < 3; quiet++) {
      await asJudge(() => new Promise((resolve) => setImmediate(resolve)));
      if (pending.size + laterTimers > 0) quiet = 0;
    }
    return { account, end };
  }

  function asJudge<T>(begin: () => T): T {
    const before = isJudges;
    isJudges = true;
    try {
      return begin();
    } finally {
      isJudges = before;
    }
  }
}

function holdThread() {
  const began = performance.now();
  while (performance.now() - began < holdMs);
}
