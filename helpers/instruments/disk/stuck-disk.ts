import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Gauged } from '../gauges/gauges.ts';
import { until } from '../../foundations/waiting/until.ts';

/** A disk that does not answer, until it is released. Disposing releases it as well. */
export interface StuckDisk extends AsyncDisposable {
  release(): Promise<void>;
  /** Lets those operations get done that wait now, if there are any; what is asked after that waits. */
  step(): Promise<void>;
}

/** Why a disk cannot be made to hang on this platform; undefined where it can. */
export const noStuckDisk =
  process.platform === 'win32' ? 'Windows has no named pipe that holds up an open.' : undefined;

const gatesAtOnce = 32;
let count = 0;

/**
 * Named pipes in `folder`, to be used once each: when a process is started anywhere in ours, it holds what we have open until it
 * has become its own program, and a pipe with such a writer would hold nobody up. Made many at once, for that starts a process, too.
 */
async function makeGates(folder: string): Promise<string[]> {
  const gates = Array.from({ length: gatesAtOnce }, () => join(folder, `gate-${++count}`));
  await promisify(execFile)('mkfifo', gates);
  return gates;
}

/** What a process keeps of its threads that wait at a pipe, by the pipe's path. */
interface Kept {
  waiting?: Record<string, Promise<void>[]>;
}

/** In the process: so many threads open a pipe that nobody writes to. */
function block(_kata: unknown, { path, threads }: { path: string; threads: number }, kept: Kept): void {
  const { closeSync, open: openFile } = process.getBuiltinModule('node:fs');
  const waiting = Array.from({ length: threads }, () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    // Closed at once: a later request to the disk would have to wait for the others.
    openFile(path, (error, descriptor) => resolve(error ? undefined : closeSync(descriptor)));
    return promise;
  });
  kept.waiting = { ...kept.waiting, [path]: waiting };
}

/**
 * From now on no asynchronous file operation of the process gets done: opens, reads, stats wait their turn, as when a
 * disk hangs. Its event loop and its sockets go on. Synchronous calls go past it, so whatever has read a file
 * meanwhile has stopped the loop for it.
 *
 * How: every thread of libuv's pool opens a named pipe in `folder` for reading, and nobody writes to it. libuv's queue is
 * first in, first out, so a step puts one more such open behind what waits, and lets a single thread go as far as that.
 */
export async function stickDisk(subject: Gauged, folder: string): Promise<StuckDisk> {
  const gates = await makeGates(folder);
  const nextGate = async () => {
    if (gates.length === 0) gates.push(...(await makeGates(folder)));
    return gates.pop()!;
  };
  const wall = await nextGate();
  let turnstile = await nextGate();
  // A module may have asked for more threads than the four that there are.
  const threads = await subject.evaluate(() => Math.max(4, Number(process.env.UV_THREADPOOL_SIZE) || 0));
  await subject.evaluate(block, { path: wall, threads: threads - 1 });
  await subject.evaluate(block, { path: turnstile, threads: 1 });

  const step = async () => {
    const here = turnstile;
    turnstile = await nextGate();
    await subject.evaluate(block, { path: turnstile, threads: 1 });
    await letPass(subject, [here]);
  };
  let released: Promise<void> | undefined;
  const release = () => (released ??= letPass(subject, [wall, turnstile]));
  return { release, step, [Symbol.asyncDispose]: () => release().catch(() => undefined) };
}

/** Lets all go on that wait at these pipes. */
async function letPass(subject: Gauged, paths: readonly string[]): Promise<void> {
  await using writers = new AsyncDisposableStack();
  for (const path of paths) {
    await until(async () => {
      // Refused until the first of the threads has come to its open; from then on none of them waits.
      const writer = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
      if (writer) writers.use(writer);
      return writer !== undefined || !subject.alive;
    });
  }
  await subject.evaluate(async (_kata, all, kept: Kept) => {
    for (const path of all) await Promise.all(kept.waiting?.[path] ?? []);
  }, paths);
}
