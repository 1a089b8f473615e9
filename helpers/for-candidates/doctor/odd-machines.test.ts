// Path: places.ts, shortages.ts, cache-folder.ts, the commands as npm starts them. Window: disks that are full, read-only, missing
// or mounted noexec, and limits that are low, made in namespaces of the command's own. Needs root and Linux.
// Invariant: one sentence that names the folder and the remedy, exit code 2, nothing left; and doctor says so beforehand.
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { runProgram } from '../../foundations/command-line/run-house-command.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';

const mayMount =
  process.platform === 'linux' && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'try', '/mnt']).status === 0;

/** Runs a command of this repository after `setting` has changed what it sees of the disks. `$0` is the repository. */
async function on(setting: string, command: readonly string[], env: NodeJS.ProcessEnv = {}, root = repositoryRoot) {
  const [name, ...args] = command;
  const { code, stdout, stderr } = await runProgram(
    'unshare',
    [
      '-m',
      'sh',
      '-c',
      `set -e; ${setting}; cd "$0"; exec "$@"`,
      root,
      process.execPath,
      join(root, 'helpers/foundations/command-line/launch.js'),
      name!,
      ...args,
    ],
    root,
    { KATA_MYSQL: 'packages', MYSQL_URL: '', FORCE_COLOR: undefined, ...env },
  );
  return { code, stdout: unwrapped(stdout), stderr };
}

const unwrapped = (text: string) => text.replace(/\n {10,}/g, ' ');

const judging = ['for-candidates/test', 'event-emitter', '--promise', '1'] as const;
const withMysql = ['for-candidates/test', 'race-condition', '--promise', '1'] as const;
const doctor = ['for-candidates/doctor'] as const;

describe.skipIf(!mayMount)('what a judge writes (needs root on Linux)', () => {
  test.for([
    [
      'has 4 MB',
      'mount -t tmpfs -o size=4m none "$TMPDIR"',
      (place: string) =>
        `The disk of ${place} is almost full: 4 MB are free there and a run needs 256 MB; free some, or set TMPDIR to a folder where there is room to write.`,
    ],
    [
      'is read-only',
      'mount -t tmpfs -o ro none "$TMPDIR"',
      (place: string) =>
        `The folder ${place} cannot be written (EROFS): make it writable, or set TMPDIR to a folder where there is room to write.`,
    ],
    [
      'is not there',
      'rmdir "$TMPDIR"',
      (place: string) =>
        `The folder ${place} is not there: make it, or set TMPDIR to a folder where there is room to write.`,
    ],
  ] as const)('the temporary folder %s', async ([, setting, sentence]) => {
    const TMPDIR = join(await testFolder(onTestFinished), 'tmp');
    await mkdir(TMPDIR);

    const run = await on(setting, judging, { TMPDIR });
    await mkdir(TMPDIR, { recursive: true });
    const told = await on(setting, doctor, { TMPDIR });

    expect(run).toEqual({ code: 2, stdout: '', stderr: `${sentence(TMPDIR)}\n` });
    expect(told).toMatchObject({ code: 1, stdout: expect.stringContaining(`Folders ✗ ${sentence(TMPDIR)}`) });
    expect(told.stdout).toContain('✗ event-emitter: A run cannot write where it must.');
  });

  test('the repository is read-only', async () => {
    const place = await testFolder(onTestFinished);
    const setting = `mount --bind ${repositoryRoot} "$0" && mount -o remount,ro,bind "$0"`;

    const run = await on(setting, judging, {}, place);
    const told = await on(setting, doctor, {}, place);

    const sentence = `The folder ${place} cannot be written (EROFS): make it writable, or run in a copy of the repository where you may write.`;
    expect(run).toEqual({ code: 2, stdout: '', stderr: `${sentence}\n` });
    expect(told).toMatchObject({ code: 1, stdout: expect.stringContaining(sentence) });
  });
});

describe.skipIf(!mayMount)('what a judge needs beside disks (needs root on Linux)', () => {
  test.for([
    [
      '256 open files',
      'ulimit -n 256',
      /^A process may have only about 2\d\d files open here \(EMFILE\), and a judge needs 1000: raise the limit, as by "ulimit -n 4096"\.\n$/,
    ],
    [
      'no loopback',
      'exec unshare -n "$@"',
      /^The loopback address 127\.0\.0\.1 does not work here \(E\w+\): bring it up, as by "ip link set lo up"\.\n$/,
    ],
    [
      'few ports',
      'exec unshare -n sh -c \'ip link set lo up; echo 50000 50099 > /proc/sys/net/ipv4/ip_local_port_range; exec "$@"\' sh "$@"',
      /^This machine gives connections only 100 ports, and a judge needs 4000: raise net\.ipv4\.ip_local_port_range\.\n$/,
    ],
    [
      '90 processes',
      'export HOME=/; exec setpriv --reuid=54321 --regid=54321 --clear-groups prlimit --nproc=90 "$@"',
      /^This account may start only \d\d more processes and threads, and a run needs 250: raise the limit, as by "ulimit -u 4096"\.\n$/,
    ],
  ] as const)('%s', async ([, setting, sentence], ctx) => {
    if (setting.includes('ip link') && spawnSync('ip', ['link']).status !== 0) return ctx.skip('it needs ip');

    const run = await on(setting, judging);
    const told = await on(setting, doctor);

    expect(run).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(sentence) });
    const limits = /^Limits {2}✗ (.*\n)/m.exec(told.stdout)?.[1];
    expect({ code: told.code, limits }).toEqual({ code: 1, limits: expect.stringMatching(sentence) });
    expect(told.stdout).toContain('The machine lacks something that a judge needs.');
  });
});

