import { realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { leashedFolder } from './leashed-folder.ts';

/**
 * Makes an empty folder for a test, or for a test file, and gives back its real path.
 *
 * @param atEnd Vitest's `onTestFinished` or `afterAll`: when it goes. It also goes with a runner that is killed.
 */
export async function testFolder(atEnd: (dispose: () => PromiseLike<void>) => void): Promise<string> {
  const folder = await leashedFolder(await realpath(tmpdir()), 'kata-test-');
  atEnd(() => folder[Symbol.asyncDispose]());
  return folder.path;
}
