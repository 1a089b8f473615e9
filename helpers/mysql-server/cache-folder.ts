import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, lstat, mkdir, readFile, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { homeFolder } from '../foundations/home-folder.ts';
import { leash } from '../foundations/processes/leash.ts';
import { readSettings } from '../foundations/settings.ts';
import { MysqlUnavailable } from './source.ts';

/** What fetching, unpacking and initialising a server takes. */
const roomBytes = 400 * 1024 ** 2;

/** What a folder of the cache holds: its files with their sizes in bytes, and the facts its maker wrote down. */
export interface CachedFolder<Facts> {
  readonly folder: string;
  /** Relative paths, `/` between the parts. */
  readonly files: Readonly<Record<string, number>>;
  /** Relative paths of all folders, parents first. */
  readonly folders: readonly string[];
  readonly facts: Facts;
}

const listFile = '.whole.json';
const making = '.making-';
const underway = new Map<string, Promise<CachedFolder<unknown>>>();

/** The folder that outlives a run: `KATA_CACHE`, else `backend-katas` in the platform's own cache folder. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { cache } = readSettings(env);
  if (cache) return resolve(cache);
  // Whoever has no home has a folder among the temporary ones, by his number.
  const home = homeFolder(env) ?? join(tmpdir(), `backend-katas-home-${process.getuid?.() ?? 0}`);
  if (process.platform === 'win32') {
    return join(env['LOCALAPPDATA'] || join(home, 'AppData', 'Local'), 'backend-katas', 'cache');
  }
  if (env['XDG_CACHE_HOME']) return resolve(env['XDG_CACHE_HOME'], 'backend-katas');
  return process.platform === 'darwin'
    ? join(home, 'Library', 'Caches', 'backend-katas')
    : join(home, '.cache', 'backend-katas');
}

/** The size of the cache on disk, in bytes; 0 when there is none. */
export async function cacheSizeBytes(env: NodeJS.ProcessEnv = process.env): Promise<number> {
  let bytes = 0;
  const walk = async (folder: string): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await walk(path);
      // Blocks of 512 bytes, because the files of a database have holes; Windows counts no blocks.
      else
        bytes += await lstat(path).then(
          (s) => (s.blocks === undefined ? s.size : s.blocks * 512),
          () => 0,
        );
    }
  };
  await walk(cacheFolder(env));
  return bytes;
}

/**
 * Finds the folder `name` whole in the cache, or has `make` fill a new one. A folder comes into its place by one
 * rename, with the list of its files, so another process sees it whole or not at all; one that lost a file since then
 * is made anew. Two makers at once do not disturb each other: the first to be done wins.
 * @throws MysqlUnavailable when the cache cannot be written; nothing half-made stays
 */
