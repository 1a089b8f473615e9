import type { Server } from 'socket.io';

export interface HubOptions {
  /** A client for which more bytes wait in this process must be dropped. */
  readonly maxBufferedBytes: number;
  /** How many of its last messages a room keeps for clients that come back. */
  readonly keep: number;
  /** How long a room keeps a message. */
  readonly keepMs: number;
}

/** What the members of a room receive. */
export interface Message {
  readonly room: string;
  /** Rises within a room. */
  readonly seq: number;
  readonly text: string;
}

/** What the acknowledgment of `join` says. */
export interface Joined {
  /** The `after` to come back with before any message has come. */
  readonly last: number;
  /** Whether the client now gets every message after `after`. */
  readonly complete: boolean;
}

export interface Hub {
  /** Sends a text to all clients in a room. */
  publish(room: string, text: string): void;
  /** The users in a room. */
  members(room: string): string[];
}

interface Room {
  seq: number;
  users: string[];
  log: (Message & { at: number })[];
}

/** Rooms for the clients that connect to a Socket.IO server from now on. */
export function createHub(io: Server, { keep, keepMs }: HubOptions): Hub {
  const rooms: Record<string, Room> = {};

  io.on('connection', (socket) => {
    const { user } = socket.handshake.auth as { user: string };

    socket.on('join', (name: string, after: number | null, answer: (joined: Joined) => void) => {
      const room = (rooms[name] ??= { seq: 0, users: [], log: [] });
      void socket.join(name);
      room.users.push(user);
      if (after !== null) {
        for (const { seq, text } of room.log) if (seq >= after) socket.emit('message', { room: name, seq, text });
      }
      answer({ last: room.seq, complete: true });
    });

    socket.on('leave', (name: string, answer: () => void) => {
      void socket.leave(name);
      const room = rooms[name]!;
      room.users.splice(room.users.indexOf(user), 1);
      answer();
    });

    socket.on('disconnect', () => {
      for (const name of socket.rooms) {
        const room = rooms[name]!;
        room.users.splice(room.users.indexOf(user), 1);
      }
    });
  });

  return {
    publish(name, text) {
      const room = (rooms[name] ??= { seq: 0, users: [], log: [] });
      const message = { room: name, seq: ++room.seq, text };
      room.log.push({ ...message, at: Date.now() });
      room.log = room.log.filter(({ at }) => at > Date.now() - keepMs).slice(-keep);
      for (const socket of io.sockets.sockets.values()) {
        const payload = JSON.parse(JSON.stringify(message)) as Message;
        if (socket.rooms.has(name)) socket.emit('message', payload);
      }
    },
    members: (name) => rooms[name]?.users ?? [],
  };
}
