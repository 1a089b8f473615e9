import type { Socket } from 'socket.io-client';
import type { Observe } from '../../helpers/for-candidates/observe/observation.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';
import { type GatewayProcess, ask, openStage, prepareBus } from './stage.ts';

/** For `npm run observe memory-leak`: a gateway with timers that tick, and clients to send there. */
export const observe: Observe = async (subject) => {
  const gateway = subject as unknown as GatewayProcess;
  await prepareBus(gateway);
  const stage = await openStage(gateway, 'observed', { intervalMs: 500 });
  // One that only looks on; it is among the sessions.
  const [onlooker] = await stage.connect(1);
  let clients: Socket[] = [];
  const each = async (act: (client: Socket) => unknown) => {
    await Promise.all(clients.map(act));
    await ask(onlooker!, 'get_seats');
  };

  return {
    actions: [
      { key: '1', label: 'connect one client', run: async () => clients.push(...(await stage.connect(1))) },
      { key: '0', label: 'connect ten clients', run: async () => clients.push(...(await stage.connect(10))) },
      {
        key: 's',
        label: 'each subscribes to prices',
        run: () => each((client) => client.emit('subscribe_updates', 'prices')),
      },
      { key: 'm', label: 'a thousand messages', run: () => sayOften(onlooker!, 1000) },
      {
        key: 'c',
        label: 'compute ten times',
        run: () => repeat(10, () => ask(onlooker!, 'heavy_computation', 50_000)),
      },
      { key: 'b', label: 'ten reports', run: () => repeat(10, () => ask(onlooker!, 'build_report', 20)) },
      {
        key: 't',
        label: 'each takes a seat',
        run: () => each((client) => client.emit('take_seat', new Uint8Array(65_536))),
      },
      {
        key: 'd',
        label: 'disconnect all clients',
        run: async () => {
          await stage.leave(clients);
          clients = [];
        },
      },
    ],
    script: ['0', 's', 'c', 'd'],
    async figures() {
      const stats = await ask<Kata.MemoryStats>(onlooker!, 'get_memory_stats');
      const { ours } = await stage.busListeners();
      return { clients: clients.length + 1, sessions: stats.sessions, history: stats.history, handlers: ours };
    },
    async end() {
      for (const client of [...clients, onlooker!]) client.disconnect();
    },
  };
};

async function sayOften(client: Socket, count: number): Promise<void> {
  for (let n = 0; n < count; n++) client.emit('message', `message ${n} `.padEnd(200, '.'));
  await ask(client, 'get_seats');
}

async function repeat(times: number, run: () => Promise<unknown>): Promise<void> {
  for (let time = 0; time < times; time++) await run();
}
