import { type Server as HttpServer, createServer } from 'node:http';
import type { AddressInfo, Socket as NetSocket } from 'node:net';
import { Server, type Socket } from 'socket.io';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/socket-load/socket-load.ts';

/** What a server counts of itself. */
export interface Counts {
  /** Sockets of Socket.IO. */
  readonly clients: number;
  /** TCP connections. */
  readonly connections: number;
  /** What clients have sent so far: events that reached the server. */
  readonly requests: number;
}

/** A server with its hub. Paths to what a hub keeps begin here. */
class HubHost {
  readonly http: HttpServer;
  readonly io: Server;
  readonly hub: Kata.Hub;
  /** What `publishAround` publishes when the next client sends `join`. */
  atJoin: (() => void) | undefined;
  requests = 0;

  constructor(http: HttpServer, io: Server, hub: Kata.Hub) {
    this.http = http;
    this.io = io;
    this.hub = hub;
  }
}

/** Servers by name. */
interface Kept {
  [name: string]: HubHost;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;
type Texts = readonly (readonly [room: string, text: string])[];

/** With one of 25 s, a client that does not hear of the moved clock would be taken for dead. */
const pingInterval = 2 ** 30;
const mostTurns = 2_000;
/** What the module does so much later by its own clock counts as done at once. */
export const graceMs = 1_000;
const clock = installSteppedClock();

/** From now on only `stepClock` lets time pass for the module. */
export function holdClock(): void {
  clock.hold();
}

/** Lets time pass: every timer that becomes due fires, in order. */
export async function stepClock({ args: ms }: In<number>): Promise<void> {
  await clock.step(ms);
}

/** Opens a Socket.IO server with a hub on a free port of 127.0.0.1, and returns the port. */
export async function openHub({
  kata,
  args: { name, options },
  kept,
}: In<{ name: string; options: Kata.HubOptions }>): Promise<number> {
  const http = createServer();
  const io = new Server(http, { serveClient: false, transports: ['websocket'], pingInterval });
  io.on('connection', (socket) => {
    // What the server sent to a client before it answers this has reached the client before the answer.
    socket.on('fence', (answer: () => void) => answer());
    socket.onAny((event: string) => {
      host.requests++;
      const { atJoin } = host;
      if (event !== 'join' || !atJoin) return;
      host.atJoin = undefined;
      atJoin();
    });
  });
  const host = new HubHost(http, io, kata.createHub(io, options));
  kept[name] = host;
  await new Promise<void>((resolve) => void http.listen(0, '127.0.0.1', 1024, resolve));
  return (http.address() as AddressInfo).port;
}

/** Publishes texts, all in one turn. */
export function publish({ args: { name, texts }, kept }: In<{ name: string; texts: Texts }>): void {
  for (const [room, text] of texts) kept[name]!.hub.publish(room, text);
}

/** Publishes numbered texts of `bytes` bytes, all in one turn. */
export function publishLarge({
  args: { name, room, from, count, bytes },
  kept,
}: In<{ name: string; room: string; from: number; count: number; bytes: number }>): void {
  for (let number = from; number < from + count; number++)
    kept[name]!.hub.publish(room, `${number} `.padEnd(bytes, 'x'));
}

/** As soon as the next client sends `join`, publishes the texts: one before the hub hears of it, the others in the moments after. */
export function publishAround({
  args: { name, room, texts },
  kept,
  tools,
}: In<{ name: string; room: string; texts: readonly string[] }>): void {
  const { hub } = kept[name]!;
  const [first, second, third, ...others] = texts;
  kept[name]!.atJoin = () => {
    hub.publish(room, first!);
    process.nextTick(() => {
      hub.publish(room, second!);
      queueMicrotask(() => hub.publish(room, third!));
    });
    void (async () => {
      for (const text of others) {
        await tools.turns(1);
        hub.publish(room, text);
      }
    })();
  };
}

/** The users in each of these rooms, sorted. */
export function members({ args: { name, rooms }, kept }: In<{ name: string; rooms: readonly string[] }>): string[][] {
  return rooms.map((room) => kept[name]!.hub.members(room).map(String).toSorted());
}

export async function countOnServer({ args: name, kept }: In<string>): Promise<Counts> {
  const { http, io, requests } = kept[name]!;
  const connections = await new Promise<number>((resolve) => http.getConnections((_error, number) => resolve(number)));
  return { clients: io.sockets.sockets.size, connections, requests };
}

/** Bytes that the operating system has taken so far for the connections of a user; undefined when it has none. */
export function takenBytes({ args: { name, user }, kept }: In<{ name: string; user: string }>): number | undefined {
  const sockets = [...kept[name]!.io.sockets.sockets.values()].filter(({ handshake }) => handshake.auth.user === user);
  if (sockets.length === 0) return undefined;
  const taken = ({ bytesWritten, writableLength }: NetSocket) => bytesWritten - writableLength;
  return sockets.reduce((sum, { request }) => sum + taken(request.socket), 0);
}

function queuedIn(socket: Socket): number {
  const { writeBuffer } = socket.conn as unknown as { writeBuffer: readonly { data?: string }[] };
  return writeBuffer.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
}

/**
 * CPU time of publishing to a room, on servers that take turns: for each of them one figure a round, in ms, from the first `publish`
 * until all has been handed to the system.
 */
export async function costOfPublishing({
  args: { names, room, rounds, perRound, text },
  kept,
  tools,
}: In<{ names: readonly string[]; room: string; rounds: number; perRound: number; text: string }>): Promise<
  number[][]
> {
  const costs: number[][] = names.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, name] of names.entries()) {
      const { hub, io } = kept[name]!;
      const sockets = [...io.sockets.sockets.values()];
      const before = tools.cpuMs();
      for (let number = 0; number < perRound; number++) hub.publish(room, text);
      await clock.step(graceMs);
      costs[at]!.push(tools.cpuMs() - before);
      const isBusy = () => sockets.some((socket) => queuedIn(socket) + socket.request.socket.writableLength > 0);
      for (let turn = 0; turn < mostTurns && isBusy(); turn++) await tools.turns(1);
    }
  }
  return costs;
}

/** Ends the server with its connections. */
export async function endHub({ args: name, kept }: In<string>): Promise<void> {
  const { http, io } = kept[name]!;
  void io.close();
  http.closeAllConnections();
  delete kept[name];
}
