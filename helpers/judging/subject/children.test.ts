import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { until } from '../../foundations/waiting/until.ts';
import { type Subject, startModule } from './subject.ts';

// What a module that may fork can do with that right, and what not.

interface Module {
  go(args: { child: string }): unknown;
}
const folder = await testFolder(afterAll);
let written = 0;

async function write(source: string, ending: string): Promise<string> {
  const file = join(folder, `${++written}${ending}`);
  await writeFile(file, source);
  return file;
}

async function start(source: string): Promise<Subject<Module>> {
  const needs = ['net', 'child-process', 'read-files'] as const;
  return await startModule<Module>(await write(source, '.ts'), { needs, workspace: folder });
}

/** What `go` answers, or the words with which it failed. `child` is a file that it may fork. */
async function attempt(source: string, child = ''): Promise<unknown> {
  const args = { child: await write(child, '.cjs') };
  return await start(source).then(async (subject) => {
    await using _subject = subject;
    return await subject.evaluate(async (kata, told) => await kata.go(told), args).catch(messageOf);
  }, messageOf);
}

function messageOf({ message }: Error): string {
  return message;
}

/** A module whose `go` forks the child and comes back with its first message, or with how it ended. */
const forkAndListen = `import { fork } from 'node:child_process';
  export const go = ({ child }) => new Promise((resolve) => {
    const forked = fork(child, ['one', 'two'], { env: { ...process.env, COLOR: 'green' } });
    forked.once('message', resolve);
    forked.once('exit', (code, signal) => resolve({ code, signal }));
  });`;

