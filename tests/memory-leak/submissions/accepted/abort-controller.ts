import type { EventEmitter } from 'node:events';
import type { Socket } from 'socket.io';
import type { GatewayOptions, Message, Update, UpdateRequest } from '../../../../katas/memory-leak/memory-leak.ts';

type Listener = (...args: any[]) => void;

const draftBytes = 512 * 1024;

/** One signal ends a client, whatever it has started; the client's signal follows the gateway's. */
export class MemoryLeakGateway {
  readonly #options: GatewayOptions;
  readonly #closing = new AbortController();
  readonly #online = new Map<string, AbortController>();
  readonly #seated = new Set<string>();
  #messages: Message[] = [];
  #updates: Update[] = [];
  #recentMessages = 0;
  #perMinute = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { signal } = this.#closing;
    until(signal, options.io as unknown as EventEmitter, 'connection', (socket: Socket) => this.#serve(socket));
    until(signal, options.bus, 'announcement', (text: string) => options.io.emit('announcement', text));
    every(signal, 60_000, () => {
      this.#perMinute = this.#recentMessages;
      this.#recentMessages = 0;
    });
  }

  close(): void {
    this.#closing.abort();
    for (const client of this.#online.values()) client.abort();
    this.#online.clear();
    this.#seated.clear();
  }

  #serve(socket: Socket): void {
    const { io, heartbeatMs, onlineMs, updateMs } = this.#options;
    const client = new AbortController();
    const { signal } = client;
    const topics = new Map<string, AbortController>();
    let draft = new Uint8Array(0);
    this.#online.set(socket.id, client);

    const endTopic = (topic: string) => {
      topics.get(topic)?.abort();
      topics.delete(topic);
    };
    signal.addEventListener('abort', () => [...topics.keys()].forEach(endTopic), { once: true });
    every(signal, heartbeatMs, () => socket.emit('heartbeat', { at: Date.now() }));
    every(signal, onlineMs, () => socket.emit('online', io.sockets.sockets.size));

    const events: Record<string, Listener> = {
      message: (text: string) => this.#say({ from: socket.id, text }),
      get_history: (answer: Listener) => answer(this.#messages),
      broadcast: (text: string) => io.emit('broadcast', text),
      direct: (to: string, text: string) => io.sockets.sockets.get(to)?.emit('direct', { from: socket.id, text }),
      save_draft: (bytes: Uint8Array) => void (draft = bytes.slice(0, draftBytes)),
      get_draft: (length: number, answer: Listener) => answer(Buffer.concat([draft], length)),
      subscribe_updates: (topic: string) => {
        endTopic(topic);
        const subscription = new AbortController();
        topics.set(topic, subscription);
        every(subscription.signal, updateMs, () => socket.emit('update', { topic, at: Date.now() }));
      },
      unsubscribe_updates: endTopic,
      request_update: ({ topic }: UpdateRequest) => {
        const update = { topic, at: Date.now() };
        this.#updates = [...this.#updates.slice(-99), update];
        socket.emit('update', update);
      },
      get_recent_updates: (answer: Listener) => answer(this.#updates),
      take_seat: () => this.#seated.add(socket.id),
      get_seats: (answer: Listener) => answer([...this.#seated]),
      heavy_computation: (size: number, answer: Listener) => answer(sumOfSquares(size)),
      build_report: (sections: number, answer: Listener) => answer(report(sections)),
      get_memory_stats: (answer: Listener) =>
        answer({
          sessions: this.#online.size,
          history: this.#messages.length,
          messagesPerMinute: this.#perMinute,
          ...process.memoryUsage(),
        }),
      disconnect: () => {
        client.abort();
        this.#online.delete(socket.id);
        this.#seated.delete(socket.id);
      },
    };
    for (const [event, listener] of Object.entries(events))
      until(signal, socket as unknown as EventEmitter, event, listener);
  }

  #say(message: Message): void {
    this.#recentMessages += 1;
    if (this.#messages.push(message) > 1000) this.#messages = this.#messages.slice(-1000);
    this.#options.io.emit('message', message);
  }
}

function until(signal: AbortSignal, emitter: EventEmitter, event: string, listener: Listener): void {
  emitter.on(event, listener);
  signal.addEventListener('abort', () => emitter.off(event, listener), { once: true });
}

function every(signal: AbortSignal, ms: number, run: () => void): void {
  const timer = setInterval(run, ms);
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

function sumOfSquares(size: number): number {
  let sum = 0;
  for (let n = 0; n < size; n++) sum += n * n;
  return sum;
}

function report(sections: number): number[] {
  return Array.from({ length: sections }, (_, section) => 499_500 * (section + 1));
}
