// Path: docker-engine.ts. Window: where engines put their sockets, what contexts and DOCKER_HOST say, and accounts without a name.
// Invariant: an engine that is there is found, and its address is one that Testcontainers takes; else one sentence.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../catalogue/target.ts';
import { runProgram } from '../command-line/run-house-command.ts';
import { testFolder } from '../processes/test-folder.ts';
import { askEngine } from './docker-engine.ts';

/** In the place of this machine's own engine, which may be there. */
const nowhere = '/nowhere/docker.sock';

/** An engine that knows its version and nothing else. */
async function engineAt(place: string | number): Promise<number> {
  const server = createServer((_request, response) => response.end('{"Version": "99.9"}'));
  if (typeof place === 'string') await mkdir(dirname(place), { recursive: true });
  if (typeof place === 'string') server.listen(place);
  else server.listen(place, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return typeof place === 'string' ? 0 : (server.address() as AddressInfo).port;
}

async function context(home: string, name: string, host: string): Promise<void> {
  const id = createHash('sha256').update(name).digest('hex');
  const folder = join(home, '.docker', 'contexts', 'meta', id);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }));
}

const sentence = (answer: object) => ('why' in answer ? `${String(answer.why)}.` : answer);

describe.skipIf(process.platform === 'win32')('an engine is found', () => {
  test.for([
    'HOME/.docker/run/docker.sock',
    'HOME/.docker/desktop/docker.sock',
    'HOME/.colima/default/docker.sock',
    'HOME/.config/colima/default/docker.sock',
    'HOME/.orbstack/run/docker.sock',
    'HOME/.rd/docker.sock',
    'HOME/.lima/docker/sock/docker.sock',
    'HOME/.local/share/containers/podman/machine/podman.sock',
    'XDG_RUNTIME_DIR/docker.sock',
    'XDG_RUNTIME_DIR/podman/podman.sock',
  ])('at %s', async (place) => {
    const HOME = await testFolder(onTestFinished);
    const env = { HOME, XDG_RUNTIME_DIR: join(HOME, 'run') };
    const path = place.replace('HOME', HOME).replace('XDG_RUNTIME_DIR', env.XDG_RUNTIME_DIR);
    await engineAt(path);

    expect(await askEngine(env, nowhere)).toMatchObject({ version: '99.9', address: `unix://${path}` });
  });

  test('where the current context says it is, and DOCKER_CONTEXT comes before that, and DOCKER_HOST before both', async () => {
    const HOME = await testFolder(onTestFinished);
    const [one, two] = [join(HOME, 'one.sock'), join(HOME, 'two.sock')];
    await engineAt(one);
    await engineAt(two);
    await context(HOME, 'one', `unix://${one}`);
    await context(HOME, 'two', `unix://${two}`);
    await writeFile(join(HOME, '.docker', 'config.json'), JSON.stringify({ currentContext: 'one' }));

    expect(await askEngine({ HOME })).toMatchObject({ address: `unix://${one}` });
    expect(await askEngine({ HOME, DOCKER_CONTEXT: 'two' })).toMatchObject({ address: `unix://${two}` });
    expect(await askEngine({ HOME, DOCKER_CONTEXT: 'two', DOCKER_HOST: `unix://${one}` })).toMatchObject({
      address: `unix://${one}`,
    });
    expect(await askEngine({ DOCKER_CONFIG: join(HOME, '.docker') })).toMatchObject({ address: `unix://${one}` });
  });

  test('by a bare path, and by a host with a port', async () => {
    const HOME = await testFolder(onTestFinished);
    const path = join(HOME, 'engine.sock');
    await engineAt(path);
    const port = await engineAt(0);

    expect(await askEngine({ HOME, DOCKER_HOST: path })).toMatchObject({ address: `unix://${path}` });
    expect(await askEngine({ HOME, DOCKER_HOST: `127.0.0.1:${port}` })).toMatchObject({
      address: `tcp://127.0.0.1:${port}`,
    });
  });

  test('Testcontainers is told of an engine that it would not find', async () => {
    const HOME = await testFolder(onTestFinished);
    const path = join(HOME, '.colima/default/docker.sock');
    await context(HOME, 'colima', `unix://${path}`);
    await writeFile(join(HOME, '.docker', 'config.json'), JSON.stringify({ currentContext: 'colima' }));
    await engineAt(path);
    const code = `import { adoptEngine } from ${JSON.stringify(join(import.meta.dirname, 'docker-engine.ts'))};
      import { spawn } from 'node:child_process';
      await adoptEngine();
      spawn(process.execPath, ['-p', 'process.env.DOCKER_HOST'], { stdio: 'inherit' });`;

    const child = await runProgram(process.execPath, ['--input-type=module', '-e', code], repositoryRoot, {
      HOME,
      DOCKER_HOST: '',
    });

    expect(child).toMatchObject({ code: 0, stdout: `unix://${path}\n` });
  });
});

test('an engine behind SSH is told, whoever names it', async () => {
  const HOME = await testFolder(onTestFinished);
  await context(HOME, 'far', 'ssh://me@build.example');

  expect(sentence(await askEngine({ HOME, DOCKER_HOST: 'ssh://me@build.example' }))).toBe(
    'DOCKER_HOST names the Docker engine at ssh://build.example, which the judge cannot reach by SSH.',
  );
  expect(sentence(await askEngine({ HOME, DOCKER_CONTEXT: 'far' }, nowhere))).toBe(
    'the Docker context "far" names the Docker engine at ssh://build.example, which the judge cannot reach by SSH.',
  );
});

test.skipIf(process.getuid?.() !== 0)('an account that the system has no name for may ask (needs root)', () => {
  const code = `import { askEngine } from ${JSON.stringify(join(import.meta.dirname, 'docker-engine.ts'))};
    import { cacheFolder } from ${JSON.stringify(join(repositoryRoot, 'helpers/mysql-server/cache-folder.ts'))};
    console.log(Object.keys(await askEngine()).length > 0, cacheFolder());`;
  const { HOME: _home, ...env } = process.env;

  const { status, stdout, stderr } = spawnSync(
    'setpriv',
    ['--reuid=54321', '--regid=54321', '--clear-groups', process.execPath, '--input-type=module', '-e', code],
    { cwd: repositoryRoot, encoding: 'utf8', env },
  );

  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^true \/.*backend-katas-home-54321\/\.cache\/backend-katas\n$/);
});
