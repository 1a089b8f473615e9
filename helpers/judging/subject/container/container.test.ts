import { deserialize } from 'node:v8';
import { once } from 'node:events';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, type Server, connect, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { leashedFolder } from '../../../foundations/processes/leashed-folder.ts';
import { until } from '../../../foundations/waiting/until.ts';
import { owner, startInContainer } from './container.ts';
import type { HeldProcess } from '../held-process.ts';
import { noContainers, prepareContainers } from './prepare-containers.ts';
import { startModule } from '../subject.ts';
import { repositoryRoot } from '../../../foundations/catalogue/target.ts';

const mebibyte = 1024 * 1024;
const missing = (await noContainers()) ?? '';
const reason = missing && ` (not judged here: ${missing})`;

// What the container itself holds is asked without Node's permission model, which would hold most of it before.
describe.skipIf(missing)(`a process in a container${reason}`, () => {
  beforeAll(() => prepareContainers(() => undefined));

  test('has no network but its own loopback', async () => {
    const { port } = (await listening()).address() as AddressInfo;

    const said = await answerOf(`
      const { connect } = require('node:net');
      const { networkInterfaces } = require('node:os');
      const reach = (port, host) => new Promise((resolve) => {
        const socket = connect({ port, host }, () => resolve('reached'));
        socket.on('error', ({ code }) => resolve(code));
      });
      say([Object.keys(networkInterfaces()), await reach(${port}, '127.0.0.1'), await reach(53, '10.0.0.1')]);
    `);

    expect(said).toEqual([['lo'], 'ECONNREFUSED', 'ENETUNREACH']);
  });

  test('is an ordinary user without a capability, and can gain none', async () => {
    const said = await answerOf(`
      const status = require('node:fs').readFileSync('/proc/self/status', 'utf8');
      const line = (name) => new RegExp('^' + name + ':\\\\s+(\\\\S+)', 'm').exec(status)[1];
      say([process.getuid() === 0, line('CapEff'), line('CapBnd'), line('NoNewPrivs')]);
    `);

    expect(said).toEqual([false, '0000000000000000', '0000000000000000', '1']);
  });

  test('writes nothing to a disk, and sees neither answers, nor judges, nor the engine', async () => {
    const said = await answerOf(`
      const { existsSync, writeFileSync } = require('node:fs');
      const tryWrite = (path) => { try { writeFileSync(path, 'x'); return 'written'; } catch ({ code }) { return code; } };
      const root = ${JSON.stringify(repositoryRoot)};
      say([
        ['/tmp/x', '/x', root + '/x', root + '/node_modules/x', root + '/package.json'].map(tryWrite),
        ['solutions', 'tests', 'katas', '.git'].filter((name) => existsSync(root + '/' + name)),
        ['/var/run/docker.sock', '/run/docker.sock', ${JSON.stringify(homedir())} + '/.ssh'].filter(existsSync),
        existsSync(root + '/node_modules'),
      ]);
    `);

    // A user who may not write, or a disk that nobody may write.
    expect(said).toEqual([Array(5).fill(expect.stringMatching(/^(EROFS|EACCES)$/)), [], [], true]);
  });

  test('has a limit on its memory, its processes and its processors', async () => {
    const said = await answerOf(`
      const { readFileSync, existsSync } = require('node:fs');
      const read = (...names) => readFileSync(names.map((name) => '/sys/fs/cgroup/' + name).find(existsSync), 'utf8').trim();
      const quota = existsSync('/sys/fs/cgroup/cpu.max')
        ? read('cpu.max').split(' ')
        : [read('cpu/cpu.cfs_quota_us'), read('cpu/cpu.cfs_period_us')];
      say([read('memory.max', 'memory/memory.limit_in_bytes'), read('pids.max', 'pids/pids.max'), quota[0] / quota[1]]);
    `);

    expect(said).toEqual([String(2 * 1024 ** 3), '128', 2]);
  });

  test('sees the packages and not the secrets of our environment', async () => {
    vi.stubEnv('A_SECRET', 'not for you');
    onTestFinished(() => void vi.unstubAllEnvs());

    const said = await answerOf(`
      say([process.env.A_SECRET ?? 'none', process.env.OWN, typeof require('mysql2/promise').createPool]);
    `);

    expect(said).toEqual(['none', 'given', 'function']);
  });
});

