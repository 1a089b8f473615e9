/*
breaks: [8]
why: Every task has its timer, and when they are due, one pass calls them all.
ask: What may come between two timers that are due?
*/
import { readFile } from 'node:fs';
import type { Program } from '../../../../katas/event-loop-order/event-loop-order.ts';

export function run(log: (step: string) => void, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    log('script');
    process.nextTick(() => log('nextTick'));
    queueMicrotask(() => log('microtask'));
    readFile(file, 'utf8', (error, text) => {
      if (error) return reject(error);
      log(`file: ${text}`);
      process.nextTick(() => log('file nextTick'));
      queueMicrotask(() => log('file microtask'));
      setImmediate(() => log('immediate'));
      return setTimeout(() => resolve(log('timer')), 0);
    });
  });
}

export async function drain(tasks: readonly (() => void)[]): Promise<void> {
  const done = Promise.withResolvers<void>();
  if (tasks.length === 0) return;
  const timers = tasks.map((task, index) =>
    setTimeout(() => {
      try {
        task();
      } catch (error) {
        timers.forEach((timer) => clearTimeout(timer));
        done.reject(error);
      }
      if (index === tasks.length - 1) done.resolve();
    }),
  );
  await done.promise;
}

export function predict(program: Program): string[] {
  const order: string[] = [];
  const ticks: Program[] = [];
  const microtasks: Program[] = [];
  const immediates: Program[] = [];
  const timers: Program[] = [];

  perform(program);
  settle();
  while (immediates.length + timers.length > 0) {
    perform((immediates.shift() ?? timers.shift())!);
    settle();
  }
  return order;

  function settle() {
    while (ticks.length + microtasks.length > 0) {
      while (ticks.length > 0) perform(ticks.shift()!);
      while (microtasks.length > 0) perform(microtasks.shift()!);
    }
  }

  function perform(body: Program) {
    for (const statement of body) {
      if ('log' in statement) order.push(statement.log);
      else if ('nextTick' in statement) ticks.push(statement.nextTick);
      else if ('microtask' in statement) microtasks.push(statement.microtask);
      else if ('immediate' in statement) immediates.push(statement.immediate);
      else if ('timer' in statement) timers.push(statement.timer);
      else {
        perform(statement.async);
        microtasks.push(statement.after);
      }
    }
  }
}
