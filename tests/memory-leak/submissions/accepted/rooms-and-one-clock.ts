import type { Server, Socket } from 'socket.io';
import type { GatewayOptions, Message, Update, UpdateRequest } from '../../../../katas/memory-leak/memory-leak.ts';

interface Notes {
  draft?: Uint8Array;
}

/**
 * Nothing is kept a client but what hangs on its socket: topics are rooms, which Socket.IO empties by itself, and timers belong
 * to the gateway; they run while somebody is there.
 */
export class MemoryLeakGateway {
  private readonly io: Server;
  private readonly notes = new WeakMap<Socket, Notes>();
  private readonly ring: (Message | undefined)[] = Array.from({ length: 1000 });
  private count = 0;
  /** When the messages of the last 60 seconds came. */
  private readonly times: number[] = [];
  private updates: Update[] = [];
  private clocks: NodeJS.Timeout[] = [];
  private readonly ends: (() => void)[] = [];

  constructor({ io, bus, heartbeatMs, onlineMs, updateMs }: GatewayOptions) {
    this.io = io;
    const wind = () => {
      this.clocks = [
        setInterval(() => io.to('gateway').emit('heartbeat', { at: Date.now() }), heartbeatMs),
        setInterval(() => io.to('gateway').emit('online', io.sockets.sockets.size), onlineMs),
        setInterval(() => this.sendUpdates(), updateMs),
      ];
    };
    const welcome = (socket: Socket) => {
      if (this.clocks.length === 0) wind();
      this.welcome(socket);
    };
    const announce = (text: string) => io.emit('announcement', text);
    io.on('connection', welcome);
    bus.on('announcement', announce);
    this.ends.push(
      () => io.off('connection', welcome),
      () => bus.off('announcement', announce),
    );
  }

  close(): void {
    for (const end of this.ends) end();
    this.stopClocks();
    for (const socket of this.io.sockets.sockets.values()) socket.removeAllListeners().offAny();
  }

  private stopClocks(): void {
    this.clocks.forEach((clock) => clearInterval(clock));
    this.clocks = [];
  }

  private sendUpdates(): void {
    for (const room of this.io.of('/').adapter.rooms.keys()) {
      if (room.startsWith('topic ')) this.io.to(room).emit('update', { topic: room.slice(6), at: Date.now() });
    }
  }

  private welcome(socket: Socket): void {
    const { io } = this;
    void socket.join('gateway');
    socket.onAny((event: string, ...args: any[]) => this.handle(socket, event, args));
    socket.on('disconnect', () => {
      if (io.sockets.sockets.size === 0) this.stopClocks();
    });
  }

  private handle(socket: Socket, event: string, args: any[]): void {
    const { io } = this;
    const answer = args.at(-1) as (value: unknown) => void;
    switch (event) {
      case 'message':
        this.lastMinute().push(Date.now());
        this.ring[this.count++ % 1000] = { from: socket.id, text: args[0] };
        io.emit('message', { from: socket.id, text: args[0] });
        break;
      case 'get_history':
        return answer(this.history());
      case 'broadcast':
        io.emit('broadcast', args[0]);
        break;
      case 'direct':
        io.to(args[0]).emit('direct', { from: socket.id, text: args[1] });
        break;
      case 'save_draft':
        this.notes.set(socket, { draft: Uint8Array.from(args[0] as Uint8Array) });
        break;
      case 'get_draft':
        return answer(Buffer.concat([this.notes.get(socket)?.draft ?? new Uint8Array(0)], args[0]));
      case 'subscribe_updates':
        return void socket.join(`topic ${args[0]}`);
      case 'unsubscribe_updates':
        return void socket.leave(`topic ${args[0]}`);
      case 'request_update': {
        const update = { topic: (args[0] as UpdateRequest).topic, at: Date.now() };
        this.updates = [...this.updates, update].slice(-100);
        socket.emit('update', update);
        break;
      }
      case 'get_recent_updates':
        return answer(this.updates);
      case 'take_seat':
        return void socket.join('seats');
      case 'get_seats':
        return answer([...(io.of('/').adapter.rooms.get('seats') ?? [])]);
      case 'heavy_computation':
        return answer(Array.from({ length: args[0] }, (_, n) => n * n).reduce((sum, square) => sum + square, 0));
      case 'build_report':
        return answer(Array.from({ length: args[0] }, (_, n) => (n + 1) * 499_500));
      case 'get_memory_stats':
        return answer({
          sessions: io.sockets.sockets.size,
          history: this.history().length,
          messagesPerMinute: this.lastMinute().length,
          ...process.memoryUsage(),
        });
    }
  }

  private lastMinute(): number[] {
    const from = Date.now() - 60_000;
    while (this.times.length > 0 && this.times[0]! <= from) this.times.shift();
    return this.times;
  }

  private history(): Message[] {
    const from = Math.max(0, this.count - 1000);
    return Array.from({ length: this.count - from }, (_, n) => this.ring[(from + n) % 1000]!);
  }
}
