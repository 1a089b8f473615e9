/*
breaks: [4, 5]
why: run closes the file before it sets the immediate. By the time the file is closed, a timer may be due and run first.
ask: What does `await using` wait for at the end of its block?
*/
import { open } from 'node:fs/promises';
import { setImmediate as immediate, setTimeout as timeout } from 'node:timers/promises';
import type { Program } from '../../../../katas/event-loop-order/event-loop-order.ts';

/** Logs the steps, each from its place in the event loop, and resolves after the last one. */
export async function run(log: (step: string) => void, file: string): Promise<void> {
  log('script');
  process.nextTick(() => log('nextTick'));
  queueMicrotask(() => log('microtask'));
  await readAndSay(log, file);
  await immediate();
  log('immediate');
  await timeout(0);
  log('timer');
}

async function readAndSay(log: (step: string) => void, file: string): Promise<void> {
  await using handle = await open(file);
  const text = await handle.readFile('utf8');
  log(`file: ${text}`);
  // This already runs in a microtask. The nextTick must queue the second microtask, or it would run first.
  await new Promise<void>((resolve) => {
    process.nextTick(() => {
      log('file nextTick');
      queueMicrotask(() => {
        log('file microtask');
        resolve();
      });
    });
  });
}

const TASKS_PER_TURN = 10;

/** Runs the tasks one after the other and lets other work run in between. */
export async function drain(tasks: readonly (() => void)[]): Promise<void> {
  for (const [index, task] of tasks.entries()) {
    if (index > 0 && index % TASKS_PER_TURN === 0) await immediate();
    task();
  }
}

/** The order in which a program logs its names when an I/O callback runs it. */
export function predict(program: Program): string[] {
  const order: string[] = [];
  const ticks: Program[] = [];
  const microtasks: Program[] = [];
  const immediates: Program[] = [];
  const timers: Program[] = [];

  let callback: Program | undefined = program;
  while (callback !== undefined) {
    perform(callback);
    while (ticks.length > 0 || microtasks.length > 0) {
      empty(ticks);
      empty(microtasks);
    }
    callback = immediates.shift() ?? timers.shift();
  }
  return order;

  function empty(queue: Program[]): void {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) perform(next);
  }

  function perform(statements: Program): void {
    for (const statement of statements) {
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
