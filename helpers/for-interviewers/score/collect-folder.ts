import { constants } from 'node:fs';
import { type FileHandle, lstat, open, opendir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type CollectLimits, type Found, levelsOf, missing, pathOf, tooLarge } from './collect.ts';

/** Takes each kata's file from a folder, following no link. */
export async function collectFromFolder(
  folder: string,
  slugs: readonly string[],
  limits: CollectLimits,
): Promise<{ found: Map<string, Found>; notes: string[] }> {
  const root = await realpath(folder);
  const found = new Map<string, Found>();
  for (const slug of slugs) found.set(slug, await findInFolder(root, slug, limits));
  return { found, notes: [] };
}

async function findInFolder(root: string, slug: string, limits: CollectLimits): Promise<Found> {
  let path = root;
  const levels = levelsOf(slug);
  for (const [depth, name] of levels.entries()) {
    const shown = levels.slice(0, depth + 1).join('/');
    const names = await namesLike(path, name, limits.entries);
    // Not lstat alone: where the file system takes no note of case, it would find another name.
    if (!names.includes(name)) return { fault: missing(shown, names[0]) };
    path = join(path, name);
    const stats = await lstat(path);
    if (stats.isSymbolicLink()) return { fault: `${shown} is a symbolic link, which is not followed.` };
    const isLast = depth === levels.length - 1;
    if (!isLast && !stats.isDirectory()) return { fault: `${shown} is no folder.` };
    if (isLast && !stats.isFile()) return { fault: `${shown} is no regular file, so it is not opened.` };
  }
  try {
    return await readRegular(root, path, slug, limits);
  } catch (error) {
    return { fault: `${pathOf(slug)} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.` };
  }
}

/** Opens without following a link and without waiting for a writer, and looks at what was opened before reading it. */
async function readRegular(root: string, path: string, slug: string, limits: CollectLimits): Promise<Found> {
  // Windows has neither of the last two; undefined adds nothing.
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const stats = await file.stat();
  if (!stats.isFile()) return { fault: `${pathOf(slug)} is no regular file, so it is not read.` };
  if ((await realpath(path)) !== join(root, ...levelsOf(slug)))
    return { fault: `${pathOf(slug)} lies outside the folder, so it is not read.` };
  if (stats.size > limits.fileBytes) return { fault: tooLarge(slug, stats.size, limits) };
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
  const like: string[] = [];
  let count = 0;
  try {
    for await (const entry of await opendir(folder)) {
      if (entry.name === name) return [name];
      if (entry.name.toLowerCase() === name.toLowerCase()) like.push(entry.name);
      if (++count >= limit) break;
    }
  } catch {
    // A folder that cannot be listed has nothing to give.
  }
  return like;
}
