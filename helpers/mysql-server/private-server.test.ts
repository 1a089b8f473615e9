// Path: private-server.ts, data-template.ts. Window: a port taken in between, a template cut off, two starts at once,
// and the end of the process that holds a server, by any signal.
// Invariant: a server that is told of is ready and behaves as flags.ts says; after its holder nothing of it is left.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir, stat, symlink, truncate } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { type TestContext, describe, expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../foundations/processes/test-folder.ts';
import { cacheFolder } from './cache-folder.ts';
import { startPrivateServer } from './private-server.ts';
import type { ServerProgram } from './server-program.ts';
import type { MysqlServer } from './source.ts';
import { chooseSource, startServer } from './start-server.ts';

const limitMs = 30_000;
const names = ['local', 'debian-mysql', 'debian-mariadb'] as const;
const quick = ['debian-mariadb', 'local', 'debian-mysql'] as const;

/** The settings for a source that serves here, or a skip that says why it does not. */
async function settingsFor(ctx: TestContext, ...wanted: readonly string[]): Promise<NodeJS.ProcessEnv> {
  const reasons: string[] = [];
  for (const name of wanted) {
    const env = { ...process.env, KATA_MYSQL: name };
    const refusal = await chooseSource(env).then(
      () => '',
      (error: Error) => error.message,
    );
    if (!refusal) return env;
    reasons.push(refusal);
  }
  return ctx.skip(reasons.join(' '));
}

async function connectTo(server: Pick<MysqlServer, 'host' | 'port' | 'user' | 'password'>): Promise<Connection> {
  const { host, port, user, password } = server;
  const connection = await createConnection({ host, port, user, password });
  onTestFinished(() => connection.destroy());
  return connection;
}

async function ask(connection: Connection, expression: string): Promise<unknown> {
  const [rows] = await connection.query(`SELECT ${expression} AS value`);
  return (rows as { value: unknown }[])[0]?.value;
}

/** Polls until it is true, and tells whether it came to be within the limit. */
async function comesTrue(isTrue: () => boolean | Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) return false;
    await setTimeout(20);
  }
  return true;
}

async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie that nobody has collected yet does not run.
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/\) Z /.test(state);
}

