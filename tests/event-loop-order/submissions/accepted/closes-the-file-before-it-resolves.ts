import { open } from 'node:fs/promises';

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
  const microtask = Promise.withResolvers<void>();
  process.nextTick(() => {
    // queued from here, it is still behind all microtasks that wait
    queueMicrotask(() => {
      log('microtask');
      microtask.resolve();
    });
    log('nextTick');
  });
  await microtask.promise;

  // a callback of the read goes on in its microtasks; the handle stays open until all is logged
  const handle = await open(file);
  try {
    log(`file: ${await handle.readFile('utf8')}`);
    const immediate = new Promise<void>((resolve, reject) => {
      setImmediate(() => {
        try {
          log('immediate');
        } catch (error) {
          reject(error as Error);
          return;
        }
        resolve();
      });
    });
    immediate.catch(() => {});
    await new Promise<void>((resolve) => {
      process.nextTick(() => {
        log('file nextTick');
        queueMicrotask(() => {
          log('file microtask');
          resolve();
        });
      });
    });
    await immediate;
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        log('timer');
        resolve();
      }, 1);
    });
  } finally {
    await handle.close();
  }
}

/** Runs the tasks one after the other, seven in the call and seven in each timer. */
export function drain(tasks: readonly (() => void)[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const waiting = tasks.values();
  turn();
  return promise;

  function turn(): void {
    for (let left = 7; left > 0; left--) {
      const next = waiting.next();
      if (next.done) {
        resolve();
        return;
      }
      try {
        next.value();
      } catch (error) {
        reject(error as Error);
        return;
      }
    }
    setTimeout(turn);
  }
}

/** Each immediate and timer gets the number of the phase that will run it: even for immediates, odd for timers. */
export function predict(program: Program): string[] {
  const order: string[] = [];
  const phases = new Map<number, Program[]>([[-1, [program]]]);
  let jobs: Program[] = [];
  let ticks: Program[] = [];

  for (let phase = -1; phases.size > 0; phase++) {
    const callbacks = phases.get(phase) ?? [];
    phases.delete(phase);
    for (const callback of callbacks) {
      execute(callback, phase);
      while (ticks.length + jobs.length > 0) {
        // Node empties one queue before it looks at the other
        while (ticks.length > 0) execute(ticks.shift()!, phase);
        while (jobs.length > 0) execute(jobs.shift()!, phase);
      }
    }
  }
  return order;

  function later(phase: number, callback: Program): void {
    phases.set(phase, [...(phases.get(phase) ?? []), callback]);
  }

  function execute([statement, ...rest]: Program, phase: number): void {
    if (statement === undefined) return;
    if ('log' in statement) order.push(statement.log);
    else if ('nextTick' in statement) ticks = [...ticks, statement.nextTick];
    else if ('microtask' in statement) jobs = [...jobs, statement.microtask];
    else if ('immediate' in statement) later(phase % 2 === 0 ? phase + 2 : phase + 1, statement.immediate);
    else if ('timer' in statement) later(phase % 2 === 0 ? phase + 1 : phase + 2, statement.timer);
    else {
      execute(statement.async, phase);
      jobs = [...jobs, statement.after];
    }
    execute(rest, phase);
  }
}
