import { readFile } from 'node:fs';
import type * as Starter from '../../katas/event-loop-order/event-loop-order.ts';

type Program = Starter.Program;

export const run = ((log, file) => {
  log('script');
  process.nextTick(() => log('nextTick'));
  queueMicrotask(() => log('microtask'));
  return new Promise((resolve, reject) => {
    readFile(file, 'utf8', (error, text) => {
      if (error) return reject(error);
      log(`file: ${text}`);
      process.nextTick(() => log('file nextTick'));
      queueMicrotask(() => log('file microtask'));
      // The decisive place: the check phase follows the poll phase, and timers come after it, even if they are due.
      setImmediate(() => log('immediate'));
      setTimeout(() => resolve(log('timer')), 0);
    });
  });
}) satisfies typeof Starter.run;

export const drain = (async (tasks) => {
  for (const task of tasks) {
    task();
    // Not a microtask: all microtasks run before the loop goes on.
    await new Promise((resolve) => setImmediate(resolve));
  }
}) satisfies typeof Starter.drain;

export const predict = ((program) => {
  const order: string[] = [];
  const queues: Record<'tick' | 'micro' | 'immediate' | 'timer', Program[]> = {
    tick: [],
    micro: [],
    immediate: [],
    timer: [],
  };

  callback(program);
  for (let next; (next = queues.immediate.shift() ?? queues.timer.shift());) callback(next);
  return order;

  /** Runs one callback of the loop and everything that must run before the next one. */
  function callback(body: Program): void {
    perform(body);
    while (queues.tick.length + queues.micro.length > 0) {
      // Each queue is emptied, including callbacks that are added in the process, before the other one gets its turn.
      for (let next; (next = queues.tick.shift());) perform(next);
      for (let next; (next = queues.micro.shift());) perform(next);
    }
  }

  function perform(body: Program): void {
    for (const statement of body) {
      if ('log' in statement) order.push(statement.log);
      else if ('nextTick' in statement) queues.tick.push(statement.nextTick);
      else if ('microtask' in statement) queues.micro.push(statement.microtask);
      else if ('immediate' in statement) queues.immediate.push(statement.immediate);
      else if ('timer' in statement) queues.timer.push(statement.timer);
      else {
        perform(statement.async);
        queues.micro.push(statement.after);
      }
    }
  }
}) satisfies typeof Starter.predict;
