import { EventEmitter } from 'node:events';
import { type Server as HttpServer, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';

export interface Intervals {
  readonly heartbeatMs: number;
  readonly onlineMs: number;
  readonly updateMs: number;
}

/** What a server counts of itself. */
export interface ServerCounts {
  readonly clients: number;
  /** TCP connections. */
  readonly connections: number;
  /** Listeners of the gateway on its bus. */
  readonly gatewayListeners: number;
  /** Listeners of another part of the application on the bus. */
  readonly otherListeners: number;
  /** Announcements that the other part has heard, one list per listener. */
  readonly heardElsewhere: readonly string[][];
}

interface Running {
  readonly http: HttpServer;
  readonly io: Server;
  readonly bus: EventEmitter;
  readonly otherListeners: readonly ((text: string) => void)[];
  readonly heardElsewhere: readonly string[][];
  gateway?: Kata.MemoryLeakGateway;
}

/** Servers by name. */
interface Kept {
  [name: string]: Running;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** With one of 25 s, a client that does not hear of the moved clock would be taken for dead. */
const pingInterval = 2 ** 30;
const clock = installSteppedClock();
let isHeld = false;

/** From now on only `stepClock` lets time pass for the module, so that no timer fires while something is measured. */
export function holdClock(): void {
  clock.hold();
  isHeld = true;
}

/** Lets time pass: every timer that becomes due fires, in order. Does nothing where time passes by itself. */
export async function stepClock({ args: ms }: In<number>): Promise<void> {
  if (isHeld) await clock.step(ms);
}

/**
 * Opens a Socket.IO server on a free port of 127.0.0.1, with a bus of its own and a gateway on both. Its sockets and its gateway
 * are watched under `sockets of <name>` and `gateway of <name>`. Returns the port.
 */
export async function openServer({
  kata,
  args: { name, intervals, hasGateway, isBusShared },
  kept,
  tools,
}: In<{ name: string; intervals: Intervals; hasGateway: boolean; isBusShared: boolean }>): Promise<number> {
  const http = createServer();
  const io = new Server(http, { serveClient: false, pingInterval });
  io.on('connection', (socket) => tools.watch(`sockets of ${name}`, socket));

  const bus = new EventEmitter();
  bus.setMaxListeners(0);
  const heardElsewhere: string[][] = isBusShared ? [[], []] : [];
  const otherListeners = heardElsewhere.map((heard) => (text: string) => void heard.push(text));
  for (const listener of otherListeners) bus.on('announcement', listener);

  const running: Running = { http, io, bus, otherListeners, heardElsewhere };
  kept[name] = running;
  if (hasGateway) {
    running.gateway = new kata.MemoryLeakGateway({ io, bus, ...intervals });
    tools.watch(`gateway of ${name}`, running.gateway);
  }
  await new Promise<void>((resolve) => void http.listen(0, '127.0.0.1', resolve));
  return (http.address() as AddressInfo).port;
}

/** Counts what is there. Closes idle connections first when no client is connected. */
export async function countOnServer({ args: name, kept }: In<string>): Promise<ServerCounts> {
  const { http, io, bus, otherListeners, heardElsewhere } = kept[name]!;
  const clients = Math.max(io.engine.clientsCount, io.sockets.sockets.size);
  // Not before: a client may be saying goodbye, or asking for more, on a connection that was idle.
  if (clients === 0) http.closeIdleConnections();
  const connections = await new Promise<number>((resolve) => http.getConnections((_error, count) => resolve(count)));
  // The module has the bus in hand, and could give it methods of its own.
  const { eventNames, rawListeners } = EventEmitter.prototype;
  const onBus = eventNames.call(bus).flatMap((event) => rawListeners.call(bus, event));
  const others = onBus.filter((listener) => otherListeners.includes(listener as (text: string) => void)).length;
  return {
    clients,
    connections,
    gatewayListeners: onBus.length - others,
    otherListeners: others,
    heardElsewhere: heardElsewhere.map((heard) => [...heard]),
  };
}

/** Emits an announcement on the server's bus. */
export function announce({ args: { name, text }, kept }: In<{ name: string; text: string }>): void {
  kept[name]!.bus.emit('announcement', text);
}

/** Closes the gateway and forgets it; its server, its clients and its bus stay. */
export function closeGateway({ args: name, kept }: In<string>): void {
  kept[name]!.gateway?.close();
  delete kept[name]!.gateway;
}

/** Ends the server with its connections. */
export async function endServer({ args: name, kept }: In<string>): Promise<void> {
  const { http, io } = kept[name]!;
  void io.close();
  http.closeAllConnections();
  delete kept[name];
}
