// Path: watching.ts, main.ts. Window: folders on which nobody hears of a save.
// Invariant: that is said, and Enter judges again.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { until } from '../../foundations/waiting/until.ts';
import { muteFileSystem, waitingText } from './watching.ts';

const mounts = `/dev/sdc / ext4 rw 0 0
C:\\134 /mnt/c 9p rw,aname=drvfs 0 0
server:/home /home/ada nfs4 rw 0 0
/dev/sdd /home/ada/fast ext4 rw 0 0
share /with\\040blank fuse.sshfs rw 0 0
`;

test.for([
  ['/mnt/c/katas', '9p'],
  ['/mnt/cats', undefined],
  ['/home/ada/katas', 'nfs4'],
  ['/home/ada/fast/katas', undefined],
  ['/with blank/katas', 'fuse.sshfs'],
  ['/srv/katas', undefined],
] as const)('%s is on %s', ([path, type]) => {
  expect(muteFileSystem(path, mounts)).toBe(type);
});

test('the file system is named where saves go unnoticed', () => {
  expect(waitingText('9p')).toBe(
    '\nThis folder is on 9p, where a save may go unnoticed: press Enter to judge again, Ctrl-C ends.',
  );
});

test('Enter judges again', async () => {
  const child = spawn(
    process.execPath,
    [join(repositoryRoot, 'helpers/for-candidates/test/main.ts'), 'event-emitter', '--promise', '4', '--watch'],
    { cwd: repositoryRoot, stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, VITEST: undefined } },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk) => (said += String(chunk)));
  const boards = () => said.split('promises hold in 1 kata').length - 1;
  const waits = () => said.split('Enter judges again').length - 1;
  expect(await until(() => waits() === 1, 60_000), said).toBe(true);
  expect(boards()).toBe(1);

  child.stdin.write('\n');

  expect(await until(() => waits() === 2, 60_000), said).toBe(true);
  expect(boards()).toBe(2);
});
