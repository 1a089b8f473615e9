import type { Server, Socket } from 'socket.io';
import type * as Starter from '../../katas/socket-load/socket-load.ts';

interface Kept extends Starter.Message {
  readonly at: number;
}

interface Room {
  readonly name: string;
  /** The connections of each user in the room. */
  readonly users: Map<string, Set<Socket>>;
  /** The last messages, the oldest first. */
  log: Kept[];
  /** The number of the newest message that is no longer kept. */
  lost: number;
  /** Ends a room that has no members, when nothing that it keeps is worth keeping. */
  end: NodeJS.Timeout | undefined;
}

/** Rooms for the clients that connect to a Socket.IO server from now on. */
export function createHub(io: Server, { maxBufferedBytes, keep, keepMs }: Starter.HubOptions): Starter.Hub {
  const rooms = new Map<string, Room>();
  /** One counter for all rooms: a room that was forgotten and comes again never repeats a number. */
  let seq = 0;
  /** The newest number that a forgotten room may have used. */
  let forgotten = 0;

  function open(name: string): Room {
    let room = rooms.get(name);
    if (!room) {
      room = { name, users: new Map(), log: [], lost: forgotten, end: undefined };
      rooms.set(name, room);
    }
    return room;
  }

  /** Forgets the room after keepMs, unless something happens in it before. */
  function endLater(room: Room): void {
    clearTimeout(room.end);
    if (room.users.size > 0) return;
    room.end = setTimeout(() => {
      rooms.delete(room.name);
      forgotten = seq;
    }, keepMs).unref();
  }

  function dropIfSlow(socket: Socket): void {
    if (waitingBytes(socket) > maxBufferedBytes) drop(socket);
  }

  function forgetOld(room: Room): void {
    const tooOld = Date.now() - keepMs;
    const first = room.log.findIndex(({ at }) => at > tooOld);
    const gone = Math.max(first === -1 ? room.log.length : first, room.log.length - keep);
    if (gone === 0) return;
    room.lost = room.log[gone - 1]!.seq;
    room.log = room.log.slice(gone);
  }

  io.on('connection', (socket) => {
    const user = String((socket.handshake.auth as { user?: unknown }).user);
    const joined = new Set<Room>();
    countQueued(socket);

    function leave(room: Room): void {
      if (!joined.delete(room)) return;
      void socket.leave(channel(room.name));
      const sockets = room.users.get(user);
      sockets?.delete(socket);
      if (sockets?.size === 0) room.users.delete(user);
      endLater(room);
    }

    socket.on('join', (name: unknown, after: unknown, answer: unknown) => {
      const from = after === null ? seq : after;
      if (typeof name !== 'string' || typeof from !== 'number' || !Number.isSafeInteger(from) || from < 0) return;
      const room = open(name);
      forgetOld(room);
      if (!joined.has(room)) {
        for (const { at: _at, ...message } of room.log) if (message.seq > from) socket.emit('message', message);
        joined.add(room);
        void socket.join(channel(name));
        const sockets = room.users.get(user) ?? new Set();
        room.users.set(user, sockets.add(socket));
        endLater(room);
      }
      if (typeof answer === 'function') answer({ last: seq, complete: from >= room.lost } satisfies Starter.Joined);
      dropIfSlow(socket);
    });

    socket.on('leave', (name: unknown, answer: unknown) => {
      const room = typeof name === 'string' ? rooms.get(name) : undefined;
      if (room) leave(room);
      if (typeof answer === 'function') answer();
    });

    socket.on('disconnect', () => {
      for (const room of joined) leave(room);
    });
  });

  return {
    publish(name, text) {
      const room = open(name);
      const message = { room: name, seq: ++seq, text };
      room.log.push({ ...message, at: Date.now() });
      forgetOld(room);
      io.to(channel(name)).emit('message', message);
      for (const sockets of room.users.values()) {
        for (const socket of sockets) dropIfSlow(socket);
      }
      endLater(room);
    },
    members: (name) => [...(rooms.get(name)?.users.keys() ?? [])],
  };
}

/** Socket.IO has a room of each socket's own, named like its id. No name of a room of ours may be such an id. */
function channel(name: string): string {
  return `room ${name}`;
}

interface WebSocketLike {
  readonly bufferedAmount: number;
  terminate(): void;
}

const queuedBytes = new WeakMap<Socket, number>();

/** Counts what Engine.IO queues while the WebSocket is still busy with an earlier write. */
function countQueued(socket: Socket): void {
  socket.conn.on('packetCreate', ({ data }: { data?: string }) => {
    queuedBytes.set(socket, (queuedBytes.get(socket) ?? 0) + Buffer.byteLength(data ?? ''));
  });
  socket.conn.on('flush', () => queuedBytes.set(socket, 0));
}

function webSocketOf(socket: Socket): WebSocketLike {
  return (socket.conn.transport as unknown as { socket: WebSocketLike }).socket;
}

function waitingBytes(socket: Socket): number {
  return (queuedBytes.get(socket) ?? 0) + webSocketOf(socket).bufferedAmount;
}

/** A goodbye would wait behind all that the client does not read. */
function drop(socket: Socket): void {
  const webSocket = webSocketOf(socket);
  socket.disconnect();
  webSocket.terminate();
}

({ createHub }) satisfies typeof Starter;
