import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { leash } from './leash.ts';
import { removeFolder } from './remove-folder.js';

/** Makes a folder of its own below `parent` that goes when it is disposed, and also when this process is ended before that. */
export async function leashedFolder(
  parent: string,
  prefix: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(parent, prefix));
  const release = leash({ folder: path });
  return {
    path,
    async [Symbol.asyncDispose]() {
      await removeFolder(path).catch(() => undefined);
      release();
    },
  };
}
