// Plain JavaScript, since the keeper runs it without a transform.
import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';

/**
 * Removes a folder and all that is in it, if it is there.
 * @param {string} path
 */
export async function removeFolder(path) {
  // On Windows a file stays for a moment after the process that had it open.
  const options = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 };
  try {
    await rm(path, options);
  } catch {
    // This one goes down folder by folder, and so into one that is deeper than a path may be long.
    rmSync(path, options);
  }
}
