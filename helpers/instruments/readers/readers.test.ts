import { once } from 'node:events';
import { type RequestListener, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { settles, until } from '../../foundations/waiting/until.ts';
import { ask } from './ask.ts';
import { type Content, Reader } from './reader.ts';

const mebibyte = 1024 * 1024;
const chunk = Buffer.alloc(64 * 1024, 'x');
const content: Content = {
  differsAt: (bytes, offset) => {
    const index = bytes.findIndex((byte) => byte !== 120);
    return index === -1 ? undefined : offset + index;
  },
};

test('a reader that goes on reads all of it', async () => {
  const port = await serve((_req, res) => res.end(Buffer.alloc(3 * mebibyte, 'x')));
  using reader = new Reader(port, '/', { content });

  expect((await reader.head()).status).toBe(200);
  expect(await reader.rest()).toEqual({ how: 'complete', bytes: 3 * mebibyte, differsAt: undefined });
});

test('a reader that pauses takes no more than the sockets between hold, and then the rest', async () => {
  let written = 0;
  let drains = 0;
  const port = await serve((req, res) => {
    if (req.url === '/other') return res.end();
    const write = () => {
      while (written < 64 * mebibyte) {
        written += chunk.length;
        if (!res.write(chunk)) return;
      }
      res.end();
    };
    res.on('drain', () => (drains++, write()));
    return write();
  });
  using reader = new Reader(port, '/', { content });

  await reader.take(100_000);
  const taken = reader.bytes;
  for (let other = 0; other < 50; other++) await ask(port, '/other');
  const atPause = { taken: reader.bytes, written };
  const end = await reader.rest();

  expect(taken).toBeGreaterThanOrEqual(100_000);
  expect(atPause.taken, 'bytes taken, after 50 requests of others').toBe(taken);
  expect(atPause.written, 'bytes written meanwhile').toBeLessThan(32 * mebibyte);
  expect(end).toEqual({ how: 'complete', bytes: 64 * mebibyte, differsAt: undefined });
  expect(drains).toBeGreaterThan(0);
});

test('a response that breaks off, with a length and in chunks, is not complete', async () => {
  for (const headers of [{}, { 'content-length': 10 * chunk.length }]) {
    const port = await serve((_req, res) => {
      res.writeHead(200, headers);
      res.write(chunk, () => res.destroy());
    });
    using reader = new Reader(port, '/');

    expect(await reader.rest()).toEqual({ how: 'broken', bytes: chunk.length, differsAt: undefined });
    expect(await ask(port, '/')).toMatchObject({ status: 200, isComplete: false });
  }
});

test('a response that ends too early by its own word is complete, with fewer bytes', async () => {
  const port = await serve((_req, res) => res.end(chunk));
  using reader = new Reader(port, '/');

  expect(await reader.rest()).toMatchObject({ how: 'complete', bytes: chunk.length });
});

test('a question arrives with its method, its body, and each value of a header', async () => {
  const port = await serve((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (part: Buffer) => chunks.push(part));
    req.on('end', () =>
      res.end(JSON.stringify([req.method, req.headersDistinct.authorization, Buffer.concat(chunks).toString()])),
    );
  });
  const headers = { authorization: ['one', 'two'] };

  const { body } = await ask(port, '/', { method: 'PATCH', headers, body: 'the body' });

  expect(JSON.parse(body.toString())).toEqual(['PATCH', ['one', 'two'], 'the body']);
});

test('a response that stops coming leaves its reader waiting', async () => {
  const port = await serve((_req, res) => void res.write(chunk));
  using reader = new Reader(port, '/');

  expect(await reader.rest()).toMatchObject({ how: 'waiting', bytes: chunk.length });
});

test('the first wrong byte is told', async () => {
  const port = await serve((_req, res) => {
    res.write(chunk);
    setImmediate(() => res.end('xxxyx'));
  });
  using reader = new Reader(port, '/', { content });

  expect(await reader.rest()).toMatchObject({ differsAt: chunk.length + 3 });
});

test('a reader that leaves is seen to leave, before the response and in the middle of it', async () => {
  let left = 0;
  let asked = 0;
  const port = await serve((req, res) => {
    asked++;
    res.on('close', () => left++);
    if (req.url === '/some') res.write(chunk);
  });
  using early = new Reader(port, '/');
  using late = new Reader(port, '/some');
  await early.sent;
  await late.take(1);
  expect(await until(() => asked === 2)).toBe(true);
  expect(left).toBe(0);

  early.leave();
  late.leave();

  expect(await until(() => left === 2), 'both have left').toBe(true);
  expect(await early.head()).toEqual({ status: 0, headers: {} });
});

test('where nobody listens, and where nothing is answered, the status is 0', async () => {
  const port = await serve(() => undefined);

  expect((await ask(port, '/', { comes: (answer) => settles(answer, 100) })).status).toBe(0);
  expect((await ask(1, '/')).status).toBe(0);
  using reader = new Reader(1, '/');
  expect((await reader.head()).status).toBe(0);
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
