// Path: sources/url.ts. Window: MYSQL_URL that is malformed, points nowhere, or is refused.
// Invariant: one clear sentence with host, port and the server's own words, and never the password.
import { once } from 'node:events';
import { type Server, connect, createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { probeAll, startServer } from '../start-server.ts';
import { parseMysqlUrl, urlSource } from './url.ts';

const password = 'sEcret-Passw0rd';

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => expect.unreachable('it should have been refused'),
    (error: Error) => `${error.name}: ${error.message}`,
  );
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

describe('a malformed MYSQL_URL gets one sentence without its text', () => {
  test.for([
    [`not a url ${password}`, 'MYSQL_URL is not a URL: '],
    [`root:${password}@127.0.0.1:3306`, 'MYSQL_URL starts with root:// instead of mysql://: '],
    [`http://root:${password}@127.0.0.1`, 'MYSQL_URL starts with http:// instead of mysql://: '],
    [`mysql://127.0.0.1:3306/${password}`, 'MYSQL_URL names no user: '],
    [`mysql://root:${password}%@127.0.0.1`, 'MYSQL_URL has a % in user or password that is not written as %25: '],
    [`mysql://root:${password}@127.0.0.1:99999`, 'MYSQL_URL is not a URL: '],
  ] as const)('%s', async ([url, beginning]) => {
    const message = await messageOf(urlSource({ MYSQL_URL: url }).start(() => undefined));

    expect(message).toBe(`MysqlUnavailable: ${beginning}write it as mysql://root:password@127.0.0.1:3306.`);
  });
});

test('user and password may be percent-encoded, the port may be left out, IPv6 is in brackets', () => {
  expect(parseMysqlUrl('mysql://a%40b:p%3Aw%2F@[::1]/ignored')).toEqual({
    host: '::1',
    port: 3306,
    user: 'a@b',
    password: 'p:w/',
  });
});

test('nobody listens: host, port and the refusal are named, the password is not', async () => {
  const server = createServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');

  const message = await messageOf(startServer({ env: { MYSQL_URL: `mysql://root:${password}@127.0.0.1:${port}` } }));

  expect(message).toContain(`127.0.0.1:${port} refuses user root: connect ECONNREFUSED`);
  expect(message).not.toContain(password);
});

test('something listens and never says a word: it is given up', async () => {
  const port = await listening(createServer(() => undefined));

  const message = await messageOf(
    urlSource({ MYSQL_URL: `mysql://root:${password}@127.0.0.1:${port}` }, 1_000).start(() => undefined),
  );

  expect(message).toContain(`127.0.0.1:${port} refuses user root: no answer within 1 s`);
});

test('a server that is too busy to answer the first time is waited for, and that is told', async (ctx) => {
  const serving = (await probeAll()).find(({ name, probe }) => name !== 'url' && probe.serves);
  if (!serving) return ctx.skip('no MySQL server can be had here');
  await using server = await startServer({ env: { ...process.env, MYSQL_URL: '', KATA_MYSQL: serving.name } });
  let calls = 0;
  const port = await listening(
    createServer((client) => {
      client.on('error', () => undefined);
      // Whoever comes first is kept waiting for as long as he stays.
      if (++calls === 1) return;
      const onward = connect(server.port, server.host);
      onward.on('error', () => client.destroy());
      client.pipe(onward).pipe(client);
    }),
  );
  const lines: string[] = [];

  const attached = await urlSource({ MYSQL_URL: `mysql://root:${server.password}@127.0.0.1:${port}` }).start((line) =>
    lines.push(line),
  );

  expect(attached).toMatchObject({ source: 'url', version: server.version });
  expect(lines).toEqual([`MYSQL_URL: 127.0.0.1:${port} has not answered for 3 s; waiting for it up to 60 s`]);
});

test('a wrong password is told in the words of the server, a right one attaches and leaves the server running', async (ctx) => {
  const serving = (await probeAll()).find(({ name, probe }) => name !== 'url' && probe.serves);
  if (!serving) return ctx.skip('no MySQL server can be had here');
  await using server = await startServer({ env: { ...process.env, MYSQL_URL: '', KATA_MYSQL: serving.name } });
  const at = `${server.host}:${server.port}`;

  const refusal = await messageOf(startServer({ env: { MYSQL_URL: `mysql://root:${password}@${at}` } }));
  const attached = await startServer({ env: { MYSQL_URL: `mysql://root:${server.password}@${at}` } });
  await attached[Symbol.asyncDispose]();
  const probe = await urlSource({ MYSQL_URL: `mysql://root:${server.password}@${at}` }).probe();

  expect(refusal).toMatch(
    /^MysqlUnavailable: MYSQL_URL: the server at \S+ refuses user root: Access denied for user 'root'/,
  );
  expect(refusal).not.toContain(password);
  expect(attached).toMatchObject({ source: 'url', flavour: server.flavour, version: server.version });
  expect(probe).toEqual({ serves: true, detail: `${server.flavour} ${server.version} at ${at}` });
});
