/*
breaks: [5, 7]
why: A client for which much waits gets no further messages, and is not dropped either.
ask: What does a client do with messages 1, 2, and 9?
*/
import type { Server, Socket } from 'socket.io';

interface Wire {
  readonly _socket: { readonly writableLength: number };
  readonly bufferedAmount: number;
  terminate(): void;
}

/** What the hub knows of one connection. It leaves everything by one function. */
abstract class Session {
  readonly rooms = new Map<string, () => void>();
  abstract readonly user: string;
  abstract send(message: object): void;

  leaveAll(): void {
    for (const leave of this.rooms.values()) leave();
  }
}

class SocketSession extends Session {
  readonly user: string;
  readonly #socket: Socket;
  readonly #limit: number;
  /** Bytes given to the socket while it had something else to send. */
  #waiting = 0;

  constructor(socket: Socket, limit: number) {
    super();
    this.#socket = socket;
    this.#limit = limit;
    ({ user: this.user } = socket.handshake.auth as { user: string });
    socket.conn.on('drain', () => (this.#waiting = 0));
  }

  get #wire(): Wire {
    return (this.#socket.conn.transport as unknown as { socket: Wire }).socket;
  }

  override send(message: { text: string }): void {
    if (this.#waiting + this.#wire.bufferedAmount > this.#limit / 4) return;
    this.#waiting += Buffer.byteLength(message.text) + 64;
    this.#socket.emit('message', message);
    if (this.#waiting + this.#wire.bufferedAmount > this.#limit) {
      this.leaveAll();
      this.#wire.terminate();
    }
  }
}

class Room {
  #sessions = new Map<string, Session[]>();
  #log: { message: { seq: number; text: string; room: string }; diesAt: number }[] = [];
  #cutAt = 0;
  readonly #keep: number;

  constructor(cutAt: number, keep: number) {
    this.#cutAt = cutAt;
    this.#keep = keep;
  }

  get users(): string[] {
    return [...this.#sessions.keys()];
  }

  add(session: Session): void {
    const others = this.#sessions.get(session.user) ?? [];
    this.#sessions.set(session.user, [...others, session]);
  }

  delete(session: Session): void {
    const others = this.#sessions.get(session.user)?.filter((other) => other !== session) ?? [];
    if (others.length > 0) this.#sessions.set(session.user, others);
    else this.#sessions.delete(session.user);
  }

  say(message: { seq: number; text: string; room: string }, diesAt: number): void {
    this.#log = [...this.#log, { message, diesAt }];
    this.after(0);
    for (const session of [...this.#sessions.values()].flat()) session.send(message);
  }

  /** What is left of the messages after a number. */
  after(seq: number) {
    const old = this.#log.findLast(({ diesAt }, at) => diesAt <= Date.now() || at < this.#log.length - this.#keep);
    if (old) {
      this.#cutAt = old.message.seq;
      this.#log = this.#log.slice(this.#log.indexOf(old) + 1);
    }
    const left = this.#log.map(({ message }) => message).filter((message) => message.seq > seq);
    return { left, complete: seq >= this.#cutAt };
  }
}

/** Numbers are taken from the clock, so that they rise whatever was forgotten. */
export function createHub(
  io: Server,
  { maxBufferedBytes, keep, keepMs }: { maxBufferedBytes: number; keep: number; keepMs: number },
) {
  const rooms = new Map<string, Room>();
  const deadlines = new Map<string, number>();
  let newest = 0;
  let timer: NodeJS.Timeout | undefined;

  const nextNumber = () => (newest = Math.max(newest + 1, Date.now() * 1000));

  /** One timer for all rooms without members. */
  function forget(): void {
    timer = undefined;
    const now = Date.now();
    for (const [name, at] of deadlines) {
      if (at > now) continue;
      deadlines.delete(name);
      rooms.delete(name);
    }
    if (deadlines.size > 0) timer = setTimeout(forget, keepMs / 4).unref();
  }

  function use(name: string): Room {
    const room = rooms.get(name) ?? new Room(newest, keep);
    rooms.set(name, room);
    return room;
  }

  function rest(name: string, room: Room): void {
    if (room.users.length > 0) return void deadlines.delete(name);
    deadlines.set(name, Date.now() + keepMs);
    timer ??= setTimeout(forget, keepMs / 4).unref();
  }

  function join(session: Session, name: string, after: number | null) {
    const room = use(name);
    const { left, complete } = room.after(after ?? newest);
    const isFirstTime = !session.rooms.has(name);
    if (isFirstTime) {
      for (const message of left) session.send(message);
      room.add(session);
      session.rooms.set(name, () => {
        session.rooms.delete(name);
        room.delete(session);
        rest(name, room);
      });
    }
    rest(name, room);
    return { last: newest, complete };
  }

  io.use((socket, next) => {
    const session = new SocketSession(socket, maxBufferedBytes);
    socket.on('join', (...args: unknown[]) => {
      const [name, after, ack] = args;
      if (typeof name !== 'string' || !isPlace(after)) return;
      const answer = join(session, name, after);
      if (typeof ack === 'function') ack(answer);
    });
    socket.on('leave', (...args: unknown[]) => {
      const [name, ack] = args;
      if (typeof name === 'string') session.rooms.get(name)?.();
      if (typeof ack === 'function') ack();
    });
    socket.on('disconnecting', () => session.leaveAll());
    next();
  });

  return {
    publish(name: string, text: string) {
      const room = use(name);
      room.say({ room: name, seq: nextNumber(), text }, Date.now() + keepMs);
      rest(name, room);
    },
    members: (name: string) => rooms.get(name)?.users ?? [],
  };
}

function isPlace(after: unknown): after is number | null {
  return after === null || (Number.isInteger(after) && (after as number) >= 0);
}
