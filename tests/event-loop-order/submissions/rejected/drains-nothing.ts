/*
breaks: [7, 8]
why: It resolves at once and runs no task, so nobody is ever kept waiting.
ask: Who would notice, and when?
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

export async function drain(_tasks: readonly (() => void)[]): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
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
