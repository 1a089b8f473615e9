import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { expect, test } from 'vitest';
import { SteppedWait, SocketClient } from './socket-client.ts';

const never = new Promise<never>(() => {});

test('a client connects once with its name, asks, and fails when its connection is lost', async () => {
  const http = createServer();
  const io = new Server(http);
  const users: unknown[] = [];
  io.on('connection', (socket) => {
    users.push(socket.handshake.auth['user']);
    socket.on('double', (number: number, answer: (twice: number) => void) => answer(2 * number));
    socket.on('leave me', () => socket.disconnect());
  });
  await new Promise<void>((resolve) => void http.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = http.address() as AddressInfo;
    const patience = new SteppedWait({ rounds: 50, roundMs: 100, step: async () => {} });
    const client = new SocketClient({ port, patience, transport: 'websocket', auth: { user: 'ann' } });
    await client.connected();

    expect(await client.ask('double', 21)).toBe(42);
    await expect(client.ask('leave me')).rejects.toThrow('a client lost its connection');
    expect(users).toEqual(['ann']);
  } finally {
    await io.close();
  }
});

test('what an answer waits for may come from the step of a round', async () => {
  let steps = 0;
  const { promise, resolve } = Promise.withResolvers<string>();
  const step = async () => {
    if (++steps === 3) resolve('the answer');
  };
  const patience = new SteppedWait({ rounds: 5, roundMs: 1, step });

  expect(await patience.wait(promise, 'no answer came')).toBe('the answer');
  expect(steps).toBe(3);
});

test('what does not come is told after so many rounds; what a step throws comes first', async () => {
  let steps = 0;
  const patience = new SteppedWait({ rounds: 4, roundMs: 1, step: async () => void steps++ });
  const dead = new SteppedWait({
    rounds: 4,
    roundMs: 1,
    step: () => Promise.reject(new Error('the process has ended')),
  });

  await expect(patience.wait(never, 'no answer came')).rejects.toThrow('no answer came');
  expect(steps).toBe(4);
  await expect(dead.wait(never, 'no answer came')).rejects.toThrow('the process has ended');
  await expect(dead.wait(Promise.reject(new Error('lost')), 'no answer came')).rejects.toThrow('the process has ended');
});
