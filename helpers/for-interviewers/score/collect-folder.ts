import { constants } from 'node:fs';
import { type FileHandle, lstat, open, opendir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';
import { type CollectLimits, type Found, type Taken, levelsOf, manifestName, missing, tooLarge } from './collect.ts';

/** Takes each kata's file from a folder, following no link. */
export async function collectFromFolder(
  folder: string,
  slugs: readonly string[],
  limits: CollectLimits,
): Promise<Taken> {
  const { root, isFlat } = await layoutOf(await realpath(folder), slugs, limits);
  const found = new Map<string, Found>();
  for (const slug of slugs) found.set(slug, await findInFolder(root, isFlat ? [`${slug}.ts`] : levelsOf(slug), limits));
  const manifest = await findInFolder(root, [manifestName], limits);
  return { found, notes: [], isFlat, manifest: 'bytes' in manifest ? manifest.bytes.toString('utf8') : undefined };
}

/**
 * Takes one file as the kata of its name.
 * @throws UserError when no kata has this name
 */
export async function collectFromFile(file: string, slugs: readonly string[], limits: CollectLimits): Promise<Taken> {
  const own = slugs.find((slug) => basename(file) === `${slug}.ts`);
  if (own === undefined)
    throw new UserError(
      `${harmlessLine(file)} has no kata’s name; rename it to <kata>.ts, for example ${slugs[0]}.ts.`,
    );
  const one = await findInFolder(await realpath(dirname(file)), [basename(file)], limits);
  const found = new Map(slugs.map((slug) => [slug, slug === own ? one : missing(`${slug}.ts`, undefined)]));
  return { found, notes: [], isFlat: true, manifest: undefined };
}

/** Where the files lie: in their folders or beside each other; at the top or in the one folder that is there. */
async function layoutOf(
  folder: string,
  slugs: readonly string[],
  limits: CollectLimits,
): Promise<{ root: string; isFlat: boolean }> {
  const kindIn = (names: readonly string[]) => {
    const lower = new Set(names.map((name) => name.toLowerCase()));
    if (lower.has('katas')) return 'folders';
    return slugs.some((slug) => lower.has(`${slug}.ts`)) ? 'flat' : undefined;
  };
  const top = await namesIn(folder, limits.entries);
  const kind = kindIn(top.map(({ name }) => name));
  if (kind !== undefined) return { root: folder, isFlat: kind === 'flat' };
  const folders = top.filter(
    ({ name, isFolder }) => isFolder && !name.startsWith('.') && !['__MACOSX', 'node_modules'].includes(name),
  );
  const [only] = folders;
  if (folders.length === 1 && only) {
    const inner = kindIn((await namesIn(join(folder, only.name), limits.entries)).map(({ name }) => name));
    if (inner !== undefined) return { root: join(folder, only.name), isFlat: inner === 'flat' };
  }
  return { root: folder, isFlat: false };
}

async function findInFolder(root: string, levels: readonly string[], limits: CollectLimits): Promise<Found> {
  let path = root;
  for (const [depth, name] of levels.entries()) {
    const shown = levels.slice(0, depth + 1).join('/');
    const names = await namesLike(path, name, limits.entries);
    // Not lstat alone: where the file system takes no note of case, it would find another name.
    if (!names.includes(name)) return missing(shown, names[0]);
    path = join(path, name);
    const stats = await lstat(path);
    if (stats.isSymbolicLink()) return { fault: `${shown} is a symbolic link, which is not followed.` };
    const isLast = depth === levels.length - 1;
    if (!isLast && !stats.isDirectory()) return { fault: `${shown} is not a folder.` };
    if (isLast && !stats.isFile()) return { fault: `${shown} is not a regular file, so it was not opened.` };
  }
  try {
    return await readRegular(root, levels, limits);
  } catch (error) {
    return { fault: `${levels.join('/')} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.` };
  }
}

/** Opens without following a link and without waiting for a writer, and looks at what was opened before reading it. */
async function readRegular(root: string, levels: readonly string[], limits: CollectLimits): Promise<Found> {
  const [path, shown] = [join(root, ...levels), levels.join('/')];
  // Windows has neither of the last two; undefined adds nothing.
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const stats = await file.stat();
  if (!stats.isFile()) return { fault: `${shown} is not a regular file, so it was not read.` };
  if ((await realpath(path)) !== path) return { fault: `${shown} lies outside the folder, so it is not read.` };
  if (stats.size > limits.fileBytes) return { fault: tooLarge(shown, stats.size, limits) };
  return { bytes: await readAtMost(file, limits.fileBytes) };
}

async function readAtMost(file: FileHandle, limitBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(limitBytes);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, limitBytes - length);
    if (bytesRead === 0) return Buffer.from(buffer.subarray(0, length));
    length += bytesRead;
  }
}

/** The names in a folder that are `name` but for case, `name` itself first; of a folder's first `limit` names. */
async function namesLike(folder: string, name: string, limit: number): Promise<string[]> {
  const names = (await namesIn(folder, limit)).map((entry) => entry.name);
  if (names.includes(name)) return [name];
  return names.filter((other) => other.toLowerCase() === name.toLowerCase());
}

/** A folder's first `limit` names; none, when it cannot be listed. */
async function namesIn(folder: string, limit: number): Promise<{ name: string; isFolder: boolean }[]> {
  const found: { name: string; isFolder: boolean }[] = [];
  try {
    for await (const entry of await opendir(folder)) {
      found.push({ name: entry.name, isFolder: entry.isDirectory() });
      if (found.length >= limit) break;
    }
  } catch {
    // A folder that cannot be listed has nothing to give.
  }
  return found;
}
