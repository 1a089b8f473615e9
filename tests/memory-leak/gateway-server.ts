import { until } from '../../helpers/foundations/waiting/until.ts';
import {
  SteppedWait,
  SocketClient,
  type SocketClientOptions,
} from '../../helpers/instruments/socket-client/socket-client.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/memory-leak/memory-leak.ts';
import {
  type Intervals,
  type ServerCounts,
  announce,
  closeGateway,
  countOnServer,
  endServer,
  openServer,
  stepClock,
} from './inside.ts';

export interface ServerOptions {
  readonly intervals: Intervals;
  /** Without one, the server tells what its clients alone amount to. */
  readonly hasGateway?: boolean;
  /** Whether another part of the application has two listeners on the bus. */
  readonly isBusShared?: boolean;
}

/** What a client does between coming and going. */
export type Act = (client: Client) => unknown;

/** What the module does so much later by its own clock counts as done at once. */
const graceMs = 1_000;
let opened = 0;

/** A client of a gateway. It keeps all that it hears. */
export class Client extends SocketClient {
  #heard: { event: string; value: unknown }[] = [];

  constructor(options: SocketClientOptions) {
    super(options);
    this.socket.onAny((event: string, value: unknown) => void this.#heard.push({ event, value }));
  }

  /** What it has heard of these events since it came, or since `forget`. */
  heard<T>(...events: string[]): T[] {
    return this.#heard.filter(({ event }) => events.includes(event)).map(({ value }) => value as T);
  }

  forget(): void {
    this.#heard = [];
  }
}

/** A real Socket.IO server with a gateway in the module's process, and the judge's clients there. */
export class GatewayServer {
  readonly subject: Subject<typeof Kata>;
  readonly name: string;
  readonly #port: number;
  readonly #clients = new Set<Client>();
  readonly #patience: SteppedWait;

  private constructor(subject: Subject<typeof Kata>, name: string, port: number) {
    this.subject = subject;
    this.name = name;
    this.#port = port;
    const step = () => subject.run(stepClock, 15);
    this.#patience = new SteppedWait({ rounds: 60, roundMs: 25, step });
  }

  static async open(
    subject: Subject<typeof Kata>,
    { intervals, hasGateway = true, isBusShared = false }: ServerOptions,
  ): Promise<GatewayServer> {
    const name = `server ${++opened}`;
    const port = await subject.run(openServer, { name, intervals, hasGateway, isBusShared });
    return new GatewayServer(subject, name, await subject.portOutside(port));
  }

  /** One client in five connects by polling, the others by websocket. */
  async connect(count: number): Promise<Client[]> {
    const [port, patience] = [this.#port, this.#patience];
    const clients = Array.from(
      { length: count },
      (_, n) => new Client({ port, patience, transport: n % 5 === 4 ? 'polling' : 'websocket' }),
    );
    for (const client of clients) this.#clients.add(client);
    await Promise.all(clients.map((client) => client.connected()));
    return clients;
  }

  /** Returns when the server has seen them go, no connection of theirs is left, and another second has passed. */
  async leave(clients: readonly Client[]): Promise<void> {
    for (const client of clients) {
      client.disconnect();
      this.#clients.delete(client);
    }
    const stay = this.#clients.size;
    let seen: ServerCounts | undefined;
    const haveLeft = async () => {
      seen = await this.counts();
      return seen.clients <= stay && (stay > 0 || seen.connections === 0);
    };
    if (!(await until(haveLeft)))
      throw new Error(
        `${clients.length} clients left and ${stay} stayed, but the server still has ${seen?.clients} clients and ${seen?.connections} connections`,
      );
    await this.subject.run(stepClock, graceMs);
  }

  /** Clients come, do something, and go. What they did has been handled before they go. */
  async visit(count: number, act: Act): Promise<void> {
    const clients = await this.connect(count);
    await Promise.all(clients.map((client) => act(client)));
    await this.settle();
    await this.leave(clients);
  }

  /** Lets time pass for the module after all that clients sent. What it sent meanwhile has been heard. */
  async pass(ms: number): Promise<void> {
    await this.settle();
    await this.subject.run(stepClock, ms);
    await this.settle();
  }

  /** What clients sent so far has been handled, and they have heard what came of it within a second. */
  async settle(): Promise<void> {
    const askAll = () => Promise.all([...this.#clients].map((client) => client.ask('get_seats')));
    await askAll();
    await this.subject.run(stepClock, graceMs);
    await askAll();
  }

  async announce(text: string): Promise<void> {
    await this.subject.run(announce, { name: this.name, text });
    await this.settle();
  }

  counts(): Promise<ServerCounts> {
    return this.subject.run(countOnServer, this.name);
  }

  async closeGateway(): Promise<void> {
    await this.subject.run(closeGateway, this.name);
    await this.subject.run(stepClock, graceMs);
  }

  /** Disconnects the clients without a word to the subject. */
  disconnectAll(): void {
    for (const client of this.#clients) client.disconnect();
    this.#clients.clear();
  }

  async end(): Promise<void> {
    this.disconnectAll();
    await this.subject.run(endServer, this.name);
    // The clock lets go of the timers that ended with it.
    await this.subject.run(stepClock, graceMs);
  }
}
