import { type Connection, type RowDataPacket, createConnection } from 'mysql2/promise';
import { expect, inject, onTestFinished, test } from 'vitest';
import '../../mysql-server/global-setup.ts';
import { preparedTransactions } from '../../foundations/processes/remove-database.js';
import { until } from '../../foundations/waiting/until.ts';
import { TestDatabase } from './test-database.ts';

const server = inject('mysqlServers')[0]!;

async function accountOf(database: TestDatabase): Promise<Connection> {
  const { connectionLimit: _none, ...options } = database.accountOptions();
  const session = await createConnection(options);
  session.on('error', () => undefined);
  return session;
}

test('a database goes with what a module left: a busy session, an open and a prepared transaction', async () => {
  const admin = await createConnection({ ...server });
  onTestFinished(() => admin.destroy());
  const count = async (sql: string) => Number((await admin.query<RowDataPacket[]>(sql))[0][0]!['found']);
  const sessions = (user: string) =>
    count(`SELECT COUNT(*) AS found FROM information_schema.processlist WHERE user = '${user}'`);
  const before = await preparedTransactions(admin);
  const database = await TestDatabase.create(server, 'race-condition');
  const { name } = database;
  await database.admin.query("INSERT INTO counters (id, value) VALUES ('a', 1), ('b', 1)");
  const [prepared, open, busy] = await Promise.all([1, 2, 3].map(() => accountOf(database)));
  await prepared!.query("XA START 'left'");
  await prepared!.query("UPDATE counters SET value = 2 WHERE id = 'a'");
  await prepared!.query("XA END 'left'");
  await prepared!.query("XA PREPARE 'left'");
  prepared!.destroy();
  await open!.query('BEGIN');
  await open!.query("UPDATE counters SET value = 2 WHERE id = 'b'");
  busy!.query("SELECT BENCHMARK(100000000000, SHA2('x', 512))").catch(() => undefined);
  expect(await until(async () => (await preparedTransactions(admin)).length === before.length + 1)).toBe(true);
  expect(await until(async () => (await sessions(name)) >= 2)).toBe(true);

  await database[Symbol.asyncDispose]();

  expect(await sessions(name)).toBe(0);
  expect(await preparedTransactions(admin)).toEqual(before);
  expect(await count(`SELECT COUNT(*) AS found FROM mysql.user WHERE user = '${name}'`)).toBe(0);
  expect(await count(`SELECT COUNT(*) AS found FROM information_schema.schemata WHERE schema_name = '${name}'`)).toBe(
    0,
  );
});

test('a prepared transaction of somebody else’s stays', async () => {
  const admin = await createConnection({ ...server });
  onTestFinished(() => admin.destroy());
  await using other = await TestDatabase.create(server, 'race-condition');
  await other.admin.query("INSERT INTO counters (id, value) VALUES ('a', 1)");
  const session = await accountOf(other);
  for (const statement of [
    "XA START 'theirs'",
    "UPDATE counters SET value = 2 WHERE id = 'a'",
    "XA END 'theirs'",
    "XA PREPARE 'theirs'",
  ])
    await session.query(statement);
  session.destroy();
  const theirs = await preparedTransactions(admin);

  await (await TestDatabase.create(server, 'race-condition'))[Symbol.asyncDispose]();

  expect(theirs).toHaveLength(1);
  expect(await preparedTransactions(admin)).toEqual(theirs);
});

test('on a server of ours a module cannot fill the memory with tables', async ({ skip }) => {
  await using database = await TestDatabase.create(server, 'race-condition');
  const [[row]] = await database.admin.query<RowDataPacket[]>('SELECT VERSION() AS version');
  if (String(row!['version']).includes('MariaDB')) skip('MariaDB cannot switch a storage engine off.');
  const session = await accountOf(database);
  onTestFinished(() => session.destroy());

  await expect(session.query('CREATE TEMPORARY TABLE t (a INT) ENGINE=MEMORY')).rejects.toThrow(/disabled/);
});
