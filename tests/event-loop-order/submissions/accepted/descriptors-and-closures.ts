import * as fs from 'node:fs';
import type { Program } from '../../../../katas/event-loop-order/event-loop-order.ts';

/** Opens, reads and closes the file, each with a callback. The immediate sets the timer. */
export const run = (log: (step: string) => void, file: string) =>
  new Promise<void>((done, fail) => {
    log('script');
    Promise.resolve()
      .then(() => log('microtask'))
      .catch(fail);
    process.nextTick(() => log('nextTick'));

    fs.open(file, (openError, descriptor) => {
      if (openError) return fail(openError);
      const pieces: Buffer[] = [];
      const readOn = () => {
        const piece = Buffer.alloc(1024);
        fs.read(descriptor, piece, 0, piece.length, null, (readError, length) => {
          if (!readError && length > 0) {
            pieces.push(piece.subarray(0, length));
            return readOn();
          }
          return close(readError);
        });
      };
      const close = (readError: Error | null) =>
        fs.close(descriptor, (closeError) => {
          if (readError ?? closeError) return fail(readError ?? closeError);
          log(`file: ${Buffer.concat(pieces).toString()}`);
          const timer = () => {
            log('timer');
            done();
          };
          setImmediate(() => {
            log('immediate');
            setTimeout(timer);
          });
          queueMicrotask(() => log('file microtask'));
          return process.nextTick(() => log('file nextTick'));
        });
      return readOn();
    });
  });

/** Runs ten tasks at a time, with a timer in between. */
export const drain = async (tasks: readonly (() => void)[]) => {
  for (let from = 0; from < tasks.length; from += 10) {
    if (from > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    tasks.slice(from, from + 10).forEach((task) => task());
  }
};

/** Turns the program into functions and runs them in a small loop with the same queues as Node's. */
export function predict(program: Program): string[] {
  const said: string[] = [];
  const queue = () => [] as (() => void)[];
  const loop = { ticks: queue(), microtasks: queue(), immediates: queue(), timers: queue() };

  const compile =
    (body: Program): (() => void) =>
    () => {
      for (const statement of body) compileOne(statement);
    };
  const compileOne = (statement: Program[number]) => {
    if ('log' in statement) said.push(statement.log);
    else if ('nextTick' in statement) loop.ticks.push(compile(statement.nextTick));
    else if ('microtask' in statement) loop.microtasks.push(compile(statement.microtask));
    else if ('immediate' in statement) loop.immediates.push(compile(statement.immediate));
    else if ('timer' in statement) loop.timers.push(compile(statement.timer));
    else {
      compile(statement.async)();
      loop.microtasks.push(compile(statement.after));
    }
  };
  const call = (callback: () => void) => {
    callback();
    while (loop.ticks.length > 0 || loop.microtasks.length > 0) {
      const source = loop.ticks.length > 0 ? loop.ticks : loop.microtasks;
      // The loop also runs callbacks that are added to the queue while it runs.
      for (const one of source) one();
      source.length = 0;
    }
  };

  call(compile(program));
  while (loop.immediates.length > 0) {
    for (const immediate of loop.immediates.splice(0)) call(immediate);
  }
  while (loop.timers.length > 0) call(loop.timers.shift()!);
  return said;
}
