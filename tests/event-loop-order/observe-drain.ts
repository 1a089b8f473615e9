import { createHook } from 'node:async_hooks';
import { kindOfCallback } from './callbacks.ts';

/** What one call of `drain` did. */
export interface DrainSeen {
  /** The numbers of the tasks in the order in which they ran. */
  readonly order: number[];
  /** The most tasks that ran in one turn of the event loop. */
  readonly mostInOneTurn: number;
  readonly end: string;
  /** In how many turns the judge looked while tasks were left, and in how many of them the call kept the process alive. */
  readonly looks: number;
  readonly alive: number;
}

/** With how many tasks `drain` is called, and which of them throws what. */
export interface DrainCall {
  readonly count: number;
  readonly throwsAt?: number;
  /** Undefined or null, which is thrown instead of an error. */
  readonly thrown?: readonly [undefined | null];
}

const activeResources = process.getActiveResourcesInfo.bind(process);

interface DrainModule {
  drain(tasks: readonly (() => void)[]): Promise<void>;
}

/**
 * Calls `drain` with `count` tasks, of which one may throw.
 *
 * A turn ends at each of our immediates, and when the loop calls a callback that was requested after the last task. Immediates alone
 * are not enough: a timer of 1 ms that `drain` sets after ten tasks may fire before our next immediate.
 */
export async function observeDrainOf(kata: DrainModule, { count, throwsAt, thrown }: DrainCall): Promise<DrainSeen> {
  const order: number[] = [];
  let inThisTurn = 0;
  let mostInOneTurn = 0;
  let isOver = false;
  const tasks = Array.from({ length: count }, (_, number) => () => {
    order.push(number);
    mostInOneTurn = Math.max(mostInOneTurn, ++inThisTurn);
    // The clock moves during the first task, so that timers that were set before it are due together.
    if (order.length === 1) holdThread(5);
    if (number !== throwsAt) return;
    if (thrown) throw thrown[0];
    throw Object.assign(new Error('of a task'), { code: 'OF_A_TASK' });
  });

  /** How many tasks had run when each callback of the loop was requested. */
  const requestedAt = new Map<number, number>();
  const timers = new Set<number>();
  const hook = createHook({
    init(id, type, _trigger, resource) {
      const kind = kindOfCallback(type, resource);
      if (kind === undefined) return;
      requestedAt.set(id, order.length);
      if (kind === 'timer') timers.add(id);
    },
    before(id) {
      if (requestedAt.get(id) === order.length) inThisTurn = 0;
    },
    after(id) {
      // An interval requests its next callback when this one returns.
      if (timers.has(id)) requestedAt.set(id, order.length);
    },
  }).enable();

  // Our immediate is set before any of drain's, so it is the first of each check phase.
  let usual: number | undefined;
  let looks = 0;
  let alive = 0;
  const turn = () => {
    inThisTurn = 0;
    if (usual === undefined) usual = activeResources().length;
    else if (!isOver && order.length < count) {
      looks += 1;
      if (activeResources().length > usual) alive += 1;
    }
    if (!isOver) setImmediate(turn);
  };
  await new Promise<void>((resolve) => setImmediate(() => (turn(), resolve())));
  const end = await kata.drain(tasks).then(
    () => 'resolved',
    (error) => `rejected with ${String(error ? (error.code ?? error.name) : error)}`.slice(0, 80),
  );
  const atEnd = order.length;
  // Tasks that run after the end get the time to show themselves.
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  isOver = true;
  hook.disable();
  return { order, mostInOneTurn, end: order.length === atEnd ? end : `${end} before other tasks ran`, looks, alive };
}

function holdThread(ms: number) {
  const began = performance.now();
  while (performance.now() - began < ms);
}
