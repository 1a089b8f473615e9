import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';

let made: string | undefined;

/**
 * Gives the test file an empty folder in the system's temporary folder, which goes with it, also after kill -9. The
 * subjects that this test file starts from now on may read or write there, as far as the kata's `needs` say so.
 */
export async function useWorkspace(): Promise<string> {
  if (made !== undefined) return made;
  return (made = await testFolder(afterAll));
}

/** Makes an empty folder in the workspace, in which a subject may write also where it is another user, as in a container. */
export async function makeFolder(name: string): Promise<string> {
  const folder = join(await useWorkspace(), name);
  await mkdir(folder);
  // Nobody else gets in: the workspace itself is closed to them.
  await chmod(folder, 0o777);
  return folder;
}

/** The workspace of this test file, if it has asked for one. */
export function workspaceFolder(): string | undefined {
  return made;
}
