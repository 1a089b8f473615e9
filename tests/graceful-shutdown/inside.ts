import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { Socket, connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/graceful-shutdown/graceful-shutdown.ts';
import { type FromService, type ToService, headerBytes, largeTimes, poolIsClosed } from './messages.ts';

export interface ServiceOptions {
  readonly link: { readonly host: string; readonly port: number };
  readonly signals: readonly NodeJS.Signals[];
  readonly graceMs: number;
  /** Whether the module gets the required options only. */
  readonly isBare: boolean;
  /** Whether the timers of the process stand still until the judge moves them. */
  readonly holdsClock: boolean;
}

const clock = installSteppedClock();
const idleClock = installIdleClock();

/** Opens a service with the module installed, and returns its port. */
export async function openService({ kata, args, tools }: Inside<typeof Kata, ServiceOptions>): Promise<number> {
  const link = new Link(args.link);
  await once(link.socket, 'connect');
  const clients = new Set<Kata.LongLivedClient>();
  const server = createServer();
  // No connection goes away by itself.
  Object.assign(server, { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 });
  const database = new Database(link);
  addRoutes(server, { link, database, clients });
  link.orders = async (order) => {
    if (order.kind === 'step') await clock.step(order.ms);
    if (order.kind === 'turn') await tools.turns(1);
    if (order.kind === 'reject') void Promise.reject(reasonOf(order.message));
    if (order.kind === 'add a broken client') addBrokenClient(clients, link);
  };

  const { signals, graceMs, isBare, holdsClock } = args;
  if (holdsClock) clock.hold();
  idleClock.isHeld = holdsClock;
  const logError = (error: unknown) => link.tell('error', error instanceof Error ? error.message : String(error));
  const onReadiness = (isReady: false) => link.ask('readiness', String(isReady)).then(() => undefined);
  const required = { signals, graceMs, pool: { end: () => database.end() }, logError };
  kata.installShutdown(server, isBare ? required : { ...required, onReadiness, clients });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

interface Parts {
  readonly link: Link;
  readonly database: Database;
  readonly clients: Set<Kata.LongLivedClient>;
}

/** Paths are `/<route>/<name>`. Each route asks the database for what it answers. */
function addRoutes(server: Server, { link, database, clients }: Parts): void {
  const routes: Record<string, (response: ServerResponse, name: string, request: IncomingMessage) => Promise<unknown>> =
    {
      ping: async (response, name) => response.end(`pong ${name}`),
      end: async (response, name) => response.end(await database.query(name)),
      head: async (response, name) => {
        const content = await database.query(name);
        response.writeHead(200, { 'content-length': content.length }).end(content);
      },
      write: async (response, name) => {
        const content = await database.query(name);
        response.write(content);
        response.end(await database.query(name));
      },
      large: async (response, name) => {
        const content = await database.query(name);
        response.end(Buffer.alloc(content.length * largeTimes, content));
        link.tell('ended', name);
      },
      chunked: async (response, name) => {
        response.write('begun, ');
        response.end(await database.query(name));
      },
      length: async (response, name) => {
        response.writeHead(200, { 'content-length': headerBytes }).write('begun, ');
        response.end((await database.query(name)).padEnd(headerBytes - 'begun, '.length, '.'));
      },
      upload: async (response, name, request) => {
        link.tell('upload', name);
        const body = Buffer.concat((await request.toArray()) as Buffer[]).toString();
        response.end(`${body}, ${await database.query(name)}`);
      },
      stream: async (response, name) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: hello\n\n');
        const client = { goAway: () => (link.tell('goAway', name), response.end('data: bye\n\n')) };
        clients.add(client);
        response.on('close', () => void clients.delete(client));
      },
    };

  server.on('request', (request, response) => {
    const [, route = '', name = ''] = request.url!.split('/');
    routes[route]!(response, name, request).catch((error: unknown) => {
      // As a route does whose database is gone.
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end(String(error));
    });
  });

  // Lines go back and forth, so that no module can take it for HTTP. "leave" is the last one.
  server.on('upgrade', (request, socket: Socket) => {
    const name = request.url!.split('/')[2]!;
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\nhello\n');
    const client = { goAway: () => (link.tell('goAway', name), void socket.write('go away\n')) };
    clients.add(client);
    socket.on('close', () => void clients.delete(client));
    socket.on('error', () => undefined);
    // It passes the socket's errors on.
    const lines = createInterface({ input: socket }).on('error', () => undefined);
    lines.on('line', (line) => {
      if (line === 'leave') socket.end();
      else socket.write(`echo ${line}\n`);
    });
  });
}

/** While it is held, `setTimeout` of a socket obeys the clock too: as if nothing came or went meanwhile. Otherwise it is Node's own. */
function installIdleClock(): { isHeld: boolean } {
  const idle = { isHeld: false };
  const { setTimeout: setIdleTimeout } = Socket.prototype;
  const timers = new WeakMap<Socket, NodeJS.Timeout>();
  Socket.prototype.setTimeout = function (this: Socket, ms: number, callback?: () => void) {
    if (!idle.isHeld) return setIdleTimeout.call(this, ms, callback);
    clearTimeout(timers.get(this));
    if (ms > 0) timers.set(this, setTimeout(() => this.emit('timeout'), ms).unref());
    if (callback && ms > 0) this.once('timeout', callback);
    else if (callback) this.off('timeout', callback);
    return this;
  };
  return idle;
}

/** A client whose connection breaks when it is asked to leave. */
function addBrokenClient(clients: Set<Kata.LongLivedClient>, link: Link): void {
  const client = {
    goAway: () => {
      link.tell('goAway', 'broken');
      clients.delete(client);
      throw new Error('the socket is closed');
    },
  };
  clients.add(client);
}

/** The database is the judge, at the other end of the link. */
class Database {
  readonly #link: Link;
  #isOpen = true;

  constructor(link: Link) {
    this.#link = link;
  }

  async query(name: string): Promise<string> {
    if (!this.#isOpen) throw new Error(poolIsClosed);
    return await this.#link.ask('query', name);
  }

  async end(): Promise<void> {
    this.#isOpen = false;
    try {
      await this.#link.ask('end', '');
    } finally {
      this.#link.socket.unref();
    }
  }
}

/** The connection to the judge: it sees all that happens, in order, and answers when it likes. */
class Link {
  readonly socket: Socket;
  orders: (order: Extract<ToService, { kind: string }>) => Promise<void> = async () => undefined;
  readonly #asked = new Map<number, PromiseWithResolvers<string>>();
  #last = 0;

  constructor({ host, port }: { host: string; port: number }) {
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on('error', () => undefined);
    const lines = createInterface({ input: this.socket }).on('error', () => undefined);
    lines.on('line', (line) => this.#take(JSON.parse(line) as ToService));
  }

  tell(event: FromService['event'], detail: string): number {
    this.socket.write(`${JSON.stringify({ id: ++this.#last, event, detail } satisfies FromService)}\n`);
    return this.#last;
  }

  ask(event: FromService['event'], detail: string): Promise<string> {
    const answer = Promise.withResolvers<string>();
    this.#asked.set(this.tell(event, detail), answer);
    return answer.promise;
  }

  #take(message: ToService): void {
    if ('kind' in message) {
      void this.orders(message).then(() => this.tell('done', message.kind));
      return;
    }
    const asked = this.#asked.get(message.id);
    if (message.error === undefined) asked?.resolve(message.value ?? '');
    else asked?.reject(reasonOf(message.error));
  }
}

function reasonOf(message: string | null): Error | undefined {
  return message === null ? undefined : new Error(message);
}
