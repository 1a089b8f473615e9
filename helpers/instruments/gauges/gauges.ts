import { stat } from 'node:fs/promises';
import type { Subject } from '../../judging/subject/subject.ts';
import { until } from '../../foundations/waiting/until.ts';
import { hasProc } from '../../foundations/processes/proc.ts';

/** What the gauges need of a subject. */
export type Gauged = Pick<Subject<unknown, object>, 'fromOutside' | 'alive' | 'evaluate' | 'heldBytes' | 'turns'>;

/** Why bytes read cannot be told on this platform; undefined where they can. */
export const noBytesRead = hasProc ? undefined : 'only Linux tells how many bytes a process has read.';

/**
 * How many bytes the process has read so far, of whatever kind. Compare two figures of one subject.
 * @throws Error where `noBytesRead` says why
 */
export async function bytesRead(subject: Gauged): Promise<number> {
  if (noBytesRead !== undefined) throw new Error(noBytesRead);
  return await subject.fromOutside('bytesRead');
}

/**
 * How many bytes the process's main thread has read so far: synchronous reads of files, sockets and pipes, and none that a
 * thread of the pool does for it. Compare two figures of one subject.
 * @throws Error where `noBytesRead` says why
 */
export async function bytesReadByMainThread(subject: Gauged): Promise<number> {
  if (noBytesRead !== undefined) throw new Error(noBytesRead);
  return await subject.fromOutside('bytesReadByMainThread');
}

/** Why bytes written cannot be told on this platform; undefined where they can. */
export const noBytesWritten = hasProc ? undefined : 'only Linux tells how many bytes a process has written.';

/**
 * How many bytes the process has written so far, to wherever; a write of 8 bytes or less, as of a thread that wakes another
 * one, counts for nothing. Compare two figures of one subject.
 * @throws Error where `noBytesWritten` says why
 */
export async function bytesWritten(subject: Gauged): Promise<number> {
  if (noBytesWritten !== undefined) throw new Error(noBytesWritten);
  return await subject.fromOutside('bytesWritten');
}

/**
 * The most memory that the process has held at any time since it was started, in bytes: what it has let go of since
 * counts too. Compare two figures of one subject that has done little before.
 */
export async function peakBytes(subject: Gauged): Promise<number> {
  if (hasProc) return await subject.fromOutside('peakBytes');
  return (await subject.evaluate(() => process.resourceUsage().maxRSS)) * 1024;
}

/** How much CPU time all threads of the process have used so far, in ms. Compare it with a reference of the same run. */
export async function cpuMs(subject: Gauged): Promise<number> {
  if (hasProc) return await subject.fromOutside('cpuMs');
  const { user, system } = await subject.evaluate(() => process.cpuUsage());
  return (user + system) / 1000;
}

/** The numbers under which the process has this file open. The file has to be there. */
export async function openDescriptors(subject: Gauged, file: string): Promise<number[]> {
  const { dev, ino } = await stat(file);
  if (hasProc) return await subject.fromOutside('descriptors', { dev, ino });
  return await subject.evaluate(
    (_kata, wanted) => {
      const { fstatSync } = process.getBuiltinModule('node:fs');
      const found: number[] = [];
      for (let descriptor = 3; descriptor < 1024; descriptor++) {
        try {
          const seen = fstatSync(descriptor);
          if (seen.dev === wanted.dev && seen.ino === wanted.ino) found.push(descriptor);
        } catch {
          // Not open.
        }
      }
      return found;
    },
    { dev, ino },
  );
}

const calmLooks = 5;
const limitMs = 20_000;

/**
 * Waits until the process has nothing left to do. With /proc: all its threads sleep, and none has run between five
 * looks in a row, so that a thread that only waits for a processor is not taken for one at rest. Elsewhere: what it
 * holds in memory stays the same while its event loop turns.
 * @returns whether it came to rest within 20 s
 */
export async function atRest(subject: Gauged): Promise<boolean> {
  let calm = 0;
  let last: number | undefined;
  return await until(async () => {
    if (!subject.alive) return true;
    const now = hasProc
      ? await subject.fromOutside('switchesAsleep').catch(() => undefined)
      : await heldAfterTurns(subject);
    calm = now !== undefined && now === last ? calm + 1 : 0;
    last = now;
    return calm === calmLooks;
  }, limitMs);
}

async function heldAfterTurns(subject: Gauged): Promise<number> {
  await subject.turns(50);
  // The heap itself moves a little with each look.
  return Math.round((await subject.heldBytes()) / 1024 ** 2);
}
