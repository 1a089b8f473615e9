import { setTimeout as wait } from 'node:timers/promises';
import type { Server, Socket } from 'socket.io';

type Settings = Readonly<Record<'maxBufferedBytes' | 'keep' | 'keepMs', number>>;
type Said = { room: string; seq: number; text: string };

/** What a room said lately. `since`: it may have said more up to this number. */
interface Archive {
  since: number;
  said: (Said & { until: number })[];
  usedAt: number;
}

/** Who is where is what Socket.IO's adapter says. One pass now and then tidies all archives. */
class Hub {
  #archives: Record<string, Archive> = Object.create(null);
  #count = 0;
  #tidied = 0;
  #isTidying = false;
  #queue = new Map<string, Said[]>();
  readonly #io: Server;
  readonly #settings: Settings;

  constructor(io: Server, settings: Settings) {
    this.#io = io;
    this.#settings = settings;
    io.of('/').on('connection', (socket: Socket) => {
      socket.onAny((event: string, ...args: unknown[]) => {
        if (event === 'join') this.#join(socket, args);
        if (event === 'leave') this.#leave(socket, args);
      });
    });
  }

  publish = (room: string, text: string): void => {
    const message = { room, seq: ++this.#count, text };
    const archive = this.#archive(room);
    archive.said.push({ ...message, until: Date.now() + this.#settings.keepMs });
    this.#cut(archive);
    // What is published in one turn goes out together.
    if (this.#queue.size === 0) setImmediate(this.#send);
    const waiting = this.#queue.get(room);
    if (waiting) waiting.push(message);
    else this.#queue.set(room, [message]);
  };

  members = (room: string): string[] => {
    const users = new Set<string>();
    for (const socket of this.#sockets(room)) users.add(socket.handshake.auth.user as string);
    return Array.from(users);
  };

  #send = (): void => {
    const queue = this.#queue;
    this.#queue = new Map();
    for (const [room, messages] of queue) {
      for (const message of messages) this.#io.in(`hub/${room}`).emit('message', message);
      for (const socket of this.#sockets(room)) this.#endIfSlow(socket);
    }
  };

  *#sockets(room: string): Generator<Socket> {
    const { rooms, nsp } = this.#io.of('/').adapter;
    for (const id of rooms.get(`hub/${room}`) ?? []) {
      const socket = (nsp.sockets as Map<string, Socket>).get(id);
      if (socket) yield socket;
    }
  }

  #endIfSlow(socket: Socket): void {
    const conn = socket.conn as unknown as {
      writeBuffer: { options: { wsPreEncodedFrame?: Buffer[] }; data?: string }[];
      transport: { socket: { bufferedAmount: number; terminate(): void } };
    };
    const sizes = conn.writeBuffer.map(
      ({ options, data }) => options.wsPreEncodedFrame?.[1]?.length ?? data?.length ?? 0,
    );
    const bytes = sizes.reduce((sum, size) => sum + size, conn.transport.socket.bufferedAmount);
    if (bytes > this.#settings.maxBufferedBytes) conn.transport.socket.terminate();
  }

  #join(socket: Socket, [room, after, ack]: unknown[]): void {
    if (typeof room !== 'string') return;
    if (after !== null && (typeof after !== 'number' || !(after >= 0) || after % 1 !== 0)) return;
    // What is still queued would come a second time.
    this.#send();
    const archive = this.#archive(room);
    this.#cut(archive);
    const isIn = socket.rooms.has(`hub/${room}`);
    if (after !== null && !isIn) {
      for (const { seq, text } of archive.said)
        if (seq > (after as number)) socket.emit('message', { room, seq, text });
    }
    void socket.join(`hub/${room}`);
    const complete = after === null || (after as number) >= archive.since;
    if (ack instanceof Function) ack({ last: this.#count, complete });
    this.#endIfSlow(socket);
  }

  #leave(socket: Socket, [room, ack]: unknown[]): void {
    if (typeof room === 'string') {
      this.#send();
      void socket.leave(`hub/${room}`);
      if (this.#archives[room]) this.#archives[room].usedAt = Date.now();
    }
    if (ack instanceof Function) ack();
  }

  #archive(room: string): Archive {
    const archive = (this.#archives[room] ??= { since: this.#tidied, said: [], usedAt: 0 });
    archive.usedAt = Date.now();
    if (!this.#isTidying) void this.#tidy();
    return archive;
  }

  #cut(archive: Archive): void {
    const { said } = archive;
    while (said.length > this.#settings.keep || (said[0] && said[0].until <= Date.now()))
      archive.since = said.shift()!.seq;
  }

  /** Runs while there is an archive. */
  async #tidy(): Promise<void> {
    this.#isTidying = true;
    const { keepMs } = this.#settings;
    const { rooms } = this.#io.of('/').adapter;
    for (let left = 1; left > 0;) {
      await wait(keepMs / 2, undefined, { ref: false });
      left = 0;
      for (const [room, { usedAt }] of Object.entries(this.#archives)) {
        if (rooms.has(`hub/${room}`)) this.#archives[room]!.usedAt = Date.now();
        else if (usedAt + 1.5 * keepMs < Date.now()) {
          delete this.#archives[room];
          this.#tidied = this.#count;
          continue;
        }
        left++;
      }
    }
    this.#isTidying = false;
  }
}

export function createHub(io: Server, settings: Settings): Hub {
  return new Hub(io, settings);
}
