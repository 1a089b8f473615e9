import { expect, test } from 'vitest';
import { Agent, request } from 'undici';
import { openHttpPeer } from './http-peer.ts';

test('a request is held until it is answered, and others are answered before it', async () => {
  await using peer = await openHttpPeer();
  const events: string[] = [];
  const ask = async (path: string) => {
    const { statusCode, body } = await request(`http://${peer.host}:${peer.port}${path}`, {
      method: 'POST',
      body: path,
    });
    events.push(`${path} ${statusCode} ${await body.text()}`);
  };

  const first = ask('/first');
  const held = await peer.arrival(0);
  const second = ask('/second');
  await (await peer.arrival(1)).answer({ status: 404, body: 'gone' });
  await second;
  const before = [...events];
  await held.answer({ body: 'here' });
  await first;

  expect(before).toEqual(['/second 404 gone']);
  expect(events).toEqual(['/second 404 gone', '/first 200 here']);
  expect(peer.requests.map(({ method, path, body, state }) => `${method} ${path} ${body} ${state}`)).toEqual([
    'POST /first /first answered',
    'POST /second /second answered',
  ]);
});

test('onRequest answers at once, by the number of the request, with headers', async () => {
  await using peer = await openHttpPeer((_request, index) =>
    index === 0 ? { status: 503, headers: { 'retry-after': '7' } } : {},
  );
  const ask = () => request(`http://${peer.host}:${peer.port}/`);

  const [first, second] = [await ask(), await ask()];

  expect([first.statusCode, first.headers['retry-after'], second.statusCode]).toEqual([503, '7', 200]);
  expect(peer.requests).toHaveLength(2);
});

test('a connection can break before the answer and in the middle of it', async () => {
  await using peer = await openHttpPeer();
  const ask = async () => {
    const { statusCode, body } = await request(`http://${peer.host}:${peer.port}/`);
    return await body.text().catch(({ code }: { code: string }) => `${statusCode}, then ${code}`);
  };

  const early = ask().catch(({ code }: { code: string }) => code);
  await (await peer.arrival(0)).breakOff();
  const middle = ask();
  await (await peer.arrival(1)).breakOff({ body: 'half' });

  expect([await early, await middle]).toEqual(['UND_ERR_SOCKET', '200, then UND_ERR_SOCKET']);
  expect(peer.requests.map(({ state }) => state)).toEqual(['broken', 'broken']);
});

test('a client that leaves is seen, one that stays or has its answer is not taken for one', async () => {
  await using peer = await openHttpPeer();
  const over = new AbortController();
  const dispatcher = new Agent();
  const leaving = request(`http://${peer.host}:${peer.port}/leaves`, { signal: over.signal, dispatcher });
  const left = await peer.arrival(0);
  const staying = request(`http://${peer.host}:${peer.port}/stays`, { dispatcher });
  const stays = await peer.arrival(1);

  const before = left.state;
  over.abort();

  await expect(leaving).rejects.toThrow('aborted');
  expect([before, await left.isLeft(), await stays.isLeft(50)]).toEqual(['held', true, false]);
  await stays.answer();
  await (await staying).body.dump();
  await dispatcher.close();
  expect([await stays.isLeft(), left.state, stays.state]).toEqual([false, 'left', 'answered']);
});

test('what cannot be done is refused with a sentence', async () => {
  await using peer = await openHttpPeer(() => ({}));
  await (await request(`http://${peer.host}:${peer.port}/once`)).body.dump();

  await expect(peer.requests[0]!.answer()).rejects.toThrow('GET /once is answered; it cannot be ended again.');
  await expect(peer.arrival(1, 50)).rejects.toThrow('The peer waited for request 2; 1 arrived.');
});