describe.skipIf(missing)(`a subject in a container${reason}`, () => {
  beforeAll(() => {
    vi.stubEnv('KATA_SANDBOX', 'docker');
  });
  afterAll(() => {
    vi.unstubAllEnvs();
  });

  test('answers, prints, and is looked at from outside', async () => {
    await using place = await leashedFolder(tmpdir(), 'kata-container-test-');
    const file = join(place.path, 'data');
    await writeFile(file, Buffer.alloc(mebibyte));
    const module = await moduleFile(`
      import { readFile } from 'node:fs/promises';
      export async function count(path) {
        console.log('counting');
        return (await readFile(path)).length;
      }
    `);
    await using subject = await startModule<{ count(path: string): Promise<number> }>(module, {
      needs: ['read-files'],
      workspace: place.path,
    });
    const before = await subject.fromOutside('bytesRead');
    await readFile(file);

    const counted = await subject.evaluate((kata, path) => kata.count(path), file);

    expect(counted).toBe(mebibyte);
    const read = (await subject.fromOutside('bytesRead')) - before;
    expect(read).toBeGreaterThanOrEqual(mebibyte);
    expect(read).toBeLessThan(1.5 * mebibyte);
    await until(() => subject.printed !== '');
    expect(subject.printed).toBe('counting\n');
  });

  test('is ended when it takes memory without end, also outside the heap', async () => {
    const module = await moduleFile(`
      export function take() { const all = []; for (;;) all.push(Buffer.alloc(64 * 1024 * 1024, 1)); }
    `);
    await using subject = await startModule<{ take(): void }>(module, { limitMs: 60_000 });

    await expect(subject.evaluate((kata) => kata.take())).rejects.toThrow('had its process ended by SIGKILL');
  });

  test('reaches an address that it is given, and is reached at the port that it opens', async () => {
    const server = await listening((socket) => socket.end('from outside'));
    const module = await moduleFile(`
      import { connect, createServer } from 'node:net';
      import { once } from 'node:events';
      export async function ask({ host, port }) {
        const socket = connect({ host, port });
        let text = '';
        for await (const chunk of socket) text += chunk;
        return text;
      }
      export async function serve() {
        const server = createServer((socket) => socket.end('from inside')).listen(0, '127.0.0.1');
        await once(server, 'listening');
        return server.address().port;
      }
    `);
    interface Kata {
      ask(address: { host: string; port: number }): Promise<string>;
      serve(): Promise<number>;
    }
    await using subject = await startModule<Kata>(module, { needs: ['net'] });
    const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };

    const heard = await subject.evaluate((kata, to) => kata.ask(to), await subject.addressInside(address));
    const port = await subject.portOutside(await subject.evaluate((kata) => kata.serve()));
    const client = connect({ host: '127.0.0.1', port });
    let text = '';
    for await (const chunk of client) text += String(chunk);

    expect(heard).toBe('from outside');
    expect(text).toBe('from inside');
    await expect(subject.evaluate((kata, to) => kata.ask(to), address)).rejects.toThrow('ECONNREFUSED');
  });

  test('writes to its workspace when its kata says so, and nowhere else', async () => {
    const module = await moduleFile(`
      import { writeFile } from 'node:fs/promises';
      export const write = (path) => writeFile(path, 'written');
    `);
    await using place = await leashedFolder(tmpdir(), 'kata-container-test-');
    await using subject = await startModule<{ write(path: string): Promise<void> }>(module, {
      needs: ['read-files', 'write-files'],
      workspace: place.path,
    });

    await subject.evaluate((kata, path) => kata.write(path), join(place.path, 'out'));

    expect(await readFile(join(place.path, 'out'), 'utf8')).toBe('written');
    await expect(subject.evaluate((kata) => kata.write('/tmp/elsewhere'))).rejects.toThrow('restricted');
  });

  test('gets signals, and its exit code is told', async () => {
    const module = await moduleFile("process.on('SIGTERM', () => process.exit(3)); export const go = 1;");
    await using subject = await startModule(module);

    subject.signal('SIGTERM');

    expect(await subject.ended(60_000)).toEqual({ code: 3, signal: null });
  });

  test('leaves no container and no folder, however it ends', async () => {
    const module = await moduleFile(
      'export const end = () => process.exit(3); export const loop = () => { for (;;); };',
    );
    interface Kata {
      end(): void;
      loop(): void;
    }
    const before = await containers();
    {
      await using ending = await startModule<Kata>(module);
      await expect(ending.evaluate((kata) => kata.end())).rejects.toThrow('exit code 3');
      await using looping = await startModule<Kata>(module, { limitMs: 500 });
      await expect(looping.evaluate((kata) => kata.loop())).rejects.toThrow('its event loop is blocked');
      await using _idle = await startModule<Kata>(module);
      expect(await containers()).not.toEqual(before);
    }

    expect(await containers()).toEqual(before);
  });
});

