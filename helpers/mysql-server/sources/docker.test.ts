// Path: sources/docker.ts. Window: no engine, a dead one, an image that cannot be had, and the death of the process that
// holds a container, also before the engine has made it.
// Invariant: a reason within 2 s, or a server; and no container after its holder, with Ryuk or without.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { getContainerRuntimeClient } from 'testcontainers';
import { type TestContext, describe, expect, onTestFinished, test } from 'vitest';
import type { MysqlServer } from '../source.ts';
import { dockerSource } from './docker.ts';

const limitMs = 30_000;
const fileOf = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

async function needEngine(ctx: TestContext): Promise<Awaited<ReturnType<typeof getContainerRuntimeClient>>> {
  const probe = await dockerSource().probe();
  if (!probe.serves) return ctx.skip(`${probe.why}. ${probe.remedy}`);
  if (probe.detail.includes('pulled on first use')) return ctx.skip(`${probe.detail}: this test pulls nothing`);
  return getContainerRuntimeClient();
}

async function run(code: string) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line', {
    signal: AbortSignal.timeout(limitMs),
  })) as [string];
  return { child, line };
}

/** Polls until the container is gone, and tells whether it went within the limit. */
async function goes(container: { inspect(): Promise<unknown> }): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (
    await container.inspect().then(
      () => true,
      () => false,
    )
  ) {
    if (performance.now() > endMs) return false;
    await setTimeout(50);
  }
  return true;
}

describe('without an engine', () => {
  test('a socket that is not there is told at once', async () => {
    const probe = await dockerSource({ DOCKER_HOST: 'unix:///nowhere/docker.sock' }).probe();

    expect(probe).toEqual({
      serves: false,
      why: 'no Docker engine answers at unix:///nowhere/docker.sock (ENOENT)',
      remedy: 'Start it, or correct DOCKER_HOST.',
    });
  });

  test('an address that never answers is given up within 2 s', async () => {
    const mute = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    onTestFinished(() => void mute.close());
    const DOCKER_HOST = `tcp://127.0.0.1:${(mute.address() as { port: number }).port}`;

    const probe = await dockerSource({ DOCKER_HOST }).probe();

    expect(probe).toMatchObject({
      serves: false,
      why: `no Docker engine answers at ${DOCKER_HOST} (no answer within 1.5 s)`,
    });
  });

  test('a DOCKER_HOST that is no address is told', async () => {
    const probe = await dockerSource({ DOCKER_HOST: 'nonsense' }).probe();

    expect(probe).toMatchObject({ serves: false, why: 'no Docker engine answers at nonsense (ERR_INVALID_URL)' });
  });
});

test('a server in a container serves, and the container is gone after dispose', async (ctx) => {
  const { container } = await needEngine(ctx);

  const server = await dockerSource().start(() => undefined);
  const { host, port, user, password } = server;
  const connection = await createConnection({ host, port, user, password });
  onTestFinished(() => connection.destroy());
  const [[row]] = (await connection.query(
    'SELECT VERSION() AS version, @@hostname AS id, @@datadir AS data, @@log_bin AS logBin, @@max_connections AS max',
  )) as unknown as [[{ version: string; id: string }]];
  await connection.query('CREATE DATABASE kata');
  const isThere = (): Promise<boolean> =>
    container
      .getById(row.id)
      .inspect()
      .then(
        () => true,
        () => false,
      );
  const before = await isThere();
  await server[Symbol.asyncDispose]();

  expect(server).toMatchObject({ source: 'docker', user: 'root' });
  expect(row).toMatchObject({ data: '/var/lib/mysql/', logBin: 0, max: 200 });
  expect(row.version.startsWith(server.version), `${row.version} is told as ${server.version}`).toBe(true);
  expect([before, await isThere()], 'the container is there before dispose and after').toEqual([true, false]);
});

test('SIGKILL to the process that holds a container leaves none', async (ctx) => {
  const { container } = await needEngine(ctx);
  const { child, line } = await run(`
    const { dockerSource } = await import(${fileOf('docker.ts')});
    const server = await dockerSource().start(() => {});
    setInterval(() => {}, 1000);
    console.log(JSON.stringify(server));`);
  const { host, port, user, password } = JSON.parse(line) as MysqlServer;
  const connection = await createConnection({ host, port, user, password });
  connection.on('error', () => undefined);
  onTestFinished(() => connection.destroy());
  const [[row]] = (await connection.query('SELECT @@hostname AS id')) as unknown as [[{ id: string }]];

  child.kill('SIGKILL');

  expect(await goes(container.getById(row.id)), 'the container is gone').toBe(true);
});

test('a container that ends under its holder leaves nothing with the engine', async (ctx) => {
  const { container } = await needEngine(ctx);
  await using server = await dockerSource().start(() => undefined);
  const { host, port, user, password } = server;
  const connection = await createConnection({ host, port, user, password });
  connection.on('error', () => undefined);
  onTestFinished(() => connection.destroy());
  const [[row]] = (await connection.query('SELECT @@hostname AS id')) as unknown as [[{ id: string }]];

  await container.getById(row.id).kill();

  expect(await goes(container.getById(row.id)), 'the container is gone').toBe(true);
});

test('a container that the engine makes only after its holder was killed is removed too', async (ctx) => {
  const { container } = await needEngine(ctx);
  const name = `backend-katas-test-${process.pid}-${Date.now()}`;
  const { child } = await run(`
    const { leash } = await import(${fileOf('../../foundations/processes/leash.ts')});
    leash({ container: ${JSON.stringify(name)}, appearsWithinMs: ${limitMs} });
    setInterval(() => {}, 1000);
    console.log('leashed');`);

  child.kill('SIGKILL');
  await once(child, 'exit');
  const late = await container.dockerode.createContainer({ name, Image: process.env['MYSQL_IMAGE'] || 'mysql:9.7' });

  expect(await goes(late), 'the container is gone').toBe(true);
});

test('an image that cannot be had is told in one sentence', async (ctx) => {
  await needEngine(ctx);

  await expect(
    dockerSource({ ...process.env, MYSQL_IMAGE: 'localhost:1/nowhere:1' }).start(() => undefined),
  ).rejects.toMatchObject({
    name: 'MysqlUnavailable',
    message: expect.stringMatching(
      /^Docker answers, but the image localhost:1\/nowhere:1 cannot be pulled \(.+\): run "docker pull .+"/,
    ),
  });
});

test('an image without a database server is told in the words of the shell', async (ctx) => {
  const { image, container } = await needEngine(ctx);
  const other = await container.dockerode.listImages();
  const bare = other
    .flatMap(({ RepoTags }) => RepoTags ?? [])
    .find((tag) => /^(node|debian|alpine|busybox):/.test(tag));
  if (!bare || !image) return ctx.skip('no image of node, debian, alpine or busybox is here');

  await expect(dockerSource({ ...process.env, MYSQL_IMAGE: bare }).start(() => undefined)).rejects.toThrow(
    /^The image \S+ cannot initialise a data directory \(exit code \d+: .+\): set MYSQL_IMAGE to an official mysql or mariadb image\.$/,
  );
});
