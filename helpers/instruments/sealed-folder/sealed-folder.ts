import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';

/** The name of a folder of `tests/<slug>/` that a hand-out has only as one sealed file. */
export const keptBack = 'kept-back';

/**
 * The texts of a folder that a judge needs and a candidate should not read, by file name. A hand-out lacks the folder; there they come
 * from `<folder>.sealed`.
 * @throws Error when there is neither
 */
export async function readSealedFolder(folder: string): Promise<ReadonlyMap<string, string>> {
  if (existsSync(folder)) return new Map(await textsOf(folder));
  const sealed = await readFile(sealedFile(folder), 'utf8');
  const texts = JSON.parse(inflateSync(Buffer.from(sealed, 'base64')).toString()) as [string, string][];
  return new Map(texts);
}

/** Where the sealed form of a folder is. */
export function sealedFile(folder: string): string {
  return `${folder}.sealed`;
}

/**
 * A folder's texts in one text that says nothing to a reader. That is all that it does: whoever can run the judge can open it, so nothing
 * that must stay secret belongs there.
 */
export async function sealFolder(folder: string): Promise<string> {
  const sealed = deflateSync(JSON.stringify(await textsOf(folder))).toString('base64');
  return `${sealed.replace(/.{120}/g, '$&\n')}\n`;
}

async function textsOf(folder: string): Promise<[string, string][]> {
  const names = (await readdir(folder)).sort();
  return await Promise.all(
    names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as [string, string]),
  );
}
