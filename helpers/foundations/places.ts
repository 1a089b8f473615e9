import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { repositoryRoot } from './catalogue/target.ts';
import { UserError } from './command-line/user-error.ts';
import { shortages } from './shortages.ts';

/** A folder that a run writes to. */
interface Place {
  readonly folder: string;
  /** Whether it is made when it is not there. */
  readonly isOurs: boolean;
  /** What must be free on its disk, in bytes. */
  readonly roomBytes: number;
  readonly remedy: string;
}

const megabyte = 1024 ** 2;

/** The temporary folder: databases, snapshots, and the files that judges write for modules to read. */
const temporary = (): Place => ({
  folder: tmpdir(),
  isOurs: false,
  roomBytes: 256 * megabyte,
  remedy: 'set TMPDIR to a folder where there is room to write',
});

/** Below the repository Vitest keeps what it has compiled. */
const ownCaches = (root: string): Place[] =>
  ['.cache', join('node_modules', '.vite-temp')].map((name) => ({
    folder: join(root, name),
    isOurs: true,
    roomBytes: 16 * megabyte,
    remedy: 'run in a copy of the repository where you may write',
  }));

/** Tries the folders that a judge writes to, and gives back a sentence for each that cannot be used. */
export async function placesAmiss(root = repositoryRoot): Promise<string[]> {
  const faults = await Promise.all([temporary(), ...ownCaches(root)].map(fault));
  return faults.filter((sentence) => sentence !== undefined);
}

/**
 * Makes sure that a judge can write where it must and that the machine lacks nothing that a module would be blamed for.
 * @throws UserError that names what is missing and what to do
 */
export async function requireMachine(): Promise<void> {
  const [sentence] = [...(await shortages()), ...(await placesAmiss())];
  if (sentence !== undefined) throw new UserError(sentence);
}

async function fault({ folder, isOurs, roomBytes, remedy }: Place): Promise<string | undefined> {
  const isNew = !existsSync(folder);
  const name = join(folder, `kata-try-${randomBytes(6).toString('hex')}`);
  try {
    if (isNew && isOurs) await mkdir(folder, { recursive: true });
    await writeFile(name, 'Something to write.');
    const { bavail, bsize, blocks } = await statfs(folder);
    // Some file systems of networks do not tell.
    if (blocks > 0 && bavail * bsize < roomBytes)
      return `The disk of ${folder} is almost full: ${Math.round((bavail * bsize) / megabyte)} MB are free there and a run needs ${roomBytes / megabyte} MB; free some, or ${remedy}.`;
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return `The folder ${folder} is not there: make it, or ${remedy}.`;
    if (code === 'ENOSPC' || code === 'EDQUOT') return `The disk of ${folder} is full: free some of it, or ${remedy}.`;
    return `The folder ${isOurs ? dirname(folder) : folder} cannot be written (${code ?? message}): make it writable, or ${remedy}.`;
  } finally {
    await rm(name, { force: true }).catch(() => undefined);
  }
}
