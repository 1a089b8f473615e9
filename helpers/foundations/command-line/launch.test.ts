import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../catalogue/target.ts';
import { testFolder } from '../processes/test-folder.ts';
import { until } from '../waiting/until.ts';
import { runProgram } from './run-house-command.ts';

const launcher = 'helpers/foundations/command-line/launch.js';

test('the command gets its arguments, and its exit code comes back', async () => {
  const root = await house('process.stdout.write(process.argv.slice(2).join()); process.exitCode = 7;');

  expect(await launch(root, ['a', 'b c'])).toEqual({ code: 7, stdout: 'a,b c', stderr: '' });
});

test('without node_modules it is one sentence and exit code 2', async () => {
  const root = await house('', { installed: false });

  const { code, stderr } = await launch(root);

  expect({ code, stderr }).toEqual({ code: 2, stderr: 'The packages are not installed yet: run npm ci first.\n' });
});

test('a Node that is too old is told, with what to do', async () => {
  const root = await house('');

  const { code, stderr } = await launch(root, [], 'v18.1.0');

  expect(code).toBe(2);
  expect(stderr).toBe(
    "Node 18.1.0 is too old to judge, and the repository's own Node is not installed: run npm ci without --omit=optional, or install Node 26.\n",
  );
});

test('a newer Node is a warning, and the command runs', async () => {
  const root = await house("process.stdout.write('done');");

  const { code, stdout, stderr } = await launch(root, [], 'v99.0.0');

  expect({ code, stdout }).toEqual({ code: 0, stdout: 'done' });
  expect(stderr).toMatch(/^Node 99\.0\.0 is newer than what this repository is tested with/);
});

test.skipIf(process.platform === 'win32')(
  'npm ci does not refuse an old Node because its user has set engine-strict',
  async () => {
    const folder = await testFolder(onTestFinished);
    const userconfig = join(folder, 'npmrc');
    await writeFile(userconfig, 'engine-strict=true\n');
    const asked = (cwd: string) =>
      runProgram('npm', ['config', 'get', 'engine-strict'], cwd, { NPM_CONFIG_USERCONFIG: userconfig });

    expect((await asked(folder)).stdout.trim(), 'elsewhere').toBe('true');
    expect((await asked(repositoryRoot)).stdout.trim(), 'here').toBe('false');
  },
);

test('has no syntax that Node 12 does not know', async () => {
  const text = await readFile(join(repositoryRoot, launcher), 'utf8');

  expect(text).not.toMatch(/\?\.|\?\?|\|\|=|^await |import\.meta\.dirname|'node:|#\w+ =/m);
});

describe.skipIf(process.platform === 'win32')('a command of npm’s ends when the shell that started it has gone', () => {
  test('while it runs', async () => {
    await expectEndWithShell('');
  });

  test('before it has begun', async () => {
    await expectEndWithShell(`const parent = process.ppid;
while (process.ppid === parent) await new Promise((resolve) => setTimeout(resolve, 5));`);
  });

  test('on a Node that cannot hand its place to the command', async () => {
    await expectEndWithShell('', ['--import', 'data:text/javascript,process.execve=undefined']);
  });
});

/** Starts a command that takes a minute, after `prelude`, by a shell, ends the shell, and sees the command end. */
async function expectEndWithShell(prelude: string, flags: readonly string[] = []): Promise<void> {
  const root = await house(
    `import { runCommand } from ${JSON.stringify(join(repositoryRoot, 'helpers/foundations/command-line/run-command.ts'))};
import { writeFileSync } from 'node:fs';
writeFileSync('pid', String(process.pid));
${prelude}
await runCommand(() => new Promise((resolve) => setTimeout(resolve, 60_000, 0)));`,
  );
  // Two commands, so that no shell puts the first in its own place.
  const command = [process.execPath, ...flags, launcher, 'for-candidates/try'].map((word) => `"${word}"`).join(' ');
  const shell = spawn('sh', ['-c', `${command}; true`], {
    cwd: root,
    env: { ...process.env, npm_lifecycle_event: 'try' },
    stdio: 'ignore',
  });
  let pid = 0;
  await until(async () => (pid = Number(await readFile(join(root, 'pid'), 'utf8').catch(() => '0'))) > 0, 20_000);
  onTestFinished(() => void (runs(pid) && process.kill(pid, 'SIGKILL')));
  expect(runs(pid)).toBe(true);

  shell.kill('SIGTERM');
  await once(shell, 'close');

  expect(await until(() => !runs(pid), 20_000)).toBe(true);
}

/** Whether the process is there. One that has ended and that nobody has collected does not count. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
  return !/\) Z /.test(stat);
}

/** A repository with one command, `for-candidates/try`. */
async function house(main: string, { installed = true } = {}): Promise<string> {
  const root = await testFolder(onTestFinished);
  for (const name of ['launch.js', 'compile-cache.js'])
    await cp(
      join(repositoryRoot, 'helpers/foundations/command-line', name),
      join(root, 'helpers/foundations/command-line', name),
    );
  await mkdir(join(root, 'helpers/for-candidates/try'), { recursive: true });
  await writeFile(join(root, 'helpers/for-candidates/try/main.ts'), main);
  await writeFile(join(root, 'package.json'), '{"type": "module"}');
  if (installed) {
    await mkdir(join(root, 'node_modules'));
    await symlink(join(repositoryRoot, 'node_modules/vitest'), join(root, 'node_modules/vitest'), 'junction');
  }
  return root;
}

/** Runs the launcher under this Node, which may call itself another one. */
async function launch(root: string, args: readonly string[] = [], version?: string) {
  const flags =
    version === undefined
      ? []
      : ['--import', `data:text/javascript,Object.defineProperty(process,'version',{value:'${version}'})`];
  return await runProgram(process.execPath, [...flags, join(root, launcher), 'for-candidates/try', ...args], root);
}
