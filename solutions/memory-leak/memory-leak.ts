import type { EventEmitter } from 'node:events';
import type { Server, Socket } from 'socket.io';
import type * as Starter from '../../katas/memory-leak/memory-leak.ts';

export interface GatewayOptions {
  /** The Socket.IO server. It belongs to the caller. */
  readonly io: Server;
  /** The application's bus. Other parts of the application use it too. */
  readonly bus: EventEmitter;
  /** How often a client hears a heartbeat. */
  readonly heartbeatMs: number;
  /** How often a client hears how many are online. */
  readonly onlineMs: number;
  /** How often a subscription sends its update. */
  readonly updateMs: number;
}

export interface Message {
  readonly from: string;
  readonly text: string;
}

export interface Update {
  readonly topic: string;
  readonly at: number;
}

/** What a client asks an update with. */
export interface UpdateRequest {
  readonly topic: string;
  readonly filter: Uint8Array;
}

export interface MemoryStats {
  readonly sessions: number;
  readonly history: number;
  readonly messagesPerMinute: number;
  readonly rss: number;
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly external: number;
}

/** All that is kept of a client. It ends as a whole, so nothing of it can be forgotten one by one. */
class Session {
  readonly draft = Buffer.alloc(draftBytes);
  private readonly socket: Socket;
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly listeners: (readonly [event: string, listener: (...args: any[]) => void])[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
  }

  listen(event: string, listener: (...args: any[]) => void): void {
    this.listeners.push([event, listener]);
    this.socket.on(event, listener);
  }

  /** Sends what `value` gives, again and again; a timer of the same name is replaced. */
  start(name: string, ms: number, event: string, value: () => unknown): void {
    this.stop(name);
    this.timers.set(
      name,
      setInterval(() => this.socket.emit(event, value()), ms),
    );
  }

  stop(name: string): void {
    clearInterval(this.timers.get(name));
    this.timers.delete(name);
  }

  end(): void {
    for (const name of this.timers.keys()) this.stop(name);
    for (const [event, listener] of this.listeners) this.socket.off(event, listener);
  }
}

const historyLimit = 1000;
const recentLimit = 100;
const draftBytes = 512 * 1024;

export class MemoryLeakGateway {
  private readonly io: Server;
  private readonly bus: EventEmitter;
  private readonly options: GatewayOptions;
  private readonly sessions = new Map<string, Session>();
  private readonly seats = new Map<string, Uint8Array>();
  private readonly history: Message[] = [];
  private readonly recentUpdates: Update[] = [];
  private messagesPerMinute = 0;
  private said = 0;
  private readonly rateMeter = setInterval(() => this.measureRate(), 60_000);

  constructor(options: GatewayOptions) {
    this.options = options;
    this.io = options.io;
    this.bus = options.bus;
    this.io.on('connection', this.handleConnection);
    // One listener for all clients, so there is none to take off when one of them leaves.
    this.bus.on('announcement', this.announce);
  }

  readonly handleConnection = (socket: Socket): void => {
    const session = new Session(socket);
    const { id } = socket;
    this.sessions.set(id, session);
    session.start('heartbeat', this.options.heartbeatMs, 'heartbeat', () => ({ at: Date.now() }));
    session.start('online', this.options.onlineMs, 'online', () => this.io.sockets.sockets.size);

    session.listen('message', (text: string) => this.say(id, text));
    session.listen('get_history', (answer: (history: Message[]) => void) => answer(this.history));
    session.listen('broadcast', (text: string) => this.broadcast(text));
    session.listen('direct', (to: string, text: string) => this.io.to(to).emit('direct', { from: id, text }));
    session.listen('save_draft', (bytes: Uint8Array) => session.draft.fill(0).set(bytes));
    session.listen('get_draft', (length: number, answer: (bytes: Uint8Array) => void) =>
      answer(session.draft.subarray(0, length)),
    );
    session.listen('subscribe_updates', (topic: string) => this.subscribe_updates(session, topic));
    session.listen('unsubscribe_updates', (topic: string) => this.unsubscribe_updates(session, topic));
    session.listen('request_update', (request: UpdateRequest) => this.sendUpdate(id, request));
    session.listen('get_recent_updates', (answer: (updates: Update[]) => void) => answer(this.recentUpdates));
    session.listen('take_seat', (notes: Uint8Array) => this.seats.set(id, notes));
    session.listen('get_seats', (answer: (ids: string[]) => void) => answer([...this.seats.keys()]));
    session.listen('heavy_computation', (size: number, answer: (sum: number) => void) =>
      answer(this.heavy_computation(size)),
    );
    session.listen('build_report', (sections: number, answer: (totals: number[]) => void) =>
      answer(this.buildReport(sections)),
    );
    session.listen('get_memory_stats', (answer: (stats: MemoryStats) => void) => answer(this.get_memory_stats()));
    session.listen('disconnect', () => this.handleDisconnect(socket));
  };

  handleDisconnect({ id }: Socket): void {
    this.sessions.get(id)?.end();
    this.sessions.delete(id);
    this.seats.delete(id);
  }

  say(from: string, text: string): void {
    const message = { from, text };
    this.said += 1;
    this.history.push(message);
    if (this.history.length > historyLimit) this.history.shift();
    this.io.emit('message', message);
  }

  broadcast(text: string): void {
    this.io.emit('broadcast', text);
  }

  subscribe_updates(session: Session, topic: string): void {
    session.start(`update ${topic}`, this.options.updateMs, 'update', () => ({ topic, at: Date.now() }));
  }

  unsubscribe_updates(session: Session, topic: string): void {
    session.stop(`update ${topic}`);
  }

  sendUpdate(id: string, { topic }: UpdateRequest): void {
    // What was sent, and nothing of whom it was sent to.
    const update = { topic, at: Date.now() };
    this.recentUpdates.push(update);
    if (this.recentUpdates.length > recentLimit) this.recentUpdates.shift();
    this.io.to(id).emit('update', update);
  }

  heavy_computation(size: number): number {
    let sum = 0;
    for (let n = 0; n < size; n++) sum += n * n;
    return sum;
  }

  buildReport(sections: number): number[] {
    const totals: number[] = [];
    for (let section = 1; section <= sections; section++) {
      const rows = Array.from({ length: 1000 }, (_, row) => row * section);
      totals.push(rows.reduce((sum, value) => sum + value, 0));
    }
    return totals;
  }

  get_memory_stats(): MemoryStats {
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    return {
      sessions: this.sessions.size,
      history: this.history.length,
      messagesPerMinute: this.messagesPerMinute,
      rss,
      heapUsed,
      heapTotal,
      external,
    };
  }

  close(): void {
    this.io.off('connection', this.handleConnection);
    this.bus.off('announcement', this.announce);
    clearInterval(this.rateMeter);
    for (const session of this.sessions.values()) session.end();
    this.sessions.clear();
    this.seats.clear();
  }

  private readonly announce = (text: string): void => {
    this.io.emit('announcement', text);
  };

  private measureRate(): void {
    this.messagesPerMinute = this.said;
    this.said = 0;
  }
}

MemoryLeakGateway satisfies new (options: Starter.GatewayOptions) => Pick<Starter.MemoryLeakGateway, 'close'>;
