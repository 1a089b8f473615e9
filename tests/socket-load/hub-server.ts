import { until } from '../../helpers/foundations/waiting/until.ts';
import {
  SteppedWait,
  type SteppedWaitOptions,
  SocketClient,
  type SocketClientOptions,
} from '../../helpers/instruments/socket-client/socket-client.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/socket-load/socket-load.ts';
import type { Guest } from './crowd-process.ts';
import type { ClientProcesses, Crowd } from './crowd.ts';
import {
  type Counts,
  countOnServer,
  endHub,
  graceMs,
  members,
  openHub,
  publish,
  publishLarge,
  stepClock,
  takenBytes,
} from './inside.ts';
import { RawClient } from './raw-client.ts';

/** The WebSocket of a client, from the package ws. */
interface WebSocketLike {
  terminate(): void;
}

let opened = 0;

/** A client of a hub. It keeps all messages that it gets. */
export class Client extends SocketClient {
  readonly messages: Kata.Message[] = [];

  constructor(options: SocketClientOptions) {
    super(options);
    this.socket.on('message', (message: Kata.Message) => void this.messages.push(message));
  }

  get isReading(): boolean {
    return this.socket.connected;
  }

  async join(room: string, after: number | null = null): Promise<Kata.Joined> {
    return await this.ask<Kata.Joined>('join', room, after);
  }

  async leave(room: string): Promise<void> {
    await this.ask('leave', room);
  }

  textsOf(room: string): string[] {
    return this.messages.filter((message) => message.room === room).map(({ text }) => text);
  }

  /** The number of the last message of a room. */
  lastOf(room: string): number | undefined {
    return this.messages.findLast((message) => message.room === room)?.seq;
  }

  /** Ends its TCP connection without a word. */
  break(): void {
    (this.socket.io.engine.transport as unknown as { ws: WebSocketLike }).ws.terminate();
  }

  end(): void {
    (this.socket.io.engine as { transport?: { ws?: WebSocketLike } } | undefined)?.transport?.ws?.terminate();
    this.socket.disconnect();
  }
}

/** A real Socket.IO server with a hub in the module's process, and the judge's clients there. */
export class HubServer {
  readonly subject: Subject<typeof Kata>;
  readonly name: string;
  readonly #port: number;
  readonly #clients = new Set<Client | RawClient>();
  readonly #crowds = new Set<Crowd>();
  readonly #patience: SteppedWaitOptions;

  private constructor(subject: Subject<typeof Kata>, name: string, port: number) {
    this.subject = subject;
    this.name = name;
    this.#port = port;
    this.#patience = { rounds: 50, roundMs: 100, step: () => subject.run(stepClock, 15) };
  }

  static async open(subject: Subject<typeof Kata>, options: Kata.HubOptions): Promise<HubServer> {
    const name = `server ${++opened}`;
    const port = await subject.run(openHub, { name, options });
    return new HubServer(subject, name, await subject.portOutside(port));
  }

  /** Connects a client for each of these users. */
  async connect(...users: string[]): Promise<Client[]> {
    const options = { port: this.#port, transport: 'websocket', patience: new SteppedWait(this.#patience) } as const;
    const clients = users.map((user) => new Client({ ...options, auth: { user } }));
    for (const client of clients) this.#clients.add(client);
    await Promise.all(clients.map((client) => client.connected()));
    return clients;
  }

  /** Lets many clients come from other processes. */
  async crowd(processes: ClientProcesses, guests: readonly Guest[]): Promise<Crowd> {
    const crowd = await processes.crowd(this.name, this.#port, guests, this.#patience);
    this.#crowds.add(crowd);
    return crowd;
  }

  /** Connects one client, which joins these rooms as a newcomer. */
  async member(user: string, ...rooms: string[]): Promise<Client> {
    const [client] = await this.connect(user);
    for (const room of rooms) await client!.join(room);
    return client!;
  }

  /** Connects one client that reads only when it is told to, and lets it join these rooms as a newcomer. */
  async rawMember(user: string, ...rooms: string[]): Promise<RawClient> {
    const client = await RawClient.connect({ port: this.#port, user, patience: new SteppedWait(this.#patience) });
    this.#clients.add(client);
    for (const room of rooms) await client.join(room);
    return client;
  }

  /** A client that does not read sends these, and the server has got them or dropped the client. */
  async request(client: RawClient, ...requests: (readonly [event: string, ...args: unknown[]])[]): Promise<void> {
    const before = await this.counts();
    client.send(...requests);
    const isHeard = await until(async () => {
      const { requests: heard, clients } = await this.counts();
      return heard >= before.requests + requests.length || clients < before.clients;
    });
    if (!isHeard) throw new Error(`a client sent ${requests.length} requests, and the server has not got them`);
  }

  async publish(...texts: (readonly [room: string, text: string])[]): Promise<void> {
    await this.subject.run(publish, { name: this.name, texts });
  }

  async publishLarge(what: { room: string; from: number; count: number; bytes: number }): Promise<void> {
    await this.subject.run(publishLarge, { name: this.name, ...what });
  }

  /** The users in each of these rooms, sorted. */
  async members(...rooms: string[]): Promise<string[][]> {
    return await this.subject.run(members, { name: this.name, rooms });
  }

  async counts(): Promise<Counts> {
    return await this.subject.run(countOnServer, this.name);
  }

  async takenBytes(user: string): Promise<number | undefined> {
    return await this.subject.run(takenBytes, { name: this.name, user });
  }

  /** Those who read have got what was published so far, as far as it leaves within a second. */
  async settle(): Promise<void> {
    await this.pass(graceMs);
    await this.#fence();
  }

  /** Lets time pass for the module. */
  async pass(ms: number): Promise<void> {
    await this.subject.run(stepClock, ms);
  }

  /** Clients are gone when the server has noticed; another second passes. */
  async gone(clients: readonly Client[]): Promise<void> {
    for (const client of clients) this.#clients.delete(client);
    const stay = this.#clients.size;
    let seen: Counts | undefined;
    const haveLeft = async () => (seen = await this.counts()).connections <= stay && seen.clients <= stay;
    if (!(await until(haveLeft)))
      throw new Error(
        `${clients.length} clients left and ${stay} stayed, but the server has ${seen?.clients} clients and ${seen?.connections} connections`,
      );
    await this.pass(graceMs);
  }

  disconnectAll(): void {
    for (const client of this.#clients) client.end();
    for (const crowd of this.#crowds) crowd.go();
    this.#clients.clear();
    this.#crowds.clear();
  }

  async end(): Promise<void> {
    this.disconnectAll();
    await this.subject.run(endHub, this.name);
    await this.pass(graceMs);
  }

  async #fence(): Promise<void> {
    const reading = [...this.#clients].filter(({ isReading }) => isReading);
    const crowds = [...this.#crowds].map((crowd) => crowd.fence());
    await Promise.all([...reading.map((client) => client.ask('fence')), ...crowds]);
  }
}