export async function cached<Facts>(
  name: string,
  make: (folder: string) => Promise<Facts>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<CachedFolder<Facts>> {
  const key = join(cacheFolder(env), name);
  const running = underway.get(key) ?? findOrMake(cacheFolder(env), name, make).finally(() => underway.delete(key));
  underway.set(key, running);
  return running as Promise<CachedFolder<Facts>>;
}

/**
 * Tries what a new server needs of the cache: that it can be written, that programs run from there, and room.
 * @returns why that is not so and what to do, or undefined when it is
 */
export async function tryCache(env: NodeJS.ProcessEnv): Promise<{ why: string; remedy: string } | undefined> {
  const cache = cacheFolder(env);
  const program = join(cache, `.try-${randomBytes(6).toString('hex')}`);
  const remedy = 'Set KATA_CACHE to a folder with room where programs may run, or use Docker.';
  let made: string | undefined;
  try {
    made = await mkdir(cache, { recursive: true, mode: 0o700 });
    await writeFile(program, '#!/bin/sh\n', { mode: 0o700 });
    const { bavail, bsize, blocks } = await statfs(cache);
    if (blocks > 0 && bavail * bsize < roomBytes) {
      const free = Math.round((bavail * bsize) / 1024 ** 2);
      return {
        why: `the disk of ${cache} has ${free} MB free, and a server needs ${roomBytes / 1024 ** 2} MB`,
        remedy,
      };
    }
    return (await mayRun(program))
      ? undefined
      : { why: `no program may run from ${cache}, as on a disk mounted noexec`, remedy };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return {
      why: isFull(error) ? `the disk of ${cache} is full` : `${cache} cannot be written (${code ?? message})`,
      remedy,
    };
  } finally {
    await rm(program, { force: true }).catch(() => undefined);
    if (made !== undefined) await rm(made, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Whether the system would run this file. */
export async function mayRun(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** The folder `name` if the cache has it whole, else undefined; makes and writes nothing. */
export async function findCached<Facts>(
  name: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<CachedFolder<Facts> | undefined> {
  return (await look<Facts>(cacheFolder(env), name)).whole;
}

/** Turns a refusal by the disk into one sentence that names the folder and what to do; other errors stay as they are. */
export function diskRefusal(error: unknown, folder: string, setting: string): unknown {
  if (error instanceof MysqlUnavailable) return error;
  if (isFull(error)) {
    return new MysqlUnavailable(
      `The disk is full at ${folder}: free about 1 GB there, or set ${setting} to a folder on another disk.`,
    );
  }
  const { code } = error as NodeJS.ErrnoException;
  return code && ['EACCES', 'EPERM', 'EROFS'].includes(code) ? notWritable(folder, setting, error) : error;
}

function isFull(error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' || /no space left on device|disk quota exceeded/i.test(message);
}

function notWritable(folder: string, setting: string, error: unknown): MysqlUnavailable {
  const { code, message } = error as NodeJS.ErrnoException;
  return new MysqlUnavailable(
    `The folder ${folder} cannot be written (${code ?? message}): make it writable, or set ${setting} to one that is.`,
  );
}

async function findOrMake<Facts>(
  cache: string,
  name: string,
  make: (folder: string) => Promise<Facts>,
): Promise<CachedFolder<Facts>> {
  const { whole, broken } = await look<Facts>(cache, name);
  if (whole) return whole;

  const aside = join(cache, `${making}${randomBytes(6).toString('hex')}`);
  const release = leash({ folder: aside });
  try {
    await mkdir(aside, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      throw isFull(error) ? error : notWritable(cache, 'KATA_CACHE', error);
    });
    for (const folder of [...broken, ...(await forsaken(cache))]) {
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
    const facts = await make(aside);
    const { files, folders } = await list(aside);
    await writeFile(join(aside, listFile), JSON.stringify({ files, folders, facts }));

    const other = (await look<Facts>(cache, name)).whole;
    if (other) return other;
    const folder = join(cache, `${name}.${randomBytes(4).toString('hex')}`);
    await rename(aside, folder);
    return { folder, files, folders, facts };
  } catch (error) {
    throw diskRefusal(error, cache, 'KATA_CACHE');
  } finally {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined);
    release();
  }
}

/** What makers left half-made a day ago or more: their machine went down, for the leash removes all else. */
async function forsaken(cache: string): Promise<string[]> {
  // By the time of change, not of modification: unpacking an archive sets the latter back to that of the archive.
  const aside = (await readdir(cache)).filter((entry) => entry.startsWith(making)).map((entry) => join(cache, entry));
  const isOld = await Promise.all(
    aside.map((folder) =>
      lstat(folder).then(
        ({ ctimeMs }) => Date.now() - ctimeMs > 86_400_000,
        () => false,
      ),
    ),
  );
  return aside.filter((_folder, index) => isOld[index]);
}

async function look<Facts>(
  cache: string,
  name: string,
): Promise<{ whole: CachedFolder<Facts> | undefined; broken: string[] }> {
  const entries = await readdir(cache).catch(() => []);
  const broken: string[] = [];
  for (const entry of entries.toSorted((a, b) => a.localeCompare(b))) {
    if (!entry.startsWith(`${name}.`) || entry.length !== name.length + 1 + 8) continue;
    const folder = join(cache, entry);
    const whole = await check<Facts>(folder);
    if (whole) return { whole, broken };
    broken.push(folder);
  }
  return { whole: undefined, broken };
}

async function check<Facts>(folder: string): Promise<CachedFolder<Facts> | undefined> {
  try {
    const { files, folders, facts } = JSON.parse(await readFile(join(folder, listFile), 'utf8')) as Omit<
      CachedFolder<Facts>,
      'folder'
    >;
    const right = await Promise.all(
      Object.entries(files).map(async ([file, bytes]) => (await lstat(join(folder, file))).size === bytes),
    );
    return right.every(Boolean) ? { folder, files, folders, facts } : undefined;
  } catch {
    return undefined;
  }
}

async function list(folder: string): Promise<{ files: Record<string, number>; folders: string[] }> {
  const files: Record<string, number> = {};
  const folders: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const relative = path
      .slice(folder.length + 1)
      .split(sep)
      .join('/');
    if (entry.isDirectory()) folders.push(relative);
    else files[relative] = (await lstat(path)).size;
  }
  return { files, folders: folders.sort() };
}
