import type { Socket } from 'socket.io';
import type { GatewayOptions, Message, Update, UpdateRequest } from '../../../../katas/memory-leak/memory-leak.ts';

type Answer<T> = (value: T) => void;

interface Client {
  readonly draft: Buffer;
  readonly timers: Map<string, NodeJS.Timeout>;
}

export class MemoryLeakGateway {
  private readonly options: GatewayOptions;
  private readonly clients = new Map<string, Client>();
  private readonly seats = new Map<string, Uint8Array>();
  private readonly history: Message[] = [];
  private readonly recent: Update[] = [];
  private readonly meter = setInterval(() => this.measureRate(), 60_000);
  private said = 0;
  private rate = 0;

  constructor(options: GatewayOptions) {
    this.options = options;
    options.io.on('connection', this.handleConnection);
    options.bus.on('announcement', this.announce);
  }

  readonly handleConnection = (socket: Socket): void => {
    const { io, heartbeatMs, onlineMs } = this.options;
    const { id } = socket;
    this.clients.set(id, { draft: Buffer.alloc(512 * 1024), timers: new Map() });
    this.repeat(id, 'heartbeat', heartbeatMs, () => io.to(id).emit('heartbeat', { at: Date.now() }));
    this.repeat(id, 'online', onlineMs, () => io.to(id).emit('online', io.sockets.sockets.size));

    socket.on('message', (text: string) => this.say({ from: id, text }));
    socket.on('get_history', (answer: Answer<Message[]>) => answer(this.history));
    socket.on('broadcast', (text: string) => io.emit('broadcast', text));
    socket.on('direct', (to: string, text: string) => io.to(to).emit('direct', { from: id, text }));
    socket.on('save_draft', (bytes: Uint8Array) => this.clients.get(id)?.draft.set(bytes));
    socket.on('get_draft', (length: number, answer: Answer<Buffer | undefined>) =>
      answer(this.clients.get(id)?.draft.subarray(0, length)),
    );
    socket.on('subscribe_updates', (topic: string) => this.subscribe(id, topic));
    socket.on('unsubscribe_updates', (topic: string) => this.stop(id, `update ${topic}`));
    socket.on('request_update', (request: UpdateRequest) => this.sendUpdate(id, request));
    socket.on('get_recent_updates', (answer: Answer<Update[]>) => answer(this.recent));
    socket.on('take_seat', (notes: Uint8Array) => this.seats.set(id, notes));
    socket.on('get_seats', (answer: Answer<string[]>) => answer([...this.seats.keys()]));
    socket.on('heavy_computation', (size: number, answer: Answer<number>) => answer(this.compute(size)));
    socket.on('build_report', (sections: number, answer: Answer<number[]>) => answer(this.buildReport(sections)));
    socket.on('get_memory_stats', (answer: Answer<object>) => answer(this.stats()));
    socket.on('disconnect', () => this.handleDisconnect(id));
  };

  private handleDisconnect(id: string): void {
    for (const name of this.clients.get(id)?.timers.keys() ?? []) this.stop(id, name);
    this.clients.delete(id);
    this.seats.delete(id);
  }

  private readonly announce = (text: string): void => {
    this.options.io.emit('announcement', text);
  };

  private say(message: Message): void {
    this.said += 1;
    this.history.push(message);
    if (this.history.length > 1000) this.history.shift();
    this.options.io.emit('message', message);
  }

  private subscribe(id: string, topic: string): void {
    const { io, updateMs } = this.options;
    this.repeat(id, `update ${topic}`, updateMs, () => io.to(id).emit('update', { topic, at: Date.now() }));
  }

  private repeat(id: string, name: string, ms: number, run: () => void): void {
    this.stop(id, name);
    this.clients.get(id)?.timers.set(name, setInterval(run, ms));
  }

  private stop(id: string, name: string): void {
    const timers = this.clients.get(id)?.timers;
    clearInterval(timers?.get(name));
    timers?.delete(name);
  }

  private sendUpdate(id: string, { topic }: UpdateRequest): void {
    const update = { topic, at: Date.now() };
    this.recent.push(update);
    if (this.recent.length > 100) this.recent.shift();
    this.options.io.to(id).emit('update', update);
  }

  private compute(size: number): number {
    let sum = 0;
    for (let n = 0; n < size; n++) sum += n * n;
    return sum;
  }

  private buildReport(sections: number): number[] {
    const totals: number[] = [];
    for (let section = 1; section <= sections; section++) {
      const rows = Array.from({ length: 1000 }, (_, row) => row * section);
      totals.push(rows.reduce((sum, value) => sum + value, 0));
    }
    return totals;
  }

  private stats(): object {
    const figures = { sessions: this.clients.size, history: this.history.length, messagesPerMinute: this.rate };
    return { ...figures, ...process.memoryUsage() };
  }

  private measureRate(): void {
    this.rate = this.said;
    this.said = 0;
  }

  close(): void {
    const { io, bus } = this.options;
    io.off('connection', this.handleConnection);
    bus.off('announcement', this.announce);
    clearInterval(this.meter);
    for (const id of this.clients.keys()) this.handleDisconnect(id);
    // Listeners on the sockets hold the gateway, so they go with the sockets.
    io.disconnectSockets(true);
  }
}
