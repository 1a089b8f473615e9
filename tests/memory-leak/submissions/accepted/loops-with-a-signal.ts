import { on } from 'node:events';
import { setInterval as ticks } from 'node:timers/promises';
import type { Server, Socket } from 'socket.io';
import type { GatewayOptions, Message, Update, UpdateRequest } from '../../../../katas/memory-leak/memory-leak.ts';

const draftBytes = 512 * 1024;

/** A client's own life as a few loops, which all end with its signal. */
class Visitor {
  readonly #socket: Socket;
  readonly #leaving = new AbortController();
  readonly #topics: Record<string, AbortController> = Object.create(null);
  draft = new Uint8Array(0);

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  async tell(event: string, ms: number, value: () => unknown, signal = this.#leaving.signal): Promise<void> {
    try {
      for await (const _tick of ticks(ms, undefined, { signal })) this.#socket.emit(event, value());
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  subscribe(topic: string, ms: number): void {
    this.unsubscribe(topic);
    const subscription = (this.#topics[topic] = new AbortController());
    void this.tell('update', ms, () => ({ topic, at: Date.now() }), subscription.signal);
  }

  unsubscribe(topic: string): void {
    this.#topics[topic]?.abort();
    delete this.#topics[topic];
  }

  leave(): void {
    this.#leaving.abort();
    for (const topic of Object.keys(this.#topics)) this.unsubscribe(topic);
  }
}

export class MemoryLeakGateway {
  readonly #io: Server;
  readonly #options: GatewayOptions;
  readonly #closing = new AbortController();
  readonly #visitors = new Map<Socket, Visitor>();
  readonly #seated = new Map<string, number>();
  #history: Message[] = [];
  #updates: Update[] = [];
  #said = 0;
  #perMinute = 0;

  constructor(options: GatewayOptions) {
    this.#io = options.io;
    this.#options = options;
    this.#io.on('connection', this.#welcome);
    void this.#announce();
    void this.#measure();
  }

  readonly #welcome = (socket: Socket): void => {
    const visitor = new Visitor(socket);
    this.#visitors.set(socket, visitor);
    void visitor.tell('heartbeat', this.#options.heartbeatMs, () => ({ at: Date.now() }));
    void visitor.tell('online', this.#options.onlineMs, () => this.#visitors.size);
    socket.use(([event, ...args], next) => {
      this.#handle(socket, visitor, event, args);
      next();
    });
    socket.once('disconnect', () => this.#bye(socket));
  };

  #bye(socket: Socket): void {
    this.#visitors.get(socket)?.leave();
    this.#visitors.delete(socket);
    this.#seated.delete(socket.id);
  }

  async #announce(): Promise<void> {
    const { signal } = this.#closing;
    try {
      for await (const [text] of on(this.#options.bus, 'announcement', { signal })) this.#io.emit('announcement', text);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #measure(): Promise<void> {
    const { signal } = this.#closing;
    try {
      for await (const _tick of ticks(60_000, undefined, { signal })) [this.#perMinute, this.#said] = [this.#said, 0];
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #handle(socket: Socket, visitor: Visitor, event: string, args: any[]): void {
    const answers: Record<string, () => unknown> = {
      get_history: () => this.#history,
      get_draft: () => Uint8Array.from({ length: args[0] }, (_, at) => visitor.draft[at] ?? 0),
      get_recent_updates: () => this.#updates,
      get_seats: () => [...this.#seated.keys()],
      heavy_computation: () => this.#compute(args[0]),
      build_report: () => Array.from({ length: args[0] }, (_, n) => 499_500 * (n + 1)),
      get_memory_stats: () => ({
        sessions: this.#visitors.size,
        history: this.#history.length,
        messagesPerMinute: this.#perMinute,
        ...process.memoryUsage(),
      }),
    };
    const actions: Record<string, () => unknown> = {
      message: () => this.#say({ from: socket.id, text: args[0] }),
      broadcast: () => this.#io.emit('broadcast', args[0]),
      direct: () => this.#io.to(args[0]).emit('direct', { from: socket.id, text: args[1] }),
      save_draft: () => (visitor.draft = (args[0] as Uint8Array).slice(0, draftBytes)),
      subscribe_updates: () => visitor.subscribe(args[0], this.#options.updateMs),
      unsubscribe_updates: () => visitor.unsubscribe(args[0]),
      request_update: () => this.#update(socket, (args[0] as UpdateRequest).topic),
      take_seat: () => this.#seated.set(socket.id, (args[0] as Uint8Array).length),
    };
    const answer = answers[event];
    if (answer) args.at(-1)(answer());
    else actions[event]?.();
  }

  #say(message: Message): void {
    this.#said += 1;
    this.#history = [...this.#history.slice(-999), message];
    this.#io.emit('message', message);
  }

  #update(socket: Socket, topic: string): void {
    const update = { topic, at: Date.now() };
    this.#updates = [...this.#updates.slice(-99), update];
    socket.emit('update', update);
  }

  #compute(size: number): number {
    let sum = 0;
    for (let n = 0; n < size; n++) sum += n * n;
    return sum;
  }

  close(): void {
    this.#closing.abort();
    this.#io.off('connection', this.#welcome);
    for (const socket of this.#visitors.keys()) {
      this.#bye(socket);
      socket.disconnect(true);
    }
  }
}
