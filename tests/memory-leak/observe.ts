import type { Observe } from '../../helpers/for-candidates/observe/observation.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { type Client, GatewayServer } from './gateway-server.ts';

/** So that a person sees them tick. */
const intervals = { heartbeatMs: 500, onlineMs: 500, updateMs: 500 };

/** For `npm run observe memory-leak`: a gateway with timers that tick, and clients to send there. */
export const observe: Observe = async (subject) => {
  const server = await GatewayServer.open(subject as unknown as Subject<typeof Kata>, { intervals });
  // One that only looks on; it is among the sessions.
  const [onlooker] = (await server.connect(1)) as [Client];
  let clients: Client[] = [];
  const each = async (act: (client: Client) => unknown) => {
    for (const client of clients) act(client);
    await server.settle();
  };

  return {
    actions: [
      { key: '1', label: 'connect one client', run: async () => clients.push(...(await server.connect(1))) },
      { key: '0', label: 'connect ten clients', run: async () => clients.push(...(await server.connect(10))) },
      {
        key: 's',
        label: 'each subscribes to prices',
        run: () => each((client) => client.send('subscribe_updates', 'prices')),
      },
      { key: 'm', label: 'a thousand messages', run: () => sayOften(server, onlooker, 1000) },
      {
        key: 'c',
        label: 'compute ten times',
        run: () => repeat(10, () => onlooker.ask('heavy_computation', 50_000)),
      },
      { key: 'b', label: 'ten reports', run: () => repeat(10, () => onlooker.ask('build_report', 20)) },
      {
        key: 't',
        label: 'each takes a seat',
        run: () => each((client) => client.send('take_seat', new Uint8Array(65_536))),
      },
      {
        key: 'd',
        label: 'disconnect all clients',
        run: async () => {
          await server.leave(clients);
          clients = [];
        },
      },
    ],
    script: ['0', 's', 'c', 'd'],
    async figures() {
      const stats = await onlooker.ask<Kata.MemoryStats>('get_memory_stats');
      const { gatewayListeners } = await server.counts();
      return {
        clients: clients.length + 1,
        sessions: stats.sessions,
        history: stats.history,
        handlers: gatewayListeners,
      };
    },
    async end() {
      server.disconnectAll();
    },
  };
};

async function sayOften(server: GatewayServer, client: Client, count: number): Promise<void> {
  for (let n = 0; n < count; n++) client.send('message', `message ${n} `.padEnd(200, '.'));
  await server.settle();
}

async function repeat(times: number, run: () => Promise<unknown>): Promise<void> {
  for (let time = 0; time < times; time++) await run();
}