/** A cache of its own that borrows the unpacked packages of the normal one, so that nothing is fetched twice. */
async function cacheWithoutTemplates(env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv & { KATA_CACHE: string }> {
  const KATA_CACHE = await testFolder(onTestFinished);
  await (await startServer({ env }))[Symbol.asyncDispose]();
  for (const entry of await readdir(cacheFolder(env))) {
    if (entry.startsWith('debian-')) await symlink(join(cacheFolder(env), entry), join(KATA_CACHE, entry));
  }
  return { ...env, KATA_CACHE };
}

async function templatesIn(cache: string): Promise<string[]> {
  return (await readdir(cache)).filter((entry) => entry.startsWith('data-')).map((entry) => join(cache, entry));
}

/** A program that the cache knows how to run, taken from a server that ran it. */
async function programOf(env: NodeJS.ProcessEnv): Promise<ServerProgram> {
  const server = await startServer({ env });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const pidFile = String(await ask(await connectTo(server), '@@pid_file'));
  const commandLine = await readFile(`/proc/${Number(await readFile(pidFile, 'utf8'))}/cmdline`, 'utf8');
  const parts = commandLine.split('\0');
  const [file = '', ...rest] = parts.slice(0, parts.indexOf('--no-defaults'));
  const flags = parts.filter((part) => /^--(lc-messages-dir|character-sets-dir|plugin-dir)=/.test(part));
  const { source, flavour, version } = server;
  return { source, command: [file, ...rest], flags, flavour, version, tempFolder: tmpdir() };
}

describe.for(names)('a server from %s', (name) => {
  test('serves on the loopback as flags.ts says, and is gone with its folder after dispose', async (ctx) => {
    const env = await settingsFor(ctx, name);

    const server = await startServer({ env });
    const connection = await connectTo(server);
    const told = {
      version: String(await ask(connection, 'VERSION()')),
      bind: await ask(connection, '@@bind_address'),
      logBin: await ask(connection, '@@log_bin'),
      charset: await ask(connection, '@@character_set_server'),
      sqlMode: String(await ask(connection, '@@GLOBAL.sql_mode')),
      timeZone: await ask(connection, '@@GLOBAL.time_zone'),
      maxConnections: await ask(connection, '@@max_connections'),
    };
    const [isolation] = await connection.query("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'");
    const [schema] = await connection.query("SHOW VARIABLES LIKE 'performance_schema'");
    const pidFile = String(await ask(connection, '@@pid_file'));
    const pid = Number(await readFile(pidFile, 'utf8'));
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();

    expect(server).toMatchObject({ source: name, host: '127.0.0.1', user: 'root' });
    expect(told.version.startsWith(server.version), `${told.version} is told as ${server.version}`).toBe(true);
    expect(told).toMatchObject({
      bind: '127.0.0.1',
      logBin: 0,
      charset: 'utf8mb4',
      timeZone: '+00:00',
      maxConnections: 200,
    });
    expect(told.sqlMode).toContain('ONLY_FULL_GROUP_BY');
    expect(schema).toMatchObject([{ Value: 'OFF' }]);
    for (const row of isolation as { Value: string }[]) expect(row.Value).toBe('OFF');
    expect(await isRunning(pid), 'the server process after dispose').toBe(false);
    expect(existsSync(dirname(pidFile)), 'the folder of the server after dispose').toBe(false);
  });
});

test('no account gets in without the password of the run', async (ctx) => {
  await using server = await startServer({ env: await settingsFor(ctx, ...quick) });

  for (const user of ['root', '', 'mysql']) {
    await expect(createConnection({ ...pick(server), user, password: '' }), `user "${user}"`).rejects.toThrow(
      /Access denied/,
    );
  }
  const [accounts] = await (
    await connectTo(server)
  ).query("SELECT user, host FROM mysql.user WHERE user IN ('root', '')");
  expect(accounts).toHaveLength(2);
});

function pick({ host, port }: MysqlServer): Pick<MysqlServer, 'host' | 'port'> {
  return { host, port };
}

test('a port that was taken in between is not insisted on', async (ctx) => {
  if (process.platform !== 'linux') return ctx.skip('this test reads /proc');
  const env = await settingsFor(ctx, ...quick);
  const program = await programOf(env);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const ports = [(taken.address() as { port: number }).port];
  const findPort = async (): Promise<number> => ports.shift() ?? freePort();

  await using server = await startPrivateServer(program, () => undefined, env, findPort);

  expect(ports, 'ports left that were offered first').toEqual([]);
  expect(await ask(await connectTo(server), '@@port')).toBe(server.port);
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

test('a template that was cut off in the middle is made anew', async (ctx) => {
  const env = await cacheWithoutTemplates(await settingsFor(ctx, ...quick));
  await (await startServer({ env }))[Symbol.asyncDispose]();
  const [template = ''] = await templatesIn(env.KATA_CACHE);
  const tablespace = join(template, 'ibdata1');
  await truncate(tablespace, Math.trunc((await stat(tablespace)).size / 2));

  await using server = await startServer({ env });

  expect(await ask(await connectTo(server), '1')).toBe(1);
  const templates = await templatesIn(env.KATA_CACHE);
  expect(templates, 'templates, of which one was cut off').toHaveLength(1);
  expect(templates).not.toContain(template);
});

test('two first starts at once, one of them in another process, both serve', async (ctx) => {
  const env = await cacheWithoutTemplates(await settingsFor(ctx, ...quick));

  const [one, two, other] = await Promise.all([startServer({ env }), startServer({ env }), holdServer(env)]);
  onTestFinished(() => one[Symbol.asyncDispose]());
  onTestFinished(() => two[Symbol.asyncDispose]());

  for (const server of [one, two, other.server]) expect(await ask(await connectTo(server), '@@port')).toBe(server.port);
  expect(new Set([one.port, two.port, other.server.port]).size, 'different ports').toBe(3);
  const left = (await readdir(env.KATA_CACHE)).filter((entry) => entry.startsWith('.making-'));
  expect(left, 'half-made folders').toEqual([]);
});

describe.for(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('%s to the process that holds a server', (signal) => {
  test('leaves neither the server nor its folder', async (ctx) => {
    const { holder, server } = await holdServer(await settingsFor(ctx, ...quick));
    const pidFile = String(await ask(await connectTo(server), '@@pid_file'));
    const pid = Number(await readFile(pidFile, 'utf8'));

    holder.kill(signal);

    expect(await comesTrue(async () => !(await isRunning(pid))), 'the server has ended').toBe(true);
    expect(await comesTrue(() => !existsSync(dirname(pidFile))), 'the folder of the server is gone').toBe(true);
  });
});

test('a process that forgets to dispose ends by itself, and leaves nothing', async (ctx) => {
  const { holder, server } = await holdServer(await settingsFor(ctx, ...quick), 'forget');
  const pidFile = String(await ask(await connectTo(server), '@@pid_file'));

  holder.stdin.end();

  await comesTrue(() => holder.exitCode !== null);
  expect(holder.exitCode, 'exit code of the holder').toBe(0);
  expect(await comesTrue(() => !existsSync(dirname(pidFile))), 'the folder of the server is gone').toBe(true);
});

/** Has another process start a server and hold it, until its standard input ends or, when told, a signal. */
async function holdServer(env: NodeJS.ProcessEnv, how: 'hold' | 'forget' = 'hold') {
  const code = `
    const { startServer } = await import(${JSON.stringify(new URL('start-server.ts', import.meta.url).href)});
    const server = await startServer();
    process.stdin.resume();
    ${how === 'hold' ? 'setInterval(() => {}, 1000);' : ''}
    console.log(JSON.stringify(server));`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void holder.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: holder.stdout }), 'line', {
    signal: AbortSignal.timeout(limitMs),
  })) as [string];
  return { holder, server: JSON.parse(line) as MysqlServer };
}
