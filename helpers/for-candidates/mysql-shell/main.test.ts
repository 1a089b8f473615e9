// Path: main.ts and all below it, run as the command itself. Window: scripts, a terminal, wrong arguments, ends of all kinds.
// Invariant: statements run in order unless one waits for a lock, the exit code tells the outcome, and nothing stays behind.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Connection, type RowDataPacket, createConnection } from 'mysql2/promise';
import { type TestContext, expect, inject, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { until } from '../../foundations/waiting/until.ts';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
const limitMs = 60_000;

/** The run's own server, given to the command by MYSQL_URL: quick, and we see what it leaves there. */
function serverUrl(): string {
  const { host, port, user, password } = inject('mysqlServers')[0]!;
  return `mysql://${user}:${password}@${host}:${port}`;
}

interface Run {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly code: Promise<number | null>;
}

function start(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  command: readonly string[] = [process.execPath, main],
): Run {
  const [file, ...first] = command;
  const child = spawn(file!, [...first, ...args], {
    cwd: repositoryRoot,
    env: { ...process.env, KATA_MYSQL: '', MYSQL_URL: serverUrl(), NO_COLOR: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin!.on('error', () => undefined);
  const code = once(child, 'close').then(([status]) => status as number | null);
  return { child, stdout: () => stdout, stderr: () => stderr, code };
}

async function runScript(
  lines: readonly string[],
  args: readonly string[] = ['race-condition'],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const run = start(args);
  run.child.stdin!.end(lines.join('\n'));
  const code = await run.code;
  // Times differ from run to run.
  return { code, stdout: run.stdout().replace(/\d+(\.\d)? m?s\b/g, 'TIME'), stderr: run.stderr() };
}

async function untilTrue(what: () => string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  if (!(await until(isTrue, limitMs))) throw new Error(`Not within ${limitMs / 1_000} s: ${what()}`);
}

async function serverConnection(): Promise<Connection> {
  const connection = await createConnection(serverUrl());
  onTestFinished(() => connection.destroy());
  return connection;
}

/** The database, and the account of the same name, that a run's URL names; and whether they are still there. */
function databaseOf(run: Run): string {
  const [, name] = /^mysql:\/\/.*\/(kata_\w+)\s*$/m.exec(run.stderr() + run.stdout()) ?? [];
  if (name === undefined) throw new Error(`No URL in: ${run.stderr()}${run.stdout()}`);
  return name;
}

async function isLeft(server: Connection, name: string): Promise<boolean> {
  const [databases] = await server.query<RowDataPacket[]>('SHOW DATABASES LIKE ?', [name]);
  const [accounts] = await server.query<RowDataPacket[]>('SELECT user FROM mysql.user WHERE user = ?', [name]);
  return databases.length + accounts.length > 0;
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}

async function refusesConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const isRefused = await new Promise<boolean>((resolve) =>
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true)),
  );
  socket.destroy();
  return isRefused;
}

test('a script runs in order and shows each statement with its answer', async () => {
  const { code, stdout, stderr } = await runScript([
    "INSERT INTO counters VALUES ('a', 100),",
    "  ('b;', 5);",
    '-- which of them',
    "SELECT id, value FROM counters WHERE id = 'b;'; UPDATE counters SET value = 7",
  ]);

  expect(stderr).toContain("INSERT INTO counters (id, value) VALUES ('a', 100);");
  expect(stdout.split('\n')).toEqual([
    "1> INSERT INTO counters VALUES ('a', 100),",
    "->   ('b;', 5);",
    'OK, 2 rows, TIME',
    '1> -- which of them',
    "-> SELECT id, value FROM counters WHERE id = 'b;';",
    '┌────┬───────┐',
    '│ id │ value │',
    '├────┼───────┤',
    '│ b; │     5 │',
    '└────┴───────┘',
    '1 row, TIME',
    '1> UPDATE counters SET value = 7;',
    'OK, 2 rows matched, 2 changed, TIME',
    '',
  ]);
  expect(code).toBe(0);
});

test('a statement that waits for a lock lets the other session go on, and its answer comes after what released it', async () => {
  const { code, stdout } = await runScript([
    "INSERT INTO counters VALUES ('a', 100);",
    'START TRANSACTION;',
    "UPDATE counters SET value = value + 1 WHERE id = 'a';",
    "\\2 UPDATE counters SET value = value * 2 WHERE id = 'a';",
    "UPDATE counters SET value = value + 1 WHERE id = 'a';",
    'COMMIT;',
    '\\2',
    "SELECT value FROM counters WHERE id = 'a' \\G",
  ]);

  expect(stdout.split('\n').slice(2)).toEqual([
    '1> START TRANSACTION;',
    'OK, TIME',
    "1> UPDATE counters SET value = value + 1 WHERE id = 'a';",
    'OK, 1 row matched, 1 changed, TIME',
    "2> UPDATE counters SET value = value * 2 WHERE id = 'a';",
    'session 2 waits for a lock',
    "1> UPDATE counters SET value = value + 1 WHERE id = 'a';",
    'OK, 1 row matched, 1 changed, TIME',
    '1> COMMIT;',
    'OK, TIME',
    "session 2 is answered after its wait: UPDATE counters SET value = value * 2 WHERE id = 'a'",
    'OK, 1 row matched, 1 changed, TIME',
    "2> SELECT value FROM counters WHERE id = 'a'\\G",
    '--- row 1 ---',
    'value: 204',
    '1 row, TIME',
    '',
  ]);
  expect(code).toBe(0);
});

test('what got its lock is done before the next line, however long it takes', async () => {
  const { stdout } = await runScript([
    "INSERT INTO counters VALUES ('a', 100);",
    'START TRANSACTION; UPDATE counters SET value = 101;',
    '\\2 UPDATE counters SET value = value * 2 + SLEEP(0.5);',
    'COMMIT;',
    'SELECT value FROM counters \\G',
  ]);

  expect(stdout).toContain('value: 202\n');
});

test.each([
  [
    'a shared row lock',
    ["INSERT INTO counters VALUES ('a', 1);", 'START TRANSACTION;', 'UPDATE counters SET value = 2;'],
    'SELECT * FROM counters LOCK IN SHARE MODE;',
    'COMMIT;',
  ],
  [
    'a metadata lock',
    ['START TRANSACTION;', 'SELECT * FROM counters;'],
    'ALTER TABLE counters ADD COLUMN c INT;',
    'COMMIT;',
  ],
  ['a named lock', ["SELECT GET_LOCK('n', 0);"], "SELECT GET_LOCK('n', 40);", "SELECT RELEASE_LOCK('n');"],
])('a wait for %s is seen', async (_kind, taking, waiting, release) => {
  const { code, stdout } = await runScript([...taking, `\\2 ${waiting}`, release, '\\2 SELECT 1;']);

  const steps = stdout
    .split('\n')
    .filter((line) => /^(\d>|session)/.test(line))
    .slice(taking.length);
  expect(steps).toEqual([
    `2> ${waiting}`,
    'session 2 waits for a lock',
    `1> ${release}`,
    `session 2 is answered after its wait: ${waiting.slice(0, -1)}`,
    '2> SELECT 1;',
  ]);
  expect(code).toBe(0);
});

test('a deadlock is an error of one session, without a stack, and the script goes on to exit code 1', async () => {
  const { code, stdout, stderr } = await runScript([
    "INSERT INTO counters VALUES ('a', 1), ('b', 1);",
    "START TRANSACTION; UPDATE counters SET value = 2 WHERE id = 'a';",
    "\\2 START TRANSACTION; UPDATE counters SET value = 3 WHERE id = 'b';",
    "UPDATE counters SET value = 2 WHERE id = 'b';",
    "\\2 UPDATE counters SET value = 3 WHERE id = 'a';",
    'COMMIT;',
    '\\2 COMMIT;',
  ]);

  expect(stdout.match(/^ERROR.*/gm)).toEqual([
    'ERROR 1213: Deadlock found when trying to get lock; try restarting transaction (TIME)',
  ]);
  expect(stdout.match(/^\d> COMMIT;$/gm)).toEqual(['1> COMMIT;', '2> COMMIT;']);
  expect(stdout + stderr).not.toMatch(/^\s+at /m);
  expect(code).toBe(1);
});

test('a statement for a session that waits is held until that session has its answer', async () => {
  const { code, stdout } = await runScript([
    "INSERT INTO counters VALUES ('a', 1);",
    'START TRANSACTION; UPDATE counters SET value = 2;',
    '\\2 SET innodb_lock_wait_timeout = 1;',
    '\\2 UPDATE counters SET value = 3;',
    '\\2 SELECT 1;',
  ]);

  expect(stdout.match(/^(2>|session|ERROR).*/gm)?.slice(1)).toEqual([
    '2> UPDATE counters SET value = 3;',
    'session 2 waits for a lock',
    'session 2 is answered after its wait: UPDATE counters SET value = 3',
    'ERROR 1205: Lock wait timeout exceeded; try restarting transaction (TIME)',
    '2> SELECT 1;',
  ]);
  expect(code).toBe(1);
});

test('a killed session says so and connects again', async () => {
  const { code, stdout } = await runScript([
    '\\2 KILL CONNECTION_ID();',
    '\\2 SELECT 2 AS two \\G',
    'exit',
    'SELECT 3;',
  ]);

  expect(stdout.split('\n')).toEqual([
    '2> KILL CONNECTION_ID();',
    expect.stringMatching(/^ERROR (1317|1927): /),
    'session 2 lost its connection and transaction; its next statement reconnects',
    '2> SELECT 2 AS two\\G',
    '--- row 1 ---',
    'two: 2',
    '1 row, TIME',
    '',
  ]);
  expect(code).toBe(1);
});

test('a statement on its way when its session is killed is an error, and the script goes on', async () => {
  const { code, stdout } = await runScript([
    "SELECT GET_LOCK('n', 0);",
    "\\2 DO GET_LOCK('n', 40);",
    "SELECT CONCAT('KILL ', id) INTO @kill FROM information_schema.processlist WHERE info LIKE 'DO GET%';",
    'PREPARE kill_it FROM @kill; EXECUTE kill_it;',
    '\\2 SELECT 2;',
  ]);

  const after = stdout.slice(stdout.indexOf('EXECUTE kill_it;'));
  expect(after.match(/^(OK|session|ERROR|\d>).*/gm)).toEqual([
    'OK, TIME',
    "session 2 is answered after its wait: DO GET_LOCK('n', 40)",
    expect.stringMatching(/^ERROR/),
    'session 2 lost its connection and transaction; its next statement reconnects',
    '2> SELECT 2;',
  ]);
  expect(code).toBe(1);
});

test('a person gets the prompt back while a statement waits, and Ctrl-C drops a half-typed one before it leaves', async (ctx) => {
  const { run, type, shown } = startOnTerminal(ctx);
  await shown('1> ');
  await type('START TRANSACTION;', 'OK, ');
  await type("INSERT INTO counters VALUES ('a', 1);", '1 row');
  await type("\\2 INSERT INTO counters VALUES ('a', 2);", 'session 2 waits for a lock');
  await type('\\2 SELECT 1;', 'Session 2 still waits for a lock: INSERT INTO');
  await type('\\sessions', 'waits for a lock: INSERT');
  await type('SELECT', '-> ');
  run.child.stdin!.write('\u0003');
  await shown('^C');
  await type('COMMIT;', "ERROR 1062: Duplicate entry 'a'");
  await shown('1> ');
  const server = await serverConnection();
  const name = databaseOf(run);
  run.child.stdin!.write('\u0003');

  const code = await run.code;

  expect(code).toBe(0);
  expect(await isLeft(server, name), 'database or account left').toBe(false);
});

test('Ctrl-C stops the statement that the prompt waits for, and \\cancel one that waits behind it', async (ctx) => {
  const { run, type, shown } = startOnTerminal(ctx);
  await shown('1> ');
  await type("SELECT GET_LOCK('n', 0);", '1 row');
  await type("\\2 SELECT GET_LOCK('n', 40);", 'session 2 waits for a lock');
  await type('\\cancel 2', 'session 2 is answered after its wait: SELECT GET_LOCK');
  await type('SELECT SLEEP(50);', 'session 1 still runs');
  await type('\\cancel', 'session 1 is answered: SELECT SLEEP(50)');
  await shown('1> ');
  run.child.stdin!.write('\u0004');

  const code = await run.code;

  expect(code).toBe(0);
});

test('--port gives any client a URL with that port', async () => {
  const port = await freePort();
  const run = start(['race-condition', '--port', String(port)]);
  await untilTrue(
    () => `the URL in ${run.stderr()}`,
    () => run.stderr().includes('\\q leaves'),
  );
  const [, url] = /^(mysql:\/\/\S+)$/m.exec(run.stderr()) ?? [];

  const client = await createConnection(url!);
  onTestFinished(() => client.destroy());
  const [[row]] = await client.query<RowDataPacket[]>('SELECT COUNT(*) AS count FROM counters');
  run.child.stdin!.end('exit\n');
  const code = await run.code;

  expect(new URL(url!).port).toBe(String(port));
  expect(row).toEqual({ count: 0 });
  expect(code).toBe(0);
  expect(await refusesConnections(port), 'the port after the end').toBe(true);
});

test('a port in use is one sentence, exit code 2, and nothing was started', async () => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  onTestFinished(() => void listener.close());
  const { port } = listener.address() as AddressInfo;

  const { code, stdout, stderr } = await runScript([], ['--port', String(port)]);

  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: '',
    stderr: `Port ${port} is in use: choose another one, or leave --port out.\n`,
  });
});

