import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import {
  AnswerReader,
  type Packet,
  PacketReader,
  type Prepared,
  type Request,
  keepReadable,
  readGreeting,
  readRequest,
  writePacket,
  writeQuery,
} from './packets.ts';
import { type Command, type Hold, type HoldPoint, type Holdable, Holds, isWithheld } from './holds.ts';
import { type Stall, Stalls } from './stalls.ts';
import { until } from '../../foundations/waiting/until.ts';
import type { Timeline } from './timeline.ts';

/** One client's connection through the proxy. */
interface Link extends Holdable {
  readonly fromClient: PacketReader;
  readonly fromServer: PacketReader;
  readonly prepared: Map<number, Prepared>;
  threadId: number;
  capabilities: number;
  authenticated: boolean;
  /** The server's word that the client is in, or is as if new, while the proxy's own statements run before it. */
  welcome: Buffer | undefined;
  /** Those of the proxy's own statements that are still to run. */
  greetings: readonly string[];
  /** Set while a command waits for its answer. */
  open:
    | {
        command: Command & { errno: number | undefined };
        request: Request;
        answer: AnswerReader;
        answered: (text: string) => void;
      }
    | undefined;
}

/** The proxies of this process that are open. */
const openProxies = new Set<MysqlProxy>();

/** The server's ids of all connections through this process's proxies that wait for an answer. */
export function pendingThreads(): number[] {
  return [...openProxies].flatMap((proxy) => proxy.pending.commands.map(({ threadId }) => threadId));
}

/**
 * Stands between one process and the server, reads along, and can hold a chosen command or the answer to it. It changes
 * nothing of what passes, except that it takes TLS and compression out of the server's offer.
 */