/** The processes of a group that are alive. */
function groupOf(leader: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(group) === leader && state !== 'Z' ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

describe('what it may', () => {
  test('a fork runs its file with its arguments, its variables and its channel', async () => {
    const child = `process.send([process.argv.slice(2), process.env.COLOR, process.argv[1] === __filename]);`;

    expect(await attempt(forkAndListen, child)).toEqual([['one', 'two'], 'green', true]);
  });

  test('cluster shares a port among its workers, and hands connections over', async () => {
    const source = `import cluster from 'node:cluster';
      import { get } from 'node:http';
      export async function go({ child }) {
        cluster.setupPrimary({ exec: child, execArgv: [], silent: true });
        const ports = await Promise.all([1, 2].map(() => new Promise((resolve) => cluster.fork().once('listening', ({ port }) => resolve(port)))));
        const pids = new Set();
        while (pids.size < 2) pids.add(await new Promise((resolve) => get({ port: ports[0], agent: false }, async (answer) => resolve(Buffer.concat(await answer.toArray()).toString()))));
        const workers = Object.values(cluster.workers).map(({ process }) => String(process.pid));
        return [workers.every((pid) => pids.has(pid)), pids.size];
      }`;
    const child = `require('node:http').createServer((request, answer) => answer.end(String(process.pid))).listen(0);`;

    expect(await attempt(source, child)).toEqual([true, 2]);
  });

  test.for([
    ['ChildProcess.kill', 'forked.kill("SIGKILL")'],
    ['process.kill', 'process.kill(forked.pid, "SIGKILL")'],
    ['process.kill by number', 'process.kill(forked.pid, 9)'],
  ] as const)('%s ends one of its children', async ([, kill]) => {
    const source = `import { fork } from 'node:child_process';
      export const go = ({ child }) => new Promise((resolve) => {
        const forked = fork(child);
        forked.once('message', () => ${kill});
        forked.once('exit', (code, signal) => {
          let again;
          try { process.kill(forked.pid, 0); } catch (error) { again = error.code; }
          resolve([signal, again, forked.kill()]);
        });
      });`;

    expect(await attempt(source, 'process.send(1); setInterval(() => {}, 1000);')).toEqual(['SIGKILL', 'ESRCH', false]);
  });
});

describe('what it may not', () => {
  const shell = "['-c', 'echo out']";
  const native =
    "const Process = new ChildProcess()._handle.constructor; const stdio = [{ type: 'ignore' }, { type: 'ignore' }, { type: 'ignore' }];";
  test.for([
    ['start a shell', `spawn('/bin/sh', ${shell})`, 'The program /bin/sh'],
    ['start a shell by exec', `exec('echo out')`, 'The program /bin/sh'],
    ['start a shell by fork', `fork(child, { execPath: '/bin/sh' })`, 'The program /bin/sh'],
    ['start a shell and wait', `spawnSync('/bin/sh', ${shell})`, 'child_process.spawnSync'],
    ['start a shell by execSync', `execSync('echo out')`, 'child_process.execSync'],
    ['start a file and wait', `execFileSync('/bin/sh', ${shell})`, 'child_process.execFileSync'],
    ['become a shell', `process.execve('/bin/sh', ['sh', '-c', 'echo out'], {})`, 'is not a function'],
    [
      'start a shell by the class behind',
      `(() => { ${native} return new Process().spawn('/bin/sh', ['sh'], undefined, [], stdio, 0); })()`,
      'The program /bin/sh',
    ],
    [
      'start Node by the class behind',
      `(() => { ${native} return new Process().spawn(process.execPath, ['node', child], undefined, [], stdio, 0); })()`,
      'A process that is not forked',
    ],
    [
      'replace the guard',
      `Object.defineProperty(new ChildProcess()._handle.constructor.prototype, 'spawn', { value: () => 0 })`,
      'Cannot redefine property',
    ],
    ['start Node without a channel', `spawn(process.execPath, [child])`, 'A process that is not forked'],
    ['start Node with code', `fork('-e', ['1'])`, "Node's flag -e"],
    ['start Node with a flag', `fork(child, { execArgv: ['--allow-fs-read=*'] })`, "Node's flag --allow-fs-read=*"],
    [
      'start Node with a preload',
      `fork(child, { execArgv: ['--import', 'data:text/javascript,1'] })`,
      "Node's flag --import",
    ],
    ['start Node with a library', `fork(child, { env: { LD_PRELOAD: '/tmp/x.so' } })`, 'The variable LD_PRELOAD'],
    ['start a file by its name', `fork('package.json')`, 'without the absolute path'],
    ['detach a child', `fork(child, { detached: true })`, 'A detached process'],
    ['start a child as somebody', `fork(child, { uid: 65534 })`, 'A process of another user'],
    [
      'hand over the judge’s channel',
      `fork(child, { stdio: ['ignore', 'ignore', 'ignore', 'ipc', 3] })`,
      'A descriptor of this process',
    ],
    [
      'hand over a socket',
      `fork(child, { stdio: ['ignore', createServer().listen(0)._handle, 'ignore', 'ipc'] })`,
      'A descriptor of this process',
    ],
    ['signal its judge', `process.kill(process.ppid, 0)`, 'A signal to another process'],
    ['signal a group', `process.kill(0, 0)`, 'A signal to another process'],
    ['signal all', `process.kill(-1, 0)`, 'A signal to another process'],
  ] as const)('%s', async ([, act, why]) => {
    const source = `import { ChildProcess, exec, execFileSync, execSync, fork, spawn, spawnSync } from 'node:child_process';
      import { createServer } from 'node:net';
      export const go = ({ child }) => { ${act}; return 'done'; };`;

    expect(await attempt(source)).toContain(why);
  });

  test.for([
    ['read a file', `require('node:fs').readFileSync(${JSON.stringify(join(repositoryRoot, 'package.json'))})`],
    ['write a file', `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'planted'))}, '')`],
    ['fork', `require('node:child_process').fork(__filename)`],
    ['start a shell', `require('node:child_process').execSync('echo out')`],
    ['start a thread', `new (require('node:worker_threads').Worker)('1', { eval: true })`],
    ['signal its parent', `process.kill(process.ppid, 0)`],
    ['open a Unix socket', `require('node:net').connect('/var/run/docker.sock')`],
    ['set flags of V8', `require('node:v8').setFlagsFromString('--trace-turbo-path=/tmp/x')`],
    ['open a database', `require('node:sqlite')`],
    ['become a shell', `process.execve('/bin/sh', ['sh', '-c', 'echo out'], {})`],
  ] as const)('let a child %s', async ([, act]) => {
    const child = `try { ${act}; process.send('done'); } catch (error) { process.send(String(error)); }`;

    expect(await attempt(forkAndListen, child)).toMatch(
      /not open to a kata's module|restricted|No such built-in|is not a function|EBADF/,
    );
  });

  test('free a child from its flags by NODE_OPTIONS', async () => {
    const source = forkAndListen.replace('COLOR:', `NODE_OPTIONS: '--no-permission --allow-fs-read=*', COLOR:`);
    const child = `process.send([process.env.NODE_OPTIONS ?? 'none', process.permission.has('child'), process.permission.has('fs.read', '/etc/passwd')]);`;

    expect(await attempt(source, child)).toEqual(['none', false, false]);
  });

  test('fork without end', async () => {
    const source = `import { fork } from 'node:child_process';
      export function go({ child }) {
        for (let count = 0; ; count++) {
          try { fork(child); } catch (error) { return [count, error.message]; }
        }
      }`;

    expect(await attempt(source, 'setInterval(() => {}, 1000);')).toEqual([
      64,
      expect.stringContaining('More than 64 processes at once'),
    ]);
  });
});

describe.skipIf(process.platform !== 'linux')('nothing is left of them', () => {
  const busy = `import { fork } from 'node:child_process';
    export const go = ({ child }) => Promise.all([1, 2].map(() => new Promise((resolve) => {
      const forked = fork(child);
      forked.once('message', () => resolve(forked.pid));
    })));`;
  const child = `process.on('SIGTERM', () => {}); process.send(1); for (;;);`;

  test('when the subject is disposed', async () => {
    const subject = await start(busy);
    await subject.evaluate((kata, args) => kata.go(args), { child: await write(child, '.cjs') });
    const group = groupOf(subject.pid);
    expect(group).toHaveLength(3);
    const channel = readlinkSync(`/proc/${subject.pid}/fd/3`);
    for (const pid of group.filter((one) => one !== subject.pid)) {
      const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      expect(open, 'what a child has open').not.toContain(channel);
    }

    await subject[Symbol.asyncDispose]();

    expect(await until(() => groupOf(subject.pid).length === 0)).toBe(true);
  });

  test('when the module’s process is killed', async () => {
    const subject = await start(busy);
    await subject.evaluate((kata, args) => kata.go(args), { child: await write(child, '.cjs') });

    process.kill(subject.pid, 'SIGKILL');

    expect(await until(() => groupOf(subject.pid).length === 0)).toBe(true);
  });

  test('when the judge is killed', async () => {
    const [file, childFile] = [await write(busy, '.ts'), await write(child, '.cjs')];
    const script = `import { startModule } from ${JSON.stringify(join(import.meta.dirname, 'subject.ts'))};
      const subject = await startModule(${JSON.stringify(file)}, { needs: ['child-process', 'read-files'], workspace: ${JSON.stringify(folder)} });
      await subject.evaluate((kata, args) => kata.go(args), { child: ${JSON.stringify(childFile)} });
      console.log(subject.pid);`;
    const runner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: repositoryRoot,
    });
    onTestFinished(() => void runner.kill('SIGKILL'));
    const [line] = await once(createInterface({ input: runner.stdout }), 'line');
    expect(groupOf(Number(line))).toHaveLength(3);

    runner.kill('SIGKILL');

    expect(await until(() => groupOf(Number(line)).length === 0, 20_000)).toBe(true);
  });
});
