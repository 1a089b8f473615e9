import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hasProc } from '../../foundations/processes/proc.ts';

/** What a module may leave in its workspace beside what the judge has put there. */
const quota = { files: 2_000, bytes: 1024 ** 3 };
const everyMs = 250;

/**
 * Watches the folder that a module may write to, and calls `onExceeded` once when it holds more than a judge and a correct
 * module ever put there, in files or in bytes on the disk. The disk may hold a little more by the time it is seen.
 * @param pid the module's process; files that have lost their names while it has them open count too, where there is a /proc
 * @returns the function that ends the watch
 */
export function watchQuota(
  folder: string,
  onExceeded: (what: string) => void,
  { pid = 0, limits = quota } = {},
): () => void {
  const timer = setInterval(() => {
    const used = usage(folder, limits);
    if (hasProc && pid > 0) used.bytes += namelessBytes(pid);
    if (used.files <= limits.files && used.bytes <= limits.bytes) return;
    clearInterval(timer);
    onExceeded(
      used.files > limits.files ? `more than ${limits.files} files` : `more than ${limits.bytes / 1024 ** 2} MiB`,
    );
  }, everyMs).unref();
  return () => clearInterval(timer);
}

/** Counts until a limit is passed. A file's holes take no disk. */
function usage(folder: string, limits: typeof quota): { files: number; bytes: number } {
  const used = { files: 0, bytes: 0 };
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const entry of entriesOf(next)) {
      const path = join(next, entry.name);
      used.files += 1;
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) used.bytes += blocksOf(path) * 512;
      if (used.files > limits.files || used.bytes > limits.bytes) return used;
    }
  }
  return used;
}

/** What a process has on the disk in files that no folder names any more. */
function namelessBytes(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  let bytes = 0;
  for (const { name } of entriesOf(folder)) {
    const path = join(folder, name);
    try {
      if (readlinkSync(path).endsWith(' (deleted)')) bytes += blocksOf(path) * 512;
    } catch {
      // It was closed meanwhile.
    }
  }
  return bytes;
}

/** What goes while it is looked at counts nothing. */
function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function blocksOf(file: string): number {
  try {
    return statSync(file).blocks;
  } catch {
    return 0;
  }
}
