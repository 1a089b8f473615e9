import { readFile } from 'node:fs/promises';

/** A small program: statements that run one after the other. */
export type Program = readonly Statement[];

export type Statement =
  | { readonly log: string }
  | { readonly nextTick: Program }
  | { readonly microtask: Program }
  | { readonly async: Program; readonly after: Program }
  | { readonly immediate: Program }
  | { readonly timer: Program };

/** Logs the steps of the page, each from its place, and resolves after the last one. */
export async function run(log: (step: string) => void, file: string): Promise<void> {
  log('script');
  queueMicrotask(() => log('microtask'));
  process.nextTick(() => log('nextTick'));
  const immediate = new Promise<void>((resolve) => setImmediate(() => resolve(log('immediate'))));
  const timer = new Promise<void>((resolve) => setTimeout(() => resolve(log('timer')), 10));

  const text = await readFile(file, 'utf8');
  log(`file: ${text}`);
  process.nextTick(() => log('file nextTick'));
  queueMicrotask(() => log('file microtask'));
  await Promise.all([immediate, timer]);
}

/** Runs the tasks one after the other and lets other work run in between. */
export async function drain(tasks: readonly (() => void)[]): Promise<void> {
  await Promise.all(
    tasks.map(async (task) => {
      await Promise.resolve();
      task();
    }),
  );
}

/** The order in which a program logs its names when an I/O callback runs it. */
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
