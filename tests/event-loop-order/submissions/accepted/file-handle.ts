import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A small program: statements that run one after the other. */
export type Program = readonly Statement[];

export type Statement =
  | { readonly log: string }
  | { readonly nextTick: Program }
  | { readonly microtask: Program }
  | { readonly async: Program; readonly after: Program }
  | { readonly immediate: Program }
  | { readonly timer: Program };

/** Logs the steps, each from its place in the event loop, and resolves after the last one. */
export async function run(log: (step: string) => void, file: string): Promise<void> {
  log('script');
  process.nextTick(log, 'nextTick');
  await Promise.resolve();
  log('microtask');

  const text = await read(file);
  // This is a microtask of the I/O callback of `close`. A nextTick would run after the microtasks that are queued
  // here, so the nextTick queues the microtask.
  log(`file: ${text}`);
  const immediate = new Promise<void>((resolve) => {
    setImmediate(() => {
      log('immediate');
      resolve();
    });
  });
  await new Promise<void>((resolve) => {
    process.nextTick(() => {
      log('file nextTick');
      resolve();
    });
  });
  log('file microtask');

  await immediate;
  await sleep(1);
  log('timer');
}

async function read(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(4096), 0, 4096, null);
      if (bytesRead === 0) return Buffer.concat(parts).toString('utf8');
      parts.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

interface Job {
  readonly tasks: Iterator<() => void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** All jobs that are being drained. Each turn of the loop runs one task, however many jobs there are. */
const jobs: Job[] = [];

/** Runs the tasks one after the other and lets other work run in between. */
export function drain(tasks: readonly (() => void)[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (jobs.push({ tasks: tasks.values(), resolve, reject }) === 1) setImmediate(oneTask);
  return promise;
}

function oneTask(): void {
  const job = jobs.shift()!;
  try {
    const { done, value: task } = job.tasks.next();
    if (done) job.resolve();
    else {
      task();
      jobs.push(job);
    }
  } catch (error) {
    job.reject(error);
  }
  if (jobs.length > 0) setImmediate(oneTask);
}

type Kind = 'log' | 'nextTick' | 'microtask' | 'immediate' | 'timer';
type Made = Record<Kind, readonly Made0[]>;
type Made0 = string | Program;

const kinds = ['log', 'nextTick', 'microtask', 'immediate', 'timer'] as const;
const nothing: Made = { log: [], nextTick: [], microtask: [], immediate: [], timer: [] };

/** The order in which a program logs its names when an I/O callback runs it. */
export function predict(program: Program): string[] {
  let made = behind(body(program));
  while (made.immediate.length + made.timer.length > 0) {
    const kind = made.immediate.length > 0 ? 'immediate' : 'timer';
    const [first, ...rest] = made[kind] as Program[];
    made = join({ ...made, [kind]: rest }, behind(body(first!)));
  }
  return made.log as string[];
}

/** What a body logs and queues while it runs. */
function body(program: Program): Made {
  return program.map(one).reduce(join, nothing);
}

function one(statement: Statement): Made {
  if ('async' in statement) return join(body(statement.async), { ...nothing, microtask: [statement.after] });
  const [[kind, value]] = Object.entries(statement) as [[Kind, Made0]];
  return { ...nothing, [kind]: [value] };
}

/** Runs all nextTicks, then one generation of microtasks, and repeats until nothing is left. */
function behind(made: Made): Made {
  for (;;) {
    const kind = made.nextTick.length > 0 ? 'nextTick' : 'microtask';
    if (made[kind].length === 0) return made;
    made = generations(made, kind);
  }
}

function generations(made: Made, kind: 'nextTick' | 'microtask'): Made {
  while (made[kind].length > 0) {
    const generation = made[kind] as Program[];
    made = generation.map(body).reduce(join, { ...made, [kind]: [] });
  }
  return made;
}

function join(first: Made, other: Made): Made {
  return Object.fromEntries(kinds.map((kind) => [kind, [...first[kind], ...other[kind]]])) as unknown as Made;
}
