import { readFile } from 'node:fs';

/** A small program: statements that are carried out one after the other. */
export type Program = readonly Statement[];

export type Statement =
  | { readonly log: string }
  | { readonly nextTick: Program }
  | { readonly microtask: Program }
  | { readonly async: Program; readonly after: Program }
  | { readonly immediate: Program }
  | { readonly timer: Program };

/** Does the steps of the page, each in its place, and resolves after the last of them. */
export function run(log: (step: string) => void, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    log('script');
    queueMicrotask(() => log('microtask'));
    process.nextTick(() => log('nextTick'));
    readFile(file, 'utf8', (error, text) => {
      if (error) return reject(error);
      log(`file: ${text}`);
      process.nextTick(() => log('file nextTick'));
      return queueMicrotask(() => log('file microtask'));
    });
    setImmediate(() => log('immediate'));
    setTimeout(() => {
      log('timer');
      resolve();
    }, 10);
  });
}

/** Runs the tasks one after the other, and lets others have their turn in between. */
export async function drain(tasks: readonly (() => void)[]): Promise<void> {
  for (const task of tasks) {
    task();
    await Promise.resolve();
  }
}

/** The order in which a program says its names, when it is the callback of an I/O operation. */
export function predict(program: Program): string[] {
  const order: string[] = [];
  const later: Record<'nextTick' | 'microtask' | 'timer' | 'immediate', Program[]> = {
    nextTick: [],
    microtask: [],
    timer: [],
    immediate: [],
  };
  perform(program);
  for (;;) {
    const next = later.nextTick.shift() ?? later.microtask.shift() ?? later.timer.shift() ?? later.immediate.shift();
    if (next === undefined) return order;
    perform(next);
  }

  function perform(statements: Program): void {
    for (const statement of statements) {
      if ('log' in statement) order.push(statement.log);
      else if ('nextTick' in statement) later.nextTick.push(statement.nextTick);
      else if ('microtask' in statement) later.microtask.push(statement.microtask);
      else if ('timer' in statement) later.timer.push(statement.timer);
      else if ('immediate' in statement) later.immediate.push(statement.immediate);
      else later.microtask.push([...statement.async, ...statement.after]);
    }
  }
}
