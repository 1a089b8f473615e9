import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { git } from '../../foundations/git/git.ts';

/**
 * Writes all files of a commit into a new folder. What the interviewer has changed or solved in the clone since, and has
 * not committed, is not among them.
 */
export async function checkOutCatalogue(root: string, commit: string, folder: string): Promise<void> {
  await mkdir(folder);
  // An index of its own: the clone's is left as it is.
  const env = { GIT_INDEX_FILE: join(folder, '..', 'index') };
  await git(root, ['read-tree', commit], { env });
  await git(root, ['checkout-index', '--all', `--prefix=${folder.replaceAll('\\', '/')}/`], { env });
}
