import { createReadStream } from 'node:fs';
import type { Program, Statement } from '../../../../katas/event-loop-order/event-loop-order.ts';

type Schedule = (callback: () => void) => void;

/** The steps as a table: which step follows which, and how it is scheduled. */
export function run(log: (step: string) => void, file: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const chain = (...links: [Schedule, string][]) => {
    const [first, ...others] = links;
    if (!first) return resolve();
    const [schedule, step] = first;
    return schedule(() => {
      log(step);
      chain(...others);
    });
  };

  log('script');
  process.nextTick(() => {
    log('nextTick');
    queueMicrotask(() => log('microtask'));
  });
  let text = '';
  createReadStream(file, { encoding: 'utf8', highWaterMark: 7 })
    .on('data', (chunk) => (text += chunk))
    .on('error', reject)
    .on('end', () => {
      log(`file: ${text}`);
      chain(
        [process.nextTick, 'file nextTick'],
        [queueMicrotask, 'file microtask'],
        [setImmediate, 'immediate'],
        [(callback) => setTimeout(callback, 3), 'timer'],
      );
    });
  return promise;
}

/** Uses an interval and runs at most ten tasks each time. */
export function drain(tasks: readonly (() => void)[]): Promise<void> {
  const left = [...tasks];
  return new Promise((resolve, reject) => {
    const stop = (settle: () => void) => {
      clearInterval(interval);
      settle();
    };
    const interval = setInterval(() => {
      try {
        for (const task of left.splice(0, 10)) task();
      } catch (error) {
        return stop(() => reject(error));
      }
      return left.length === 0 && stop(resolve);
    });
  });
}

/** Keeps all pending work in one list. The smallest rank runs next; among equals, the oldest. */
export function predict(program: Program): string[] {
  const said: string[] = [];
  const pending: { rank: number; body: Program }[] = [];
  const later = (rank: number, body: Program) => void pending.push({ rank, body });
  let isInMicrotasks = false;

  function carryOut(statement: Statement) {
    if ('log' in statement) said.push(statement.log);
    // Inside a microtask, a nextTick waits until there are no microtasks left.
    else if ('nextTick' in statement) later(isInMicrotasks ? 2 : 0, statement.nextTick);
    else if ('microtask' in statement) later(1, statement.microtask);
    else if ('immediate' in statement) later(3, statement.immediate);
    else if ('timer' in statement) later(4, statement.timer);
    else {
      statement.async.forEach(carryOut);
      later(1, statement.after);
    }
  }

  later(3, program);
  while (pending.length > 0) {
    const next = pending.reduce((least, one) => (one.rank < least.rank ? one : least));
    pending.splice(pending.indexOf(next), 1);
    if (next.rank === 2) for (const one of pending) if (one.rank === 2) one.rank = 0;
    isInMicrotasks = next.rank === 1;
    next.body.forEach(carryOut);
  }
  return said;
}
