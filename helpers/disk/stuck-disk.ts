import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Gauged } from '../gauges/gauges.ts';
import { until } from '../wait/until.ts';

/** A disk that does not answer, until it is released. Disposing releases it as well. */
export interface StuckDisk extends AsyncDisposable {
  release(): Promise<void>;
}

/** Why a disk cannot be made to hang on this platform; undefined where it can. */
export const noStuckDisk =
  process.platform === 'win32' ? 'Windows has no named pipe that holds up an open.' : undefined;

/** The named pipe of a process, made once: making one starts a process. */
const gates = new WeakMap<Gauged, Promise<string>>();
let count = 0;

function gateOf(subject: Gauged, folder: string): Promise<string> {
  const known = gates.get(subject) ?? makeGate(join(folder, `gate-${++count}`));
  gates.set(subject, known);
  return known;
}

async function makeGate(path: string): Promise<string> {
  await promisify(execFile)('mkfifo', [path]);
  return path;
}

/**
 * From now on no asynchronous file operation of the process gets done: opens, reads, stats wait their turn, as when a
 * disk hangs. Its event loop and its sockets go on. Synchronous calls go past it, so whatever has read a file
 * meanwhile has stopped the loop for it.
 *
 * How: every thread of libuv's pool opens a named pipe in `folder` for reading, and nobody writes to it. The pipe stays
 * there, for the next time.
 */
export async function stickDisk(subject: Gauged, folder: string): Promise<StuckDisk> {
  const gate = await gateOf(subject, folder);
  await subject.evaluate((_kata, path, kept: { held?: Promise<void>[] }) => {
    const { close, open: openFile } = process.getBuiltinModule('node:fs');
    // A module may have asked for more threads than the four that there are.
    const threads = Math.max(4, Number(process.env.UV_THREADPOOL_SIZE) || 0);
    kept.held = Array.from({ length: threads }, () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      openFile(path, (error, descriptor) => (error ? resolve() : close(descriptor, () => resolve())));
      return promise;
    });
  }, gate);

  let released: Promise<void> | undefined;
  const release = () => (released ??= letGo(subject, gate));
  return { release, [Symbol.asyncDispose]: () => release().catch(() => undefined) };
}

async function letGo(subject: Gauged, gate: string): Promise<void> {
  let writer: FileHandle | undefined;
  await until(async () => {
    // Refused until the first of the threads has come to its open; from then on none of them waits.
    writer = await open(gate, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
    return writer !== undefined || !subject.alive;
  });
  try {
    await subject.evaluate(
      async (_kata, _args, kept: { held?: Promise<void>[] }) => void (await Promise.all(kept.held!)),
    );
  } finally {
    await writer?.close();
  }
}
