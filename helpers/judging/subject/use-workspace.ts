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

/** The workspace of this test file, if it has asked for one. */
export function workspaceFolder(): string | undefined {
  return made;
}