describe.skipIf(!mayMount)('the cache for MySQL (needs root on Linux)', () => {
  test.for([
    ['has 8 MB', '-o size=8m', (cache: string) => `the disk of ${cache} has 8 MB free, and a server needs 400 MB`],
    [
      'is mounted noexec',
      '-o noexec',
      (cache: string) => `no program may run from ${cache}, as on a disk mounted noexec`,
    ],
    ['is read-only', '-o ro', (cache: string) => `${cache} cannot be written (EROFS)`],
  ] as const)('%s', async ([, options, why]) => {
    const KATA_CACHE = await testFolder(onTestFinished);
    const setting = `mount -t tmpfs ${options} none "$KATA_CACHE"`;

    const run = await on(setting, withMysql, { KATA_CACHE });
    const told = await on(setting, doctor, { KATA_CACHE });

    const sentence = `${why(KATA_CACHE)}. Set KATA_CACHE to a folder with room where programs may run, or use Docker.`;
    expect(run).toMatchObject({ code: 2, stdout: '' });
    expect(run.stderr).toContain(`debian-mysql: ${sentence}`);
    expect(run.stderr).toContain(`debian-mariadb: ${sentence}`);
    expect(run.stderr).not.toContain('fetching');
    expect(told).toMatchObject({ code: 1, stdout: expect.stringContaining(`debian-mysql: ${sentence}`) });
    expect(told.stdout).toContain('✗ race-condition: It needs MySQL, and none serves here.');
    expect(await readdir(KATA_CACHE)).toEqual([]);
  });

  test('it fills up while packages are fetched, and apt stands still', async () => {
    const folder = await testFolder(onTestFinished);
    const KATA_CACHE = join(folder, 'cache');
    await mkdir(KATA_CACHE);
    await writeFile(
      join(folder, 'apt-get'),
      `#!/bin/sh
case $1 in
  indextargets) echo 'http://mirror.invalid/debian bookworm main';;
  update) head -c 1G /dev/zero > filler; exec sleep 600;;
esac
`,
      { mode: 0o755 },
    );

    const { code, stderr } = await on('mount -t tmpfs -o size=420m none "$KATA_CACHE"', withMysql, {
      KATA_CACHE,
      KATA_MYSQL: 'debian-mariadb',
      PATH: `${folder}:${process.env['PATH']}`,
    });

    expect(code).toBe(2);
    expect(stderr).toMatch(
      /\nKATA_MYSQL=debian-mariadb does not serve\. The disk is full at \S+: free about 1 GB there, or set KATA_CACHE to a folder on another disk\.\n$/,
    );
    expect(await readdir(KATA_CACHE)).toEqual([]);
  });

  test('what is there already does not help when it may not run', async (ctx) => {
    const there = (await on('true', ['for-candidates/doctor', '--json'])).stdout;
    const folder = /unpacked in (\S+?)"/.exec(there)?.[1];
    if (folder === undefined) return ctx.skip('no server is unpacked here');

    const told = await on(`mount --bind ${folder} ${folder} && mount -o remount,noexec,bind ${folder}`, doctor);

    expect(told).toMatchObject({ stdout: expect.stringContaining(`no program may run from ${folder}`) });
  });
});

describe.skipIf(process.platform !== 'linux')('a temporary folder whose name is longer than a socket’s may be', () => {
  test('a server of ours serves there', async () => {
    const TMPDIR = join(await testFolder(onTestFinished), 'long'.repeat(25));
    await mkdir(TMPDIR);

    const { code, stdout, stderr } = await runProgram(
      process.execPath,
      [join(repositoryRoot, 'helpers/foundations/command-line/launch.js'), ...withMysql, '--solution'],
      repositoryRoot,
      { KATA_MYSQL: 'packages', MYSQL_URL: '', TMPDIR },
    );

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('1 of 1 promises hold');
    expect(await readdir(TMPDIR)).toEqual([]);
  });
});
