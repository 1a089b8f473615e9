import { readFile } from 'node:fs/promises';
import { scheduler, setImmediate, setTimeout } from 'node:timers/promises';
import type { Program } from '../../../../katas/event-loop-order/event-loop-order.ts';

/** Uses async functions. What a step awaits decides where the next step resumes. */
export async function run(log: (step: string) => void, file: string): Promise<void> {
  log('script');
  process.nextTick(log, 'nextTick');
  await Promise.resolve();
  log('microtask');

  const text = await readFile(file, 'utf8');
  log(`file: ${text}`);
  // This already runs in a microtask, so a nextTick waits until all microtasks are done.
  await new Promise<void>((resolve) => process.nextTick(() => resolve(log('file nextTick'))));
  log('file microtask');

  await setImmediate();
  log('immediate');
  await setTimeout(0);
  log('timer');
}

export async function drain(tasks: readonly (() => void)[]): Promise<void> {
  for (const [index, task] of tasks.entries()) {
    if (index > 0 && index % 5 === 0) await scheduler.yield();
    task();
  }
}

/** Each phase is a generator that yields its work and goes on while new work comes in. */
export function predict(program: Program): string[] {
  const said: string[] = [];
  const [ticks, micros, checks, timers]: [Program[], Program[], Program[], Program[]] = [[], [], [], []];

  function* emptying(queue: Program[]) {
    while (queue[0]) yield queue.shift()!;
  }
  const carryOut = (body: Program): void =>
    body.forEach((one) => {
      if ('log' in one) said.push(one.log);
      if ('nextTick' in one) ticks.push(one.nextTick);
      if ('microtask' in one) micros.push(one.microtask);
      if ('immediate' in one) checks.push(one.immediate);
      if ('timer' in one) timers.push(one.timer);
      if ('async' in one) {
        carryOut(one.async);
        micros.push(one.after);
      }
    });
  const settle = () => {
    do {
      for (const body of emptying(ticks)) carryOut(body);
      for (const body of emptying(micros)) carryOut(body);
    } while (ticks.length);
  };

  for (const phase of [[program], checks, timers])
    for (const body of emptying(phase)) {
      carryOut(body);
      settle();
    }
  return said;
}
