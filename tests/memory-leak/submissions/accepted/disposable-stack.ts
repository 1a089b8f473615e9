import type { EventEmitter } from 'node:events';
import type { Server, Socket } from 'socket.io';
import type { GatewayOptions, Message, Update, UpdateRequest } from '../../../../katas/memory-leak/memory-leak.ts';

type Answer<T> = (value: T) => void;
type Emitter = Pick<EventEmitter, 'on' | 'off'>;

/** A client is a stack: whatever it begins is put on it together with its end. */
export class MemoryLeakGateway {
  private readonly own = new DisposableStack();
  private readonly clients = new Map<string, DisposableStack>();
  private readonly drafts = new Map<string, Buffer>();
  /** Drafts for reuse, all zeros. */
  private readonly free: Buffer[] = [];
  private readonly seats = new Set<string>();
  private readonly messages: Message[] = [];
  private readonly updates: Update[] = [];
  private readonly created = Date.now();
  private readonly said = new Map<number, number>();
  private readonly io: Server;
  private readonly options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.options = options;
    this.io = options.io;
    this.listen(this.own, this.io as unknown as Emitter, 'connection', (socket: Socket) =>
      this.handleConnection(socket),
    );
    this.listen(this.own, options.bus, 'announcement', (text: string) => this.io.emit('announcement', text));
  }

  private handleConnection(socket: Socket): void {
    const { id } = socket;
    const { heartbeatMs, onlineMs, updateMs } = this.options;
    const client = new DisposableStack();
    const on = (event: string, listener: (...args: any[]) => void) =>
      this.listen(client, socket as unknown as Emitter, event, listener);
    this.clients.set(id, client);
    client.defer(() => this.clients.delete(id));
    const draft = this.free.pop() ?? Buffer.alloc(512 * 1024);
    this.drafts.set(id, draft);
    client.defer(() => {
      this.drafts.delete(id);
      if (this.free.length < 4) this.free.push(draft.fill(0));
    });
    client.defer(() => this.seats.delete(id));
    this.every(client, heartbeatMs, () => socket.emit('heartbeat', { at: Date.now() }));
    this.every(client, onlineMs, () => socket.emit('online', this.io.of('/').sockets.size));

    const subscriptions = new Map<string, DisposableStack>();
    const unsubscribe = (topic: string) => {
      subscriptions.get(topic)?.dispose();
      subscriptions.delete(topic);
    };
    client.defer(() => {
      for (const topic of subscriptions.keys()) unsubscribe(topic);
    });
    on('subscribe_updates', (topic: string) => {
      unsubscribe(topic);
      const subscription = new DisposableStack();
      this.every(subscription, updateMs, () => socket.emit('update', { topic, at: Date.now() }));
      subscriptions.set(topic, subscription);
    });
    on('unsubscribe_updates', unsubscribe);

    on('message', (text: string) => {
      this.countMessage();
      this.messages.push({ from: id, text });
      this.messages.splice(0, this.messages.length - 1000);
      this.io.emit('message', { from: id, text });
    });
    on('get_history', (answer: Answer<Message[]>) => answer(this.messages));
    on('broadcast', (text: string) => this.io.emit('broadcast', text));
    on('direct', (to: string, text: string) => this.io.to(to).emit('direct', { from: id, text }));
    on('save_draft', (bytes: Uint8Array) => this.drafts.get(id)?.set(bytes));
    on('get_draft', (length: number, answer: Answer<Buffer | undefined>) =>
      answer(this.drafts.get(id)?.subarray(0, length)),
    );
    on('request_update', ({ topic }: UpdateRequest) => {
      const update = { topic, at: Date.now() };
      this.updates.push(update);
      this.updates.splice(0, this.updates.length - 100);
      socket.emit('update', update);
    });
    on('get_recent_updates', (answer: Answer<Update[]>) => answer(this.updates));
    on('take_seat', () => this.seats.add(id));
    on('get_seats', (answer: Answer<string[]>) => answer(Array.from(this.seats)));
    on('heavy_computation', (size: number, answer: Answer<number>) => {
      const samples = Float64Array.from({ length: size }, (_, n) => n * n);
      answer(samples.reduce((sum, sample) => sum + sample, 0));
    });
    on('build_report', (sections: number, answer: Answer<number[]>) =>
      answer(Array.from({ length: sections }, (_, n) => totalOf(n + 1))),
    );
    on('get_memory_stats', (answer: Answer<object>) =>
      answer({
        sessions: this.clients.size,
        history: this.messages.length,
        messagesPerMinute: this.said.get(this.minute() - 1) ?? 0,
        ...process.memoryUsage(),
      }),
    );
    on('disconnect', () => client.dispose());
  }

  /** Minutes since the constructor. */
  private minute(): number {
    return Math.floor((Date.now() - this.created) / 60_000);
  }

  private countMessage(): void {
    const now = this.minute();
    for (const minute of this.said.keys()) if (minute < now - 1) this.said.delete(minute);
    this.said.set(now, (this.said.get(now) ?? 0) + 1);
  }

  close(): void {
    this.own.dispose();
    for (const client of this.clients.values()) client.dispose();
  }

  private listen(owner: DisposableStack, emitter: Emitter, event: string, listener: (...args: any[]) => void): void {
    emitter.on(event, listener);
    owner.defer(() => emitter.off(event, listener));
  }

  private every(owner: DisposableStack, ms: number, run: () => void): void {
    owner.adopt(setInterval(run, ms), clearInterval);
  }
}

function totalOf(section: number): number {
  let total = 0;
  for (let row = 0; row < 1000; row++) total += row * section;
  return total;
}
