import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { Reader } from '../../helpers/instruments/readers/reader.ts';
import type { Patience } from '../../helpers/judging/subject/patience.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/graceful-shutdown/graceful-shutdown.ts';
import { type Answer, Caller } from './caller.ts';
import { openService } from './inside.ts';
import type { FromService, ToService } from './messages.ts';

/** Round trips, each with a turn of the service's event loop: more than a module needs that ends its process too early. */
const livingTurns = 12;

type Event = FromService['event'];
type Reply = Omit<Extract<ToService, { id: number }>, 'id'>;

export interface Choice {
  readonly signals?: readonly NodeJS.Signals[];
  /** What waits until the judge lets it go on; a query always does. */
  readonly holds?: readonly Event[];
  readonly isBare?: boolean;
  /** Whether the timers of the process stand still, but for `passes`. */
  readonly holdsClock?: boolean;
}

export const graceMs = 30_000;

/** A service in a process of its own, with the module installed. The judge is its database and its load balancer. */
export class Service implements AsyncDisposable {
  readonly port: number;
  readonly #subject: Subject<typeof Kata>;
  readonly #link: LinkEnd;
  readonly #patience: Patience;
  readonly #disposables: Disposable[] = [];

  private constructor(subject: Subject<typeof Kata>, link: LinkEnd, patience: Patience, port: number) {
    this.#subject = subject;
    this.#link = link;
    this.#patience = patience;
    this.port = port;
  }

  static async open(subject: Subject<typeof Kata>, patience: Patience, choice: Choice = {}): Promise<Service> {
    const { signals = ['SIGTERM', 'SIGINT'], holds = [], isBare = false, holdsClock = false } = choice;
    const link = await LinkEnd.listen(holds);
    const { host, port } = await subject.addressInside(link.address);
    const portInside = await subject.run(openService, { link: { host, port }, signals, graceMs, isBare, holdsClock });
    await subject.letGo();
    return new Service(subject, link, patience, await subject.portOutside(portInside));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const disposable of this.#disposables) disposable[Symbol.dispose]();
    await this.#link.close();
  }

  /** How often the service told this so far. */
  count(event: Event, detail?: string): number {
    return this.#link.events.filter((told) => told.event === event && (detail ?? told.detail) === told.detail).length;
  }

  /** What the service told about all events of this kind, in order. */
  details(event: Event): string[] {
    return this.#link.events.filter((told) => told.event === event).map(({ detail }) => detail);
  }

  /** Waits until the service has told this so many times. Fails the promise when it does not. */
  async told(what: string, event: Event, detail?: string, times = 1): Promise<void> {
    const has = () => this.count(event, detail) >= times;
    if (await this.#becomes(() => has() || this.#link.isClosed, this.#link)) {
      if (has()) return;
      await this.#patience.ended(this.#subject);
    }
    expectThat(false, `${what} did not happen${this.#link.isClosed ? '; the process ended before' : ''}`);
  }

  /** Whether the service tells this, sooner or later. */
  async tells(event: Event): Promise<boolean> {
    await this.#becomes(() => this.count(event) > 0 || this.#link.isClosed, this.#link);
    return this.count(event) > 0;
  }

  /** Lets the oldest question of this kind go on that waits. */
  answer(event: Event, detail: string, answer: Reply = {}): void {
    this.#link.answer(event, detail, answer);
  }

  signal(name: NodeJS.Signals): void {
    this.#subject.signal(name);
  }

  order(order: Extract<ToService, { kind: string }>): void {
    this.#link.send(order);
  }

