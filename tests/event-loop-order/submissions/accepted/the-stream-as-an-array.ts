import { createReadStream } from 'node:fs';
import type { Program } from '../../../../katas/event-loop-order/event-loop-order.ts';

type Place = (callback: () => void) => unknown;

/** Each line waits for the one before it. `toArray` resolves in the callback that closes the file. */
export async function run(log: (step: string) => void, file: string): Promise<void> {
  const logIn = (place: Place, step: string) => new Promise<void>((resolve) => place(() => resolve(log(step))));
  const nextTick: Place = (callback) => process.nextTick(callback);

  log('script');
  await logIn(nextTick, 'nextTick');
  log('microtask');
  const chunks: string[] = await createReadStream(file, 'utf8').toArray();
  log(`file: ${chunks.join('')}`);
  await logIn(nextTick, 'file nextTick');
  log('file microtask');
  await logIn(setImmediate, 'immediate');
  await logIn(setTimeout, 'timer');
}

/** Calls itself in an immediate with the tasks that are left. */
export function drain(tasks: readonly (() => void)[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const few = tasks.slice(0, 7);
    try {
      for (const task of few) task();
    } catch (error) {
      reject(error as Error);
      return;
    }
    if (few.length === 0) resolve();
    else setImmediate(() => resolve(drain(tasks.slice(few.length))));
  });
}

/** One list of what waits, kept in the order in which Node takes it: by phase, then ticks before microtasks. */
export function predict(program: Program): string[] {
  const names: string[] = [];
  const phases: Program[][] = [[program]];
  const ticks: Program[] = [];
  const micros: Program[] = [];

  // The first is the I/O callback; then immediates and timers take turns.
  for (let phase = 0; phase < phases.length; phase++) {
    for (const callback of (phases[phase] ??= [])) {
      perform(callback, phase);
      while (ticks.length + micros.length > 0) {
        while (ticks.length > 0) perform(ticks.shift()!, phase);
        while (micros.length > 0) perform(micros.shift()!, phase);
      }
    }
  }
  return names;

  function perform(statements: Program, phase: number): void {
    for (const statement of statements) {
      if ('log' in statement) names.push(statement.log);
      else if ('nextTick' in statement) ticks.push(statement.nextTick);
      else if ('microtask' in statement) micros.push(statement.microtask);
      else if ('immediate' in statement) plan(statement.immediate, phase + 1 + (phase % 2));
      else if ('timer' in statement) plan(statement.timer, phase + 2 - (phase % 2));
      else {
        perform(statement.async, phase);
        micros.push(statement.after);
      }
    }
  }

  function plan(later: Program, phase: number): void {
    while (phases.length <= phase) phases.push([]);
    phases[phase]!.push(later);
  }
}
