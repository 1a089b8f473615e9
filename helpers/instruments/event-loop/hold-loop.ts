import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Gauged } from '../gauges/gauges.ts';
import { until } from '../../foundations/waiting/until.ts';
import { readPipe } from './read-pipe.ts';

/** An event loop that stands still, until it is released. Disposing releases it as well. */
export interface HeldLoop extends AsyncDisposable {
  /** False where the process has named pipes of its own: in a container of a virtual machine. */
  readonly isHeld: boolean;
  /** @throws SubjectError when the process has ended in the meantime or could not be held */
  release(): Promise<void>;
}

let count = 0;

/**
 * Stops the event loop of a process until it is released. Network input waits in the kernel until then, and
 * the process finds all of it at once, although it accepts one new connection a turn. So requests are sure to be there together,
 * however slowly their sender gets on. It holds no other thread of the process.
 *
 * How: the process waits in a read of a named pipe in `folder`, which ends when something is written to it, or its writer
 * has gone for whatever reason.
 *
 * @param wait reads the pipe in the process; for a judge that has something done there before the loop goes on
 */
export async function holdLoop(
  subject: Gauged,
  folder: string,
  wait: (path: string) => Promise<unknown> = (path) => subject.evaluate(readPipe, path),
): Promise<HeldLoop> {
  const path = join(folder, `hold-${++count}`);
  await promisify(execFile)('mkfifo', [path]);
  const over = wait(path);
  // It is awaited at the release, and may have failed before that.
  let hasFailed = false;
  over.catch(() => (hasFailed = true));
  // Refused until the process has come to its own open, and from then on it waits for this writer.
  let writer: FileHandle | undefined;
  await until(async () => {
    writer = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
    return writer !== undefined || hasFailed;
  });
  let released: Promise<void> | undefined;
  const letGo = async () => {
    if (!writer && !hasFailed) return;
    // Not by closing it alone: a process that is being started holds the writer, too, until it has become its own program.
    await writer?.write('x').catch(() => undefined);
    await writer?.close();
    await over;
  };
  const release = () => (released ??= letGo());
  return { isHeld: writer !== undefined, release, [Symbol.asyncDispose]: () => release().catch(() => undefined) };
}
