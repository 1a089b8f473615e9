import { createInterface } from 'node:readline';

/** File systems on which somebody else's saves are not heard of: those of networks, of Windows under WSL, of virtual machines. */
const mute = /^(nfs\d?|cifs|smb\d?|9p|v9fs|drvfs|vboxsf|prl_fs|virtiofs|fuse\..*|fakeowner|afs|ceph)$/;

/**
 * The file system of `path` if saves are not heard of on it, by its name.
 * @param mounts what /proc/mounts says; each later line is mounted over those before it
 */
export function muteFileSystem(path: string, mounts: string): string | undefined {
  let found: { at: string; type: string } | undefined;
  for (const line of mounts.split('\n')) {
    const [, place = '', type = ''] = line.split(' ');
    // A blank in a name is written as \040.
    const at = place.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const holds = at === '/' || path === at || path.startsWith(`${at}/`);
    if (at && holds && at.length >= (found?.at.length ?? 0)) found = { at, type };
  }
  return found && mute.test(found.type) ? found.type : undefined;
}

/** What whoever watches is told between two runs. */
export function waitingText(fileSystem: string | undefined): string {
  return fileSystem === undefined
    ? '\nWaiting for a save; Enter judges again, Ctrl-C ends.'
    : `\nThis folder is on ${fileSystem}, where a save may go unnoticed: press Enter to judge again, Ctrl-C ends.`;
}

/** Calls `again` for each line that comes from the terminal, one after the other. */
export function onEnter(again: () => Promise<unknown>): Disposable {
  const lines = createInterface({ input: process.stdin });
  let last: Promise<unknown> = Promise.resolve();
  lines.on('line', () => void (last = last.then(again)));
  return { [Symbol.dispose]: () => lines.close() };
}
