import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { leash } from '../leash/leash.ts';

let made: string | undefined;

/**
 * Gives the test file an empty folder in the system's temporary folder, which goes with it, also after kill -9. The
 * subjects that this test file starts from now on may read or write there, as far as the kata's `needs` say so.
 */
export async function useWorkspace(): Promise<string> {
  if (made !== undefined) return made;
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kata-workspace-')));
  const release = leash({ folder });
  made = folder;
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    release();
  });
  return folder;
}

/** The workspace of this test file, if it has asked for one. */
export function workspaceFolder(): string | undefined {
  return made;
}
