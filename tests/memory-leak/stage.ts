import { type Socket, io as connectTo } from 'socket.io-client';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';

/** What the subject's process keeps from one call of the judge to the next. */
export interface Kept {
  bus: import('node:events').EventEmitter;
  /** Listeners that another part of the application has put on the bus. */
  others: (() => void)[];
  /** Sends of the event "broadcast", to one or to many. */
  sends: number;
  stages: Record<
    string,
    { http: import('node:http').Server; io: import('socket.io').Server; gateway?: Kata.MemoryLeakGateway }
  >;
}

/** The module in a process of its own. */
export type GatewayProcess = Subject<typeof Kata, Kept>;

/** What a client does between coming and going. */
export type Act = (client: Socket) => unknown;

/** A real Socket.IO server with a gateway, and the clients that we have there. */
export class Stage {
  readonly subject: GatewayProcess;
  /** How many clients have come and gone. */
  departed = 0;
  readonly #name: string;
  readonly #port: number;
  readonly #clients = new Set<Socket>();

  constructor(subject: GatewayProcess, name: string, port: number) {
    this.subject = subject;
    this.#name = name;
    this.#port = port;
  }

  async connect(count: number): Promise<Socket[]> {
    const clients = Array.from({ length: count }, (_, n) =>
      connectTo(`http://127.0.0.1:${this.#port}`, {
        transports: [n % 5 === 4 ? 'polling' : 'websocket'],
        forceNew: true,
        reconnection: false,
      }),
    );
    for (const client of clients) this.#clients.add(client);
    await Promise.all(
      clients.map(
        (client) =>
          new Promise<void>((resolve, reject) => {
            client.once('connect', resolve);
            client.once('connect_error', reject);
          }),
      ),
    );
    return clients;
  }

  /** Comes back when the server has seen them go, and nothing of their connections is left. */
  async leave(clients: readonly Socket[]): Promise<void> {
    for (const client of clients) {
      client.disconnect();
      this.#clients.delete(client);
    }
    this.departed += clients.length;
    const here = this.#clients.size;
    let open = { clients: here, connections: 0 };
    const gone = async () => {
      open = await this.subject.evaluate(
        async (_kata, args, { stages }) => {
          const { io, http } = stages[args.name]!;
          const connected = Math.max(io.engine.clientsCount, io.sockets.sockets.size);
          // Not before: a client may be saying goodbye, or asking for more, on a connection that was idle.
          if (connected === 0) http.closeIdleConnections();
          const connections = await new Promise<number>((resolve) => http.getConnections((_, count) => resolve(count)));
          return { clients: connected, connections };
        },
        { here, name: this.#name },
      );
      return open.clients <= here && (here > 0 || open.connections === 0);
    };
    if (await until(gone)) return;
    throw new Error(
      `${clients.length} clients have left and ${here} are to be there, but the server counts ${open.clients} and has ${open.connections} connections.`,
    );
  }

  async leaveAll(): Promise<void> {
    if (this.#clients.size > 0) await this.leave([...this.#clients]);
  }

  /** Clients come, do something, and go. */
  async visit(count: number, act?: Act): Promise<void> {
    const clients = await this.connect(count);
    await Promise.all(clients.map((client) => act?.(client)));
    // What was sent before it has been handled when this is answered.
    await Promise.all(clients.map((client) => ask(client, 'get_seats')));
    await this.leave(clients);
  }

  busListeners(): Promise<{ ours: number; others: number }> {
    return this.subject.evaluate((_kata, _args, { bus, others }) => {
      const all = bus.eventNames().flatMap((name) => bus.rawListeners(name));
      const count = all.filter((listener) => others.includes(listener as () => void)).length;
      return { ours: all.length - count, others: count };
    });
  }

  async announce(text: string): Promise<void> {
    await this.subject.evaluate((_kata, args, { bus }) => void bus.emit('announcement', args.text), { text });
  }

  async closeGateway(): Promise<void> {
    await this.subject.evaluate(
      (_kata, { name }, { stages }) => {
        stages[name]?.gateway?.close();
        delete stages[name]?.gateway;
      },
      { name: this.#name },
    );
  }

  /** Ends the server with its clients. */
  async end(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    this.#clients.clear();
    await this.subject.evaluate(
      (_kata, { name }, { stages }) => {
        stages[name]?.gateway?.close();
        void stages[name]?.io.close();
        delete stages[name];
      },
      { name: this.#name },
    );
  }
}

/** Makes the bus that all gateways of the process share, with two listeners of somebody else's. */
export async function prepareBus(subject: GatewayProcess): Promise<void> {
  await subject.evaluate(async (_kata, _args, kept, { load }) => {
    const { EventEmitter } = await load<typeof import('node:events')>('node:events');
    kept.bus = new EventEmitter();
    kept.bus.setMaxListeners(0);
    kept.others = [() => undefined, () => undefined];
    for (const listener of kept.others) kept.bus.on('announcement', listener);
    kept.sends = 0;
    kept.stages = {};
  });
}

/** Opens a server on a free port of 127.0.0.1, with a gateway on it. */
export async function openStage(
  subject: GatewayProcess,
  name: string,
  { intervalMs, withGateway = true }: { intervalMs: number; withGateway?: boolean },
): Promise<Stage> {
  const port = await subject.evaluate(
    async (kata, args, kept, { load, watch }) => {
      const { createServer } = await load<typeof import('node:http')>('node:http');
      const { Server } = await load<typeof import('socket.io')>('socket.io');
      const http = createServer();
      // No pings: their timers come and go by the clock.
      const io = new Server(http, { serveClient: false, pingInterval: 3_600_000 });
      kept.stages[args.name] = { http, io };

      const count = (packet: { data?: unknown[] }) => void (packet.data?.[0] === 'broadcast' && kept.sends++);
      const { adapter } = io.of('/');
      const toMany = adapter.broadcast.bind(adapter);
      adapter.broadcast = (packet, options) => (count(packet), toMany(packet, options));
      io.on('connection', (socket) => {
        watch('sockets', socket);
        const one = socket as unknown as { packet(packet: { data?: unknown[] }, options: unknown): void };
        const { packet } = Object.getPrototypeOf(one) as typeof one;
        one.packet = function (sent, options) {
          count(sent);
          packet.call(this, sent, options);
        };
      });

      if (args.withGateway) {
        const ms = args.intervalMs;
        const intervals = { heartbeatMs: ms, onlineMs: ms, updateMs: ms };
        const gateway = new kata.MemoryLeakGateway({ io, bus: kept.bus, ...intervals });
        watch('gateways', gateway);
        kept.stages[args.name]!.gateway = gateway;
      }
      await new Promise<void>((resolve) => void http.listen(0, '127.0.0.1', resolve));
      return (http.address() as import('node:net').AddressInfo).port;
    },
    { name, intervalMs, withGateway },
  );
  return new Stage(subject, name, await subject.portOutside(port));
}

/** Emits, and gives back what the gateway acknowledges with. */
export async function ask<T>(client: Socket, event: string, ...args: unknown[]): Promise<T> {
  return (await client.timeout(10_000).emitWithAck(event, ...args)) as T;
}

/** The next `count` events of a kind that a client hears, or those that come within the limit. */
export async function heardOf<T>(
  client: Socket,
  event: string,
  count: number,
  like: (value: T) => boolean = () => true,
): Promise<T[]> {
  const heard: T[] = [];
  const listener = (value: T) => void (like(value) && heard.push(value));
  client.on(event, listener);
  await until(() => heard.length >= count);
  client.off(event, listener);
  return heard.slice(0, count);
}
