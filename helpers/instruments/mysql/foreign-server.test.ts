// Path: server-settings.ts, try-server.ts, test-database.ts, proxy.ts. Window: a server by MYSQL_URL whose owner has changed its settings.
// Invariant: sessions of the judge and of the module have the settings of our own servers, or the run is refused by the
// setting's name; the server is left as it was.
import { type Connection, type RowDataPacket, createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { MysqlServer } from '../../mysql-server/source.ts';
import { urlSource } from '../../mysql-server/sources/url.ts';
import { startServer } from '../../mysql-server/start-server.ts';
import { TestDatabase } from './test-database.ts';

let server: MysqlServer;
let root: Connection;

beforeAll(async () => {
  const kind = process.env['KATA_MYSQL'];
  server = await startServer({ env: { ...process.env, MYSQL_URL: '', KATA_MYSQL: kind === 'url' ? '' : kind } });
  const { host, port, user, password } = server;
  root = await createConnection({ host, port, user, password });
});
afterAll(async () => {
  root?.destroy();
  await server?.[Symbol.asyncDispose]();
});

const isMariadb = () => server.flavour === 'mariadb';

/** Changes a setting of the server until the end of the test. */
async function setGlobal(name: string, value: string): Promise<void> {
  const [[row]] = await root.query<RowDataPacket[]>(`SELECT @@GLOBAL.${name} AS value`);
  onTestFinished(async () => void (await root.query(`SET GLOBAL ${name} = ?`, [row!['value']])));
  await root.query(`SET GLOBAL ${name} = ${value}`);
}

const byUrl = () => urlSource({ MYSQL_URL: `mysql://root:${server.password}@${server.host}:${server.port}` });

async function told(session: Connection, names: readonly string[]): Promise<Record<string, unknown>> {
  const [[row]] = await session.query<RowDataPacket[]>(
    `SELECT ${names.map((name) => `@@SESSION.${name} AS ${name}`).join()}`,
  );
  return { ...row };
}

test('sessions of a hostile server are as those of ours: of the judge, of the module, through a proxy, after a reset', async () => {
  const isolation = isMariadb() ? 'tx_isolation' : 'transaction_isolation';
  const names = [isolation, 'autocommit', 'innodb_lock_wait_timeout', 'completion_type', 'wait_timeout', 'sql_mode'];
  const ours = await told(root, names);
  await setGlobal(isolation, "'READ-COMMITTED'");
  await setGlobal('autocommit', 'OFF');
  await setGlobal('innodb_lock_wait_timeout', '1');
  await setGlobal('completion_type', "'CHAIN'");
  await setGlobal('wait_timeout', '5');
  await setGlobal('sql_mode', "'ANSI_QUOTES'");
  const { host, port, user, password } = await byUrl().start(() => undefined);
  await using database = await TestDatabase.create({ host, port, user, password }, 'race-condition');
  const wanted = { ...ours, wait_timeout: 3_600 };
  const open = async (at: number): Promise<Connection> => {
    const { connectionLimit: _none, ...options } = database.accountOptions();
    const session = await createConnection({ ...options, port: at });
    onTestFinished(() => session.destroy());
    return session;
  };
  await using proxy = await database.proxy('A', 'SET SESSION innodb_lock_wait_timeout = 7');

  const direct = await open(database.accountOptions().port);
  const behind = await open(database.accountOptions(proxy).port);
  const beside = await database.connect();
  onTestFinished(() => beside.destroy());

  expect(await told(direct, names)).toEqual(wanted);
  expect(await told(database.admin, names)).toEqual(wanted);
  expect(await told(beside, names)).toEqual(wanted);
  expect(await told(behind, names)).toEqual({ ...wanted, innodb_lock_wait_timeout: 7 });
  await direct.query('SET SESSION autocommit = OFF');
  await (direct as unknown as { reset(): Promise<void> }).reset();
  await (behind as unknown as { reset(): Promise<void> }).reset();
  // A reset takes away what the client asked for when it came, on MariaDB; MySQL keeps it.
  const asNew = async (session: Connection) => {
    const values = await told(session, names);
    return { ...values, sql_mode: String(values['sql_mode']).replace('IGNORE_SPACE,', '') };
  };
  const reset = { ...wanted, sql_mode: String(ours['sql_mode']).replace('IGNORE_SPACE,', '') };
  expect(await asNew(direct)).toEqual(reset);
  expect(await asNew(behind)).toEqual({ ...reset, innodb_lock_wait_timeout: 7 });
});

test.for([
  ['max_connections', '12', /has max_connections = 12 \(it must be at least 100\), under which/],
  ['max_allowed_packet', '1048576', /has max_allowed_packet = 1048576 \(it must be at least 16777216\), under which/],
  ['read_only', 'ON', /has read_only = ON \(it must be OFF\), under which/],
] as const)('%s = %s is refused by its name', async ([name, value, words]) => {
  await setGlobal(name, value);

  const probe = await byUrl().probe();

  expect(probe).toEqual({
    serves: false,
    why: expect.stringMatching(words),
    remedy: 'Change that setting, or use another server.',
  });
});

test('an account that may not make accounts is refused, and what was tried is gone', async () => {
  await root.query("CREATE USER 'weak'@'%' IDENTIFIED BY 'word'");
  onTestFinished(async () => void (await root.query("DROP USER 'weak'@'%'")));
  await root.query("GRANT CREATE, DROP, SELECT ON *.* TO 'weak'@'%'");

  const probe = await urlSource({ MYSQL_URL: `mysql://weak:word@${server.host}:${server.port}` }).probe();

  expect(probe).toEqual({
    serves: false,
    why: expect.stringMatching(
      /does not let weak do what a judge must \(CREATE USER .* IDENTIFIED BY '…'.*: Access denied/,
    ),
    remedy: 'Name an account that may create databases and accounts, such as root.',
  });
  expect(await left()).toEqual([]);
});

test('a server that serves is left as it was', async () => {
  expect(await byUrl().probe()).toMatchObject({ serves: true });
  expect(await left()).toEqual([]);
});

/** What is on the server that a judge has made. */
async function left(): Promise<unknown[]> {
  const [databases] = await root.query<RowDataPacket[]>("SHOW DATABASES LIKE 'kata\\_%'");
  const [users] = await root.query<RowDataPacket[]>("SELECT user FROM mysql.user WHERE user LIKE 'kata\\_%'");
  return [...databases, ...users];
}
