import { Readable } from 'node:stream';
import { type Connection, createConnection } from 'mysql2/promise';
import { expect, inject, onTestFinished, test } from 'vitest';
import { settles, until } from '../../foundations/waiting/until.ts';
import type { MysqlProxy } from './proxy.ts';
import { TestDatabase } from './test-database.ts';
import './use-test-database.ts';

// The proxy before a real server; its client is a connection of this process.

const rowBytes = 64 * 1024;

test('counts the statements that are answered, however many come in one command', async () => {
  const { client, proxy } = await connected();
  await client.query('CREATE TEMPORARY TABLE notes (id INT, text VARCHAR(100))');
  const [before, commands] = [proxy.statements, proxy.commands];

  await client.query('INSERT INTO notes VALUES (1, ?), (2, ?)', ['one', 'two']);
  await client.query("INSERT INTO notes VALUES (3, 'three'); SELECT * FROM notes; DELETE FROM notes WHERE id = 4");
  await client.execute('SELECT * FROM notes WHERE id = ?', [1]);
  await client.execute('SELECT * FROM notes WHERE id = ?', [2]);
  await client.query('INSERT INTO no_such_table VALUES (1)').catch(() => undefined);
  await client.ping();

  expect(proxy.statements - before, 'statements').toBe(1 + 3 + 2 + 1);
  expect(proxy.commands - commands, 'commands').toBe(1 + 1 + 2 + 1);
});

test('tells the times in a prepared statement as a literal that can be run again', async () => {
  const { client, proxy } = await connected();
  const hold = proxy.holdCommand(1);
  const executed = client.execute('SELECT ? AS at', [new Date(2026, 0, 31, 10, 5, 0, 250)]);
  const held = await hold.reached;
  hold.release();
  await executed;

  expect(held.sql).toBe("SELECT '2026-01-31 10:05:00.250000' AS at");
});

test('holds the second of those commands whose text matches', async () => {
  const { client, proxy } = await connected();
  const hold = proxy.holdCommand(2, 'after', /^SELECT/);
  const sent = ["SELECT 'first'", "DO 'other'", "SELECT 'second'"].map(async (sql) => await client.query(sql));
  const held = await hold.reached;
  hold.release();
  await Promise.all(sent);

  expect(held.sql).toBe("SELECT 'second'");
});

test('takes the content of a file for no command, and withholds the answer that comes after it', async () => {
  const { client, proxy } = await connected();
  await client.query('CREATE TEMPORARY TABLE notes (id INT, text LONGTEXT)');
  const before = proxy.statements;

  // Numbered from 0 to 255 and from 0 again: packets of the file that have the number of a command.
  const parts = Array.from({ length: 600 }, (_, id) => `\u0003${id}\tDELETE FROM notes\n`);
  const hold = proxy.holdCommand(1);
  const load = client.query({
    sql: "LOAD DATA LOCAL INFILE 'notes' INTO TABLE notes (@id, text) SET id = SUBSTRING(@id, 2)",
    infileStreamFactory: () => Readable.from(parts.map((part) => Buffer.from(part))),
  });
  const held = await hold.reached;
  const isAnswered = await Promise.race([load.then(() => true), new Promise((resolve) => setImmediate(resolve))]);
  hold.release();
  await load;

  expect(held.sql).toContain('LOAD DATA');
  expect(isAnswered, 'whether it was answered while its answer was withheld').toBeUndefined();
  expect(proxy.statements - before, 'statements').toBe(1);
  const [rows] = await client.query<any[]>('SELECT COUNT(*) AS count, MAX(id) AS last FROM notes');
  expect(rows).toEqual([{ count: 600, last: 599 }]);
});

test('stands still after so many bytes, and goes on with nothing lost', async () => {
  const { client, proxy } = await connected();
  await client.query('CREATE TEMPORARY TABLE notes (id INT, text LONGTEXT)');
  const stall = proxy.stallAfter(3 * rowBytes);
  const insert = (id: number) => client.query('INSERT INTO notes VALUES (?, ?)', [id, 'x'.repeat(rowBytes)]);

  const inserts = Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(insert));
  await stall.reached;
  const sent = proxy.bytesSent;
  const isDone = await settles(inserts, 100);
  expect([isDone, proxy.bytesSent], 'whether all was done, and the bytes that were let through').toEqual([false, sent]);
  stall.release();
  await inserts;

  const [rows] = await client.query<any[]>('SELECT id, LENGTH(text) AS length FROM notes');
  expect(rows).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((id) => ({ id, length: rowBytes })));
});

test('drops all connections, and takes new ones', async () => {
  const { client, proxy, database } = await connected();
  const hold = proxy.holdCommand(1);
  const query = client.query('SELECT 1').catch((error: NodeJS.ErrnoException) => error.code);
  await hold.reached;

  proxy.drop();

  expect(await query).toBe('PROTOCOL_CONNECTION_LOST');
  expect(await until(() => proxy.threadIds.length === 0), 'whether the proxy has none left').toBe(true);
  const next = await createConnection(database.accountOptions(proxy));
  expect((await next.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }]);
  next.destroy();
});

test('hangs up: what the server has said still arrives, and the client has taken notice', async () => {
  const { client, proxy } = await connected();
  const hold = proxy.holdCommand(1);
  const query = client.query('SELECT 1 AS one');
  await hold.reached;
  let isTold = false;
  client.on('error', () => (isTold = true));

  hold.release();
  await proxy.hangUp();

  expect(proxy.threadIds, 'connections of the proxy').toEqual([]);
  expect(await until(() => isTold), 'whether the client knows').toBe(true);
  expect((await query)[0]).toEqual([{ one: 1 }]);
});

async function connected(): Promise<{ client: Connection; proxy: MysqlProxy; database: TestDatabase }> {
  const database = await TestDatabase.create(inject('mysqlServers')[0]!, 'race-condition');
  const proxy = await database.proxy('A');
  const { connectionLimit: _, ...account } = database.accountOptions(proxy);
  const client = await createConnection({ ...account, multipleStatements: true });
  onTestFinished(async () => {
    client.destroy();
    await proxy[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });
  return { client, proxy, database };
}
