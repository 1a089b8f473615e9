// Path: main.ts, report.ts, run as the command itself. Window: MySQL that cannot serve, a broken README, wrong arguments.
// Invariant: exit code 0 only if every kata can run, and whatever is in the way has its reason.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the doctor; without other settings MySQL is the run's own server. */
async function doctor(args: readonly string[], env: NodeJS.ProcessEnv = {}, root = repositoryRoot): Promise<Ended> {
  const { host, port, user, password } = inject('mysqlServers')[0]!;
  const child = spawn(process.execPath, [join(root, 'helpers/for-candidates/doctor/main.ts'), ...args], {
    cwd: root,
    env: { ...process.env, KATA_MYSQL: '', MYSQL_URL: `mysql://${user}:${password}@${host}:${port}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray()) as [
    Promise<string[]>,
    Promise<string[]>,
  ];
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout: (await stdout).join(''), stderr: (await stderr).join('') };
}

/** The repository once more, to break something in it. */
async function copyOfRepository(): Promise<string> {
  const root = await testFolder(onTestFinished);
  for (const name of ['katas', 'tests', 'helpers', 'package.json', 'tsconfig.json'])
    await cp(join(repositoryRoot, name), join(root, name), { recursive: true });
  await symlink(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'), 'junction');
  return root;
}

test('when every kata can run it says so, without color in a pipe, with exit code 0', async () => {
  const { code, stdout, stderr } = await doctor([], { FORCE_COLOR: undefined, NO_COLOR: undefined });

  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^Node    ✓ \d+\.\d+\.\d+/);
  expect(stdout).toMatch(/^MySQL   ✓ url serves, as MYSQL_URL says: m\w+ \d/m);
  expect(stdout).toMatch(/^Cache     .*Delete the folder/ms);
  expect(stdout).toMatch(/^Machine . \d+ cores?, /m);
  expect(stdout).toMatch(/^Katas   ✓ /m);
  expect(stdout).toMatch(/\n\nEvery kata can run here\.\n$/);
  expect(stdout).not.toContain('\u001b');
});

test.each([
  [
    { MYSQL_URL: 'mysql://root:secret-word@127.0.0.1:1' },
    'MYSQL_URL: the server at 127.0.0.1:1 refuses user root: connect ECONNREFUSED 127.0.0.1:1. Start that server or correct MYSQL_URL.',
  ],
  [
    { KATA_MYSQL: 'docker', DOCKER_HOST: 'unix:///nowhere/docker.sock' },
    'KATA_MYSQL=docker does not serve. No Docker engine answers at unix:///nowhere/docker.sock (ENOENT).',
  ],
  [
    { KATA_MYSQL: 'mangodb' },
    'KATA_MYSQL is "mangodb": set it to url, docker, local, debian-mysql, debian-mariadb or packages, or leave it out.',
  ],
])('with %o it says why and ends with exit code 1', async (env, why) => {
  const { code, stdout, stderr } = await doctor([], env);

  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  expect(stdout.replace(/\n {10,}/g, ' ')).toContain(`MySQL   ✗ ${why}`);
  expect(stdout).toContain('✗ race-condition: It needs MySQL, and none serves here.');
  expect(stdout).not.toContain('secret-word');
});

test('--json has the same for a program', async () => {
  const { code, stdout } = await doctor(['--json'], { KATA_MYSQL: 'mangodb' });

  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    node: { version: process.versions.node, isSupported: true },
    mysql: { serves: null, setting: 'KATA_MYSQL', problem: expect.stringContaining('mangodb') },
    cache: { folder: expect.any(String), sizeBytes: expect.any(Number), diskFreeBytes: expect.any(Number) },
    machine: { cores: expect.any(Number), memoryFreeBytes: expect.any(Number) },
    katas: expect.arrayContaining([
      { slug: 'race-condition', canRun: false, why: ['It needs MySQL, and none serves here.'] },
    ]),
  });
});

test.each([
  [
    'has no front matter',
    (_text: string) => '# A kata\n',
    'katas/race-condition/README.md does not begin with front matter between two lines of ---.',
  ],
  [
    'names an unknown level',
    (text: string) => text.replace(/^level: .*/m, 'level: wizard'),
    'katas/race-condition/README.md: front matter "level" is "wizard", which is not what it should be.',
  ],
  [
    'has front matter that is no YAML',
    (text: string) => text.replace(/^level: .*/m, 'level: ["'),
    'katas/race-condition/README.md: front matter cannot be read, ',
  ],
])('a README that %s is told in one sentence, with exit code 1', async (_fault, broken, sentence) => {
  const root = await copyOfRepository();
  const file = join(root, 'katas', 'race-condition', 'README.md');
  await writeFile(file, broken(await readFile(file, 'utf8')));

  const { code, stdout, stderr } = await doctor([], {}, root);

  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  expect(stdout.replace(/\n {10,}/g, ' ')).toContain(`✗ race-condition: ${sentence}`);
});

test('a kata without its judge cannot run', async () => {
  const root = await copyOfRepository();
  await rm(join(root, 'tests', 'race-condition', 'race-condition.test.ts'));

  const { code, stdout } = await doctor([], {}, root);

  expect(code).toBe(1);
  expect(stdout.replace(/\n {10,}/g, ' ')).toContain(
    '✗ race-condition: tests/race-condition/race-condition.test.ts is missing.',
  );
});

test('the cache is measured where it is', async () => {
  const cache = await testFolder(onTestFinished);
  await appendFile(join(cache, 'something'), Buffer.alloc(3 * 1024 ** 2, 'x'));

  const { stdout } = await doctor([], { KATA_CACHE: cache });

  expect(stdout).toContain(`${cache}, 3 MB.`);
});

test.each([[['--jsn']], [['race-condition']]])('%j is refused with exit code 2', async (args) => {
  const { code, stdout, stderr } = await doctor(args);

  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/See: npm run doctor -- --help\n$/);
});
