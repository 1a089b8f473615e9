/*
breaks: [4, 5]
why: run logs "immediate" from a timer of 0 ms. Any timer that was set earlier in the I/O callback runs before it.
ask: What does setTimeout(f, 0) wait for?
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
      setTimeout(() => log('immediate'), 0);
      return setTimeout(() => resolve(log('timer')), 0);
    });
  });
}

export async function drain(tasks: readonly (() => void)[]): Promise<void> {
  for (const task of tasks) {
    task();
    await new Promise((resolve) => setImmediate(resolve));
  }
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
