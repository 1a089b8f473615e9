import type { EventEmitter } from 'node:events';
import type { Server, Socket } from 'socket.io';

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

interface Session {
  readonly id: string;
  readonly since: number;
}

interface Seat {
  readonly id: string;
  readonly notes: Uint8Array;
  readonly neighbours: Set<Seat>;
}

const historyLimit = 1000;
const recentLimit = 100;
const draftBytes = 512 * 1024;

export class MemoryLeakGateway {
  private readonly io: Server;
  private readonly bus: EventEmitter;
  private readonly options: GatewayOptions;
  private readonly sessions = new Map<string, Session>();
  private readonly drafts = new Map<string, Buffer>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly directLines = new Map<string, (from: string, text: string) => void>();
  private readonly announcers = new Map<string, (text: string) => void>();
  private readonly broadcastHandlers = new Map<string, (text: string) => void>();
  private readonly seats = new Map<string, Seat>();
  private readonly chair: Seat = { id: 'chair', notes: new Uint8Array(), neighbours: new Set() };
  private readonly history: Message[] = [];
  private readonly recentUpdates: Update[] = [];
  private meter: NodeJS.Timeout | undefined;
  private readonly socketListeners = new WeakMap<Socket, (readonly [string, (...args: any[]) => void])[]>();
  private messagesThisMinute = 0;
  private messagesPerMinute = 0;

  constructor(options: GatewayOptions) {
    this.options = options;
    this.io = options.io;
    this.bus = options.bus;
    this.io.on('connection', this.handleConnection);
    this.startRateMeter();
  }

  readonly handleConnection = (socket: Socket): void => {
    this.openSession(socket);
    this.openDraft(socket);
    this.startHeartbeat(socket);
    this.startOnlineCount(socket);
    this.addBroadcastHandler(socket);
    this.listenForAnnouncements(socket);
    this.openDirectLine(socket);

    const { id } = socket;
    const listeners: (readonly [string, (...args: any[]) => void])[] = [];
    this.socketListeners.set(socket, listeners);
    const on = (event: string, listener: (...args: any[]) => void) => {
      listeners.push([event, listener]);
      socket.on(event, listener);
    };
    on('message', (text: string) => this.say(id, text));
    on('get_history', (answer: (history: Message[]) => void) => answer(this.history.slice(-historyLimit)));
    on('broadcast', (text: string) => this.broadcast(text));
    on('direct', (to: string, text: string) => this.directLines.get(to)?.(id, text));
    on('save_draft', (bytes: Uint8Array) => this.drafts.get(id)?.fill(0).set(bytes));
    on('get_draft', (length: number, answer: (bytes?: Uint8Array) => void) =>
      answer(this.drafts.get(id)?.subarray(0, length)),
    );
    on('subscribe_updates', (topic: string) => this.subscribe_updates(socket, topic));
    on('unsubscribe_updates', (topic: string) => this.unsubscribe_updates(socket, topic));
    on('request_update', (request: UpdateRequest) => this.sendUpdate(id, request));
    on('get_recent_updates', (answer: (updates: Update[]) => void) => answer(this.recent()));
    on('take_seat', (notes: Uint8Array) => this.takeSeat(id, notes));
    on('get_seats', (answer: (ids: string[]) => void) => answer([...this.seats.keys()]));
    on('heavy_computation', (size: number, answer: (sum: number) => void) => answer(this.heavy_computation(size)));
    on('build_report', (sections: number, answer: (totals: number[]) => void) => answer(this.buildReport(sections)));
    on('get_memory_stats', (answer: (stats: MemoryStats) => void) => answer(this.get_memory_stats()));
    on('disconnect', () => this.handleDisconnect(socket));
  };

  handleDisconnect({ id }: Pick<Socket, 'id'>): void {
    for (const [name, timer] of this.timers) {
      if (!name.split(' ').includes(id)) continue;
      clearInterval(timer);
      this.timers.delete(name);
    }
    this.sessions.delete(id);
    this.drafts.delete(id);
    this.directLines.delete(id);
    this.broadcastHandlers.delete(id);
    const announce = this.announcers.get(id);
    if (announce) this.bus.off('announcement', announce);
    this.announcers.delete(id);
    this.leaveSeat(id);
  }

