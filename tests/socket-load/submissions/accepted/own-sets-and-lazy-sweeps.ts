import type { Server, Socket } from 'socket.io';

interface Options {
  maxBufferedBytes: number;
  keep: number;
  keepMs: number;
}

interface Entry {
  seq: number;
  text: string;
  at: number;
}

/** A ring of the last messages. */
class Log {
  readonly #ring: Entry[] = [];
  readonly #size: number;
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  push(entry: Entry): void {
    this.#ring[this.#next % this.#size] = entry;
    this.#next++;
  }

  /** From the oldest to the newest. */
  *entries(): Generator<Entry> {
    for (let at = Math.max(0, this.#next - this.#size); at < this.#next; at++) yield this.#ring[at % this.#size]!;
  }
}

class Room {
  readonly sockets = new Set<Socket>();
  readonly log: Log;
  /** Messages up to this number may be missing from the log. */
  readonly base: number;
  seq: number;
  touchedAt = 0;

  constructor(base: number, keep: number) {
    this.base = base;
    this.seq = base;
    this.log = new Log(keep);
  }

  missed(after: number, keepMs: number): { entries: Entry[]; complete: boolean } {
    const entries = [...this.log.entries()].filter(({ seq, at }) => seq > after && performance.now() - at < keepMs);
    const wanted = this.seq - Math.max(after, this.base);
    return { entries, complete: after >= this.base && entries.length === Math.max(0, wanted) };
  }
}

/** Rooms are sets of sockets of its own, each room counts by itself, and nothing here uses a timer. */
export function createHub(io: Server, options: Options) {
  // The room that nothing has happened in for longest comes first.
  const rooms = new Map<string, Room>();
  let highest = 0;

  const touch = (name: string): Room => {
    const room = rooms.get(name) ?? new Room(highest, options.keep);
    room.touchedAt = performance.now();
    rooms.delete(name);
    rooms.set(name, room);
    sweep();
    return room;
  };

  function sweep(): void {
    const now = performance.now();
    for (const [name, room] of rooms) {
      if (now - room.touchedAt < options.keepMs) return;
      rooms.delete(name);
      if (room.sockets.size > 0) {
        room.touchedAt = now;
        rooms.set(name, room);
      }
    }
  }

  io.on('connection', (socket) => {
    const mine = new Set<string>();
    const leave = (name: string) => {
      mine.delete(name);
      touch(name).sockets.delete(socket);
    };
    socket.on('join', (name, after, ack) => {
      const isNumber = Number.isInteger(after) && after >= 0;
      if (typeof name !== 'string' || (after !== null && !isNumber)) return;
      const room = touch(name);
      const { entries, complete } = room.missed(after ?? room.seq, options.keepMs);
      if (typeof ack === 'function') ack({ last: room.seq, complete });
      if (mine.has(name)) return;
      for (const { seq, text } of entries) socket.emit('message', { room: name, seq, text });
      room.sockets.add(socket);
      mine.add(name);
      endIfSlow(socket);
    });
    socket.on('leave', (name, ack) => {
      if (mine.has(name)) leave(name);
      if (typeof ack === 'function') ack();
    });
    socket.once('disconnect', () => mine.forEach(leave));
  });

  return Object.freeze({
    publish(name: string, text: string) {
      const room = touch(name);
      const seq = ++room.seq;
      highest = Math.max(highest, seq);
      room.log.push({ seq, text, at: performance.now() });
      for (const socket of room.sockets) {
        socket.emit('message', { room: name, seq, text });
        endIfSlow(socket);
      }
    },
    members: (name: string) => [
      ...new Set([...(rooms.get(name)?.sockets ?? [])].map((socket) => String(socket.handshake.auth.user))),
    ],
  });

  function endIfSlow(socket: Socket): void {
    const { writeBuffer } = socket.conn as unknown as { writeBuffer: { data: string }[] };
    let bytes = socket.request.socket.writableLength;
    for (const { data } of writeBuffer) bytes += data.length;
    if (bytes > options.maxBufferedBytes) socket.conn.close(true);
  }
}