test('without an engine it says so, and what to do', async () => {
  vi.stubEnv('DOCKER_HOST', 'unix:///nowhere/docker.sock');
  onTestFinished(() => void vi.unstubAllEnvs());

  await expect(prepareContainers(() => undefined)).rejects.toThrow(
    process.platform === 'linux'
      ? 'The sandbox "docker" is not available: no Docker engine answers at unix:///nowhere/docker.sock (ENOENT). Start it, or correct DOCKER_HOST.'
      : 'it needs Linux',
  );
});

/** What a script says, in a container as a subject gets it but without the permission model. */
async function answerOf(script: string): Promise<unknown> {
  const said = Promise.withResolvers<unknown>();
  const packages = join(repositoryRoot, 'node_modules');
  const body = `const channel = new (require('net').Socket)({ fd: 3 });
    const say = (value) => {
      const told = require('v8').serialize(value);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(told.length);
      channel.write(Buffer.concat([head, told]));
    };
    (async () => { ${script} })().catch((error) => say(String(error)));`;
  const held: HeldProcess = startInContainer(
    {
      args: ['-e', body],
      env: { OWN: 'given', NODE_PATH: packages },
      readable: [packages, join(repositoryRoot, 'package.json')],
      workspace: undefined,
    },
    {
      frame: (frame) => said.resolve(deserialize(frame)),
      fault: () => said.reject(new Error('It wrote what is no frame.')),
      longestFrameBytes: 1024 * 1024,
      failed: (why) => said.reject(new Error(why)),
      closed: (code) => said.reject(new Error(`It ended with ${code}.`)),
    },
  );
  held.stdout.resume();
  held.stderr.resume();
  try {
    return await said.promise;
  } finally {
    held.kill();
  }
}

async function moduleFile(source: string): Promise<string> {
  const place = await leashedFolder(tmpdir(), 'kata-container-test-');
  onTestFinished(() => place[Symbol.asyncDispose]());
  const file = join(place.path, 'module.ts');
  await mkdir(place.path, { recursive: true });
  await writeFile(file, source);
  return file;
}

async function listening(onConnection?: (socket: import('node:net').Socket) => void): Promise<Server> {
  const server = createServer(onConnection).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return server;
}

/** The containers of subjects and their folders that are there now, of this test file: others have theirs at the same time. */
async function containers(): Promise<string[]> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  const { container } = await getContainerRuntimeClient();
  const all = await container.dockerode.listContainers({ all: true });
  const names = all.flatMap(({ Names }) => Names).filter((name) => name.startsWith(`/backend-katas-subject-${owner}-`));
  const folders = (await readdir(tmpdir())).filter((name) => name.startsWith(`kata-container-${owner}-`));
  return [...names, ...folders].sort();
}