  openSession({ id }: Socket): void {
    this.sessions.set(id, { id, since: Date.now() });
  }

  openDraft({ id }: Socket): void {
    this.drafts.set(id, Buffer.alloc(draftBytes));
  }

  startHeartbeat({ id }: Socket): void {
    const beat = () => this.io.to(id).emit('heartbeat', { at: Date.now() });
    this.timers.set(`heartbeat ${id}`, setInterval(beat, this.options.heartbeatMs));
  }

  startOnlineCount({ id }: Socket): void {
    const tell = () => this.io.to(id).emit('online', this.io.sockets.sockets.size);
    this.timers.set(`online ${id}`, setInterval(tell, this.options.onlineMs));
  }

  addBroadcastHandler({ id }: Socket): void {
    this.broadcastHandlers.set(id, (text) => this.io.to(id).emit('broadcast', text));
  }

  listenForAnnouncements({ id }: Socket): void {
    const announce = (text: string) => this.io.to(id).emit('announcement', text);
    this.announcers.set(id, announce);
    this.bus.on('announcement', announce);
  }

  openDirectLine(socket: Socket): void {
    this.directLines.set(socket.id, (from, text) => socket.emit('direct', { from, text }));
  }

  startRateMeter(): void {
    this.meter = setInterval(() => {
      this.messagesPerMinute = this.messagesThisMinute;
      this.messagesThisMinute = 0;
    }, 60_000);
  }

  say(from: string, text: string): void {
    const message = { from, text };
    this.messagesThisMinute += 1;
    this.history.push(message);
    if (this.history.length > historyLimit) this.history.splice(0, this.history.length - historyLimit);
    this.io.emit('message', message);
  }

  broadcast(text: string): void {
    for (const handle of this.broadcastHandlers.values()) handle(text);
  }

  subscribe_updates({ id }: Pick<Socket, 'id'>, topic: string): void {
    this.unsubscribe_updates({ id }, topic);
    const send = () => this.io.to(id).emit('update', { topic, at: Date.now() } satisfies Update);
    this.timers.set(`update ${id} ${topic}`, setInterval(send, this.options.updateMs));
  }

  unsubscribe_updates({ id }: Pick<Socket, 'id'>, topic: string): void {
    clearInterval(this.timers.get(`update ${id} ${topic}`));
    this.timers.delete(`update ${id} ${topic}`);
  }

  sendUpdate(id: string, request: UpdateRequest): void {
    const update: Update = { topic: request.topic, at: Date.now() };
    this.recentUpdates.push(update);
    if (this.recentUpdates.length > recentLimit) this.recentUpdates.shift();
    this.io.to(id).emit('update', { topic: update.topic, at: update.at } satisfies Update);
  }

  recent(): Update[] {
    return this.recentUpdates.map(({ topic, at }) => ({ topic, at }));
  }

  takeSeat(id: string, notes: Uint8Array): void {
    this.leaveSeat(id);
    const seat: Seat = { id, notes, neighbours: new Set([this.chair]) };
    this.chair.neighbours.add(seat);
    this.seats.set(id, seat);
  }

  leaveSeat(id: string): void {
    const seat = this.seats.get(id);
    if (seat) this.chair.neighbours.delete(seat);
    this.seats.delete(id);
  }

  heavy_computation(size: number): number {
    const samples = this.makeSamples(size);
    let sum = 0;
    for (const sample of samples) sum += sample;
    return sum;
  }

  makeSamples(size: number): Float64Array {
    const samples = new Float64Array(size);
    for (let n = 0; n < size; n++) samples[n] = n * n;
    return samples;
  }

  buildReport(sections: number): number[] {
    const totals: number[] = [];
    for (let section = 1; section <= sections; section++) {
      const rows = Array.from({ length: 1000 }, (_, row) => row * section);
      const render = () => rows.reduce((sum, value) => sum + value, 0);
      totals.push(render());
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
    clearInterval(this.meter);
    for (const id of this.sessions.keys()) this.handleDisconnect({ id });
    for (const socket of this.io.sockets.sockets.values()) {
      for (const [event, listener] of this.socketListeners.get(socket) ?? []) socket.off(event, listener);
    }
  }
}