export class MysqlProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #threadIdsSoFar = new Set<number>();
  readonly #name: string;
  readonly #greetings: readonly string[];
  #timeline: Timeline | undefined;
  readonly #holds = new Holds({
    note: (connection, what) => this.#timeline?.note(this.#name, connection, what),
    sent: (bytes) => void (this.#bytesSent += bytes),
  });
  readonly #stalls = new Stalls(() => [...this.#links].map(({ client }) => client));
  #activity = 0;
  #accepted = 0;
  #commands = 0;
  #statements = 0;
  #bytesSent = 0;

  private constructor(server: Server, name: string, greetings: readonly string[]) {
    this.#server = server;
    this.#name = name;
    this.#greetings = greetings;
  }

  /**
   * Opens a proxy on a free port of the loopback. `name` is how its process is called in a timeline; `greetings` are
   * statements that the proxy runs on each connection before the client gets it, and again after each reset.
   */
  static async start(
    to: { readonly host: string; readonly port: number },
    name: string,
    greetings: readonly string[] = [],
  ): Promise<MysqlProxy> {
    const listener = createServer({ noDelay: true });
    const proxy = new MysqlProxy(listener, name, greetings);
    listener.on('connection', (client) =>
      proxy.#accept(client, connect({ host: to.host, port: to.port, noDelay: true })),
    );
    await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve));
    openProxies.add(proxy);
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Counts whatever has passed so far; unchanged means that nothing has. */
  get activity(): number {
    return this.#activity;
  }

  /** Commands so far, as `holdCommand` counts them. */
  get commands(): number {
    return this.#commands;
  }

  /** Statements that the server has answered so far; one that came with others in a command counts like any other. */
  get statements(): number {
    return this.#statements;
  }

  /** Bytes that this process has sent so far and that have gone on to the server. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Commands that the server has and has not answered yet, and whether a connection is just being made. */
  get pending(): { readonly commands: Command[]; readonly connecting: boolean } {
    const links = [...this.#links];
    return {
      commands: links.flatMap(({ open, holding }) => (open && holding?.on !== 'before' ? [open.command] : [])),
      connecting: links.some(({ authenticated, client }) => !authenticated && !client.destroyed),
    };
  }

  /** The server's ids of the connections that are open now. */
  get threadIds(): number[] {
    return [...this.#links].map(({ threadId }) => threadId);
  }

  /** The server's ids of all connections so far, closed ones too. */
  get threadIdsSoFar(): number[] {
    return [...this.#threadIdsSoFar];
  }

  /** From now on writes what passes into `timeline`; undefined stops it. */
  record(timeline: Timeline | undefined): void {
    this.#timeline = timeline;
  }

  /**
   * Holds the `count`-th command from now (from 1), over all connections of this process: before the server has it, or
   * after the server has run it, by withholding its answer. With `like`, only commands whose text matches count.
   */
  holdCommand(count: number, at: HoldPoint = 'after', like = /(?:)/): Hold {
    let seen = 0;
    return this.#holds.start(at, ({ sql }) => like.test(sql) && ++seen === count);
  }

  /** Withholds the next answer from now that is an error with one of these numbers. */
  holdError(errnos: readonly number[]): Hold {
    return this.#holds.start('error', ({ errno }) => errno !== undefined && errnos.includes(errno));
  }

  /**
   * Stands still as a busy server does: after `bytes` more from this process nothing of what it says is taken, on any
   * connection. What is underway then gets no answer.
   */
  stallAfter(bytes: number): Stall {
    const at = this.#bytesSent + bytes;
    return this.#stalls.startWhen(() => this.#bytesSent >= at);
  }

  /** Stands still in the same way once `count` more has passed, as `activity` counts it. */
  stallAfterActivity(count: number): Stall {
    const at = this.#activity + count;
    return this.#stalls.startWhen(() => this.#activity >= at);
  }

  /** Ends all connections at once, on both sides; new ones may come. An answer that is withheld is lost. */
  drop(): void {
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
  }

  /**
   * Ends all connections as a server does that shuts down: their clients get what it has said so far, then the end. Who asks
   * for more after that gets no answer.
   * @returns when the clients have ended them too, and so have taken notice, or after 5 s
   */
  async hangUp(): Promise<void> {
    const links = [...this.#links];
    for (const { client } of links) client.end();
    await until(() => links.every((link) => !this.#links.has(link)));
  }

  /** Ends all connections at once and stops listening. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    openProxies.delete(this);
    this.drop();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket, server: Socket): void {
    const link: Link = {
      client,
      server,
      fromClient: new PacketReader(),
      fromServer: new PacketReader(),
      prepared: new Map(),
      withheld: [],
      unsent: [],
      holding: undefined,
      number: ++this.#accepted,
      threadId: 0,
      capabilities: 0,
      authenticated: false,
      welcome: undefined,
      greetings: [],
      open: undefined,
    };
    this.#links.add(link);
    this.#activity += 1;
    client.on('data', (chunk: Buffer) => {
      this.#activity += 1;
      for (const packet of link.fromClient.push(chunk)) this.#fromClient(link, packet);
      if (link.holding?.on === 'before') {
        link.unsent.push(chunk);
        return;
      }
      this.#bytesSent += chunk.length;
      if (!server.write(chunk)) client.pause();
      if (this.#stalls.isOn) this.#stalls.standStill();
    });
    server.on('drain', () => {
      if (!this.#stalls.isOn) client.resume();
    });
    if (this.#stalls.isOn) client.pause();
    server.on('data', (chunk: Buffer) => {
      this.#activity += 1;
      this.#fromServer(link, chunk);
    });
    const gone = () => {
      this.#activity += 1;
      this.#links.delete(link);
      link.holding = undefined;
      link.withheld.length = 0;
      link.unsent.length = 0;
      client.destroy();
      server.destroy();
    };
    client.on('error', gone).on('close', gone);
    server.on('error', gone).on('close', gone);
  }

  #fromClient(link: Link, { sequence, payload }: Packet): void {
    if (!link.authenticated) {
      // The client's own flags, once; both sides must have a capability for it to be used.
      if (sequence === 1 && payload.length >= 4) link.capabilities &= payload.readUInt32LE(0);
      return;
    }
    if (sequence !== 0 || link.open?.answer.wantsFile) return;
    const request = readRequest(payload, link.capabilities, link.prepared);
    if (!request.answered) return;
    const command = { threadId: link.threadId, sql: request.sql, errno: undefined };
    const answered =
      request.matters && this.#timeline
        ? this.#timeline.command(this.#name, link.number, request.sql)
        : () => undefined;
    link.open = { command, request, answer: new AnswerReader(request, link.capabilities), answered };
    if (!request.matters) return;
    this.#commands += 1;
    this.#holds.onCommand(link, command);
  }

  #fromServer(link: Link, chunk: Buffer): void {
    const packets = link.fromServer.push(chunk);
    if (!link.authenticated) {
      for (const packet of packets) this.#authenticate(link, packet);
      return;
    }
    if (link.welcome) {
      if (packets.length > 0) this.#greet(link);
      return;
    }
    const isReset = link.open?.request.name === 'RESET_CONNECTION';
    for (const { payload } of packets) if (link.open) this.#answer(link, link.open, payload);
    if (isReset && !link.open && this.#greetings.length > 0) {
      this.#welcome(link, chunk);
      return;
    }
    // What asks for a file is no answer: it has to pass, or there never is one.
    if (isWithheld(link) && !link.open?.answer.wantsFile) link.withheld.push(chunk);
    else link.client.write(chunk);
  }

  #authenticate(link: Link, packet: Packet): void {
    const { sequence, payload } = packet;
    if (link.threadId === 0 && sequence === 0 && payload[0] === 10) {
      const { threadId, capabilities } = readGreeting(payload);
      link.threadId = threadId;
      this.#threadIdsSoFar.add(link.threadId);
      link.capabilities = capabilities;
      keepReadable(payload);
    } else if (link.welcome) {
      this.#greet(link);
      return;
    } else if (payload[0] === 0) {
      this.#welcome(link, writePacket(packet));
      return;
    }
    link.client.write(writePacket(packet));
  }

  /** Keeps the word that a session is new from its client until the proxy's own statements have run in it. */
  #welcome(link: Link, word: Buffer): void {
    link.welcome = word;
    link.greetings = this.#greetings;
    this.#greet(link);
  }

  /** Runs the next of the proxy's own statements; after the last one the client has its word. */
  #greet(link: Link): void {
    const [next, ...others] = link.greetings;
    link.greetings = others;
    if (next !== undefined) {
      link.server.write(writeQuery(next, link.capabilities));
      return;
    }
    link.authenticated = true;
    link.client.write(link.welcome!);
    link.welcome = undefined;
  }

  #answer(link: Link, open: NonNullable<Link['open']>, payload: Buffer): void {
    const before = open.answer.statements;
    open.answer.push(payload);
    if (open.request.matters) this.#statements += open.answer.statements - before;
    const { summary, errno, prepared } = open.answer;
    if (summary === undefined) return;
    link.open = undefined;
    open.command.errno = errno;
    if (prepared) link.prepared.set(prepared.id, prepared.statement);
    this.#holds.onAnswer(link, open.command);
    open.answered(summary);
    this.#holds.onWithheld(link, open.command);
  }
}
