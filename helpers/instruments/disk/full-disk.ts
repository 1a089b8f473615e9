import { spawnSync } from 'node:child_process';
import type { Gauged } from '../gauges/gauges.ts';

/** A disk with no more room, until there is some again. Disposing makes room as well. */
export interface FullDisk extends AsyncDisposable {
  makeRoom(): Promise<void>;
}

/** Why a disk cannot be made to run full on this platform; undefined where it can. */
export const noFullDisk =
  process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0
    ? undefined
    : 'only Linux, by its prlimit, lets the writes of another process fail.';

/**
 * From now on no file that the process writes grows beyond `bytes`: the write that comes to this length is cut short
 * there, and each one after it fails, with EFBIG, by whatever function the module writes. So it is with a disk that runs
 * full, but for the name of the error.
 */
export async function fillDisk(subject: Pick<Gauged, 'fromOutside'>, bytes: number): Promise<FullDisk> {
  // The soft limit alone, which may be raised again.
  await subject.fromOutside('limitFiles', String(bytes));
  let made: Promise<void> | undefined;
  const makeRoom = () => (made ??= subject.fromOutside('limitFiles', 'unlimited'));
  return { makeRoom, [Symbol.asyncDispose]: () => makeRoom().catch(() => undefined) };
}