test.each([
  [['race-conditoin'], /^There is no kata "race-conditoin"\. Did you mean race-condition\?.*\n$/],
  [['3307'], /^Options go after two dashes: npm run mysql -- --port 3307\n$/],
  [['--port', '70000'], /^--port is "70000": give a number from 1 to 65535\.\n$/],
  [['--prot', '1'], /^unknown option '--prot'.*\n$/s],
])('%j is refused in one sentence with exit code 2', async (args, sentence) => {
  const { code, stdout, stderr } = await runScript([], args);

  expect(stderr).toMatch(sentence);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

test('no server to be had is one sentence and exit code 2', async () => {
  const run = start([], { MYSQL_URL: 'mysql://root:secret-word@127.0.0.1:1' });

  const code = await run.code;

  expect(run.stderr()).toMatch(/^MYSQL_URL: the server at 127\.0\.0\.1:1 refuses user root: .*ECONNREFUSED.*\n$/);
  expect(run.stderr()).not.toContain('secret-word');
  expect({ code, stdout: run.stdout() }).toEqual({ code: 2, stdout: '' });
});

test('after kill -9 in the middle of a lock wait, database and account go away', async () => {
  const run = start(['race-condition']);
  run.child.stdin!.write(
    "INSERT INTO counters VALUES ('a', 1);\nSTART TRANSACTION; UPDATE counters SET value = 2;\n\\2 UPDATE counters SET value = 3;\n",
  );
  await untilTrue(
    () => `a lock wait in ${run.stdout()}`,
    () => run.stdout().includes('session 2 waits for a lock'),
  );
  const server = await serverConnection();
  const name = databaseOf(run);

  run.child.kill('SIGKILL');
  await run.code;

  expect(await until(async () => !(await isLeft(server, name)), limitMs), 'database and account are gone').toBe(true);
});

test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('after %s no server of its own runs on', async (signal) => {
  const run = start(['race-condition'], { MYSQL_URL: process.env['MYSQL_URL'], KATA_MYSQL: process.env['KATA_MYSQL'] });
  await untilTrue(
    () => `the URL in ${run.stderr()}`,
    () => run.stderr().includes('\\q leaves'),
  );
  const port = Number(/^mysql:\/\/.*:(\d+)\//m.exec(run.stderr())?.[1]);

  run.child.kill(signal);
  await run.code;

  expect(
    await until(() => process.env['MYSQL_URL'] !== undefined || refusesConnections(port), limitMs),
    'the server is gone',
  ).toBe(true);
});

/** The command on a terminal of its own, by the `script` of util-linux. */
function startOnTerminal(ctx: TestContext): {
  run: Run;
  type(line: string, until: string): Promise<void>;
  shown(text: string): Promise<void>;
} {
  if (!/util-linux/.test(String(spawnSync('script', ['--version']).stdout)))
    ctx.skip('needs the command "script" of util-linux for a terminal');
  const command = [process.execPath, main, 'race-condition'].map((word) => `'${word}'`).join(' ');
  const run = start([], { TERM: 'xterm' }, ['script', '-qec', command, '/dev/null']);
  let read = 0;
  const shown = async (text: string) => {
    await untilTrue(
      () => `"${text}" in ${JSON.stringify(run.stdout().slice(read))}`,
      () => run.stdout().includes(text, read),
    );
    read = run.stdout().indexOf(text, read) + text.length;
  };
  return {
    run,
    shown,
    async type(line, text) {
      run.child.stdin!.write(`${line}\r`);
      await shown(text);
    },
  };
}