  /** Whether the process lives on, over some turns of its event loop. */
  async lives(): Promise<boolean> {
    for (let turn = 0; turn < livingTurns; turn++) if (!(await this.#obeys({ kind: 'turn' }))) return false;
    return true;
  }

  /** Lets time pass for the module's timers. Returns whether the process lives on. */
  async passes(ms: number): Promise<boolean> {
    return await this.#obeys({ kind: 'step', ms });
  }

  /** A new connection. Its end may stay open when the service has ended its own. */
  async connect({ staysOpen = false } = {}): Promise<Caller> {
    const caller = await Caller.connect(this.port, staysOpen);
    this.#disposables.push(caller);
    return caller;
  }

  /** A new connection that is upgraded, and that the service has not welcomed yet. */
  async upgrade(name: string): Promise<Caller> {
    const caller = await this.connect();
    caller.send(`GET /socket/${name} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n`);
    return caller;
  }

  /** Asks on a new connection, and waits until the route asks the database. */
  async hold(route: string, name: string, caller?: Caller, headers: readonly string[] = []): Promise<Caller> {
    const own = caller ?? (await this.connect());
    own.ask(`/${route}/${name}`, headers);
    await this.told(`the request /${route}/${name}`, 'query', name);
    return own;
  }

  /** Asks on a connection that may be closed. Whether its route is called, and asks the database. */
  async reaches(route: string, name: string, caller: Caller): Promise<boolean> {
    const link = this.#link;
    const either = {
      get changed() {
        return Promise.race([link.changed, caller.changed]);
      },
    };
    const before = caller.answers.length;
    const isThere = () => this.count('query', name) > 0;
    const isAnswered = () => caller.answers.length > before;
    caller.ask(`/${route}/${name}`);
    await this.#becomes(() => isThere() || isAnswered() || caller.isClosed || link.isClosed, either);
    return isThere();
  }

  /** Asks for 16 MB, and reads nothing until `rest` of the reader is called. */
  async holdLarge(name: string): Promise<Reader> {
    const reader = new Reader(this.port, `/large/${name}`);
    this.#disposables.push(reader);
    await this.told(`the request /large/${name}`, 'query', name);
    return reader;
  }

  /** The answer of this number on a connection, when it has come whole; otherwise what came. */
  async answerOn(caller: Caller, number = 0): Promise<Answer | string> {
    await this.#becomes(() => caller.answers.length > number || caller.isClosed, caller);
    const answer = caller.answers[number];
    if (answer) return answer;
    const how = caller.isClosed ? 'the connection was closed' : 'nothing more came';
    return `no whole answer: ${how} after ${caller.text.length} bytes`;
  }

  /** Whether this text comes on a connection. */
  async hears(caller: Caller, text: string): Promise<boolean> {
    await this.#becomes(() => caller.text.includes(text) || caller.isClosed, caller);
    return caller.text.includes(text);
  }

  async closes(caller: Caller): Promise<boolean> {
    return await this.#becomes(() => caller.isClosed, caller);
  }

  /** What becomes of a request on a new connection whose route answers at once. */
  async tries(): Promise<string> {
    using caller = await Caller.connect(this.port);
    caller.ask('/ping/new');
    const answer = await this.answerOn(caller);
    if (typeof answer === 'object') return answer.body === 'pong new' ? 'answered' : `status ${answer.status}`;
    return caller.isClosed && caller.text === '' ? 'refused' : answer;
  }

  /** Whether new connections get refused, sooner or later. */
  async refuses(): Promise<boolean> {
    return await this.#patience.sees(async () => (await this.tries()) === 'refused');
  }

  /** How the process ended, as the operating system says it. */
  async end(): Promise<string> {
    const exit = await this.#patience.ended(this.#subject);
    if (!exit) return 'still running';
    return exit.signal === null ? `exit code ${exit.code}` : `ended by ${exit.signal}`;
  }

  async #obeys(order: Extract<ToService, { kind: string }>): Promise<boolean> {
    const times = this.count('done') + 1;
    this.order(order);
    await this.#becomes(() => this.count('done') >= times || this.#link.isClosed, this.#link);
    return this.count('done') >= times;
  }

  async #becomes(is: () => boolean, source: { readonly changed: Promise<void> }): Promise<boolean> {
    while (!is()) if (!(await this.#patience.settles(this.#subject, source.changed))) return false;
    return true;
  }
}

/** The judge's end of the connection to a service. */
class LinkEnd {
  readonly events: FromService[] = [];
  readonly address: { readonly host: string; readonly port: number };
  isClosed = false;
  readonly #server: Server;
  readonly #holds: readonly Event[];
  readonly #open: FromService[] = [];
  #socket: Socket | undefined;
  #changed = Promise.withResolvers<void>();

  private constructor(server: Server, holds: readonly Event[]) {
    const { address, port } = server.address() as AddressInfo;
    this.address = { host: address, port };
    this.#server = server;
    this.#holds = holds;
    server.on('connection', (socket) => {
      this.#socket = socket;
      socket.on('error', () => undefined);
      socket.on('close', () => this.#note(() => (this.isClosed = true)));
      // It passes the socket's errors on.
      createInterface({ input: socket })
        .on('error', () => undefined)
        .on('line', (line) => this.#note(() => this.#take(line)));
    });
  }

  static async listen(holds: readonly Event[]): Promise<LinkEnd> {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new LinkEnd(server, holds);
  }

  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  send(message: ToService): void {
    this.#socket?.write(`${JSON.stringify(message)}\n`);
  }

  answer(event: Event, detail: string, answer: Reply): void {
    const at = this.#open.findIndex((told) => told.event === event && told.detail === detail);
    const [asked] = at === -1 ? [] : this.#open.splice(at, 1);
    if (asked) this.send({ id: asked.id, ...answer });
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(line: string): void {
    const told = JSON.parse(line) as FromService;
    this.events.push(told);
    if (told.event === 'query' || this.#holds.includes(told.event)) this.#open.push(told);
    else if (told.event === 'readiness' || told.event === 'end') this.send({ id: told.id });
  }

  #note(change: () => void): void {
    change();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
