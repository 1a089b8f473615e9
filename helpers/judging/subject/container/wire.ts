import type { Socket } from 'node:net';
import { deserialize, serialize } from 'node:v8';

// What the runner and the agent in a container share. Only Node's own modules: the agent has no more than its own files.

/** The longest message that is taken: a module answers with 16 MiB at most. */
const longestBytes = 64 * 1024 * 1024;
const headBytes = 4;

/** Sends a value as one message: its length in four bytes, then V8's own serialization. */
export function say(socket: Socket, value: unknown): boolean {
  const body = serialize(value);
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(body.length);
  socket.cork();
  socket.write(head);
  const flows = socket.write(body);
  socket.uncork();
  return flows;
}

/** Gives each message that comes to `hear`; one that is too long, or none at all, ends the connection. */
export function listenTo(socket: Socket, hear: (value: unknown) => void): void {
  const parts: Buffer[] = [];
  let held = 0;
  socket.on('data', (chunk: Buffer) => {
    parts.push(chunk);
    held += chunk.length;
    try {
      for (let wanted = wantedBytes(parts, held); held >= wanted; wanted = wantedBytes(parts, held)) {
        const all = Buffer.concat(parts.splice(0), held);
        const rest = all.subarray(wanted);
        held = rest.length;
        if (held > 0) parts.push(rest);
        hear(deserialize(all.subarray(headBytes, wanted)));
      }
    } catch {
      socket.destroy();
    }
  });
  socket.on('error', () => undefined);
}

function wantedBytes(parts: Buffer[], held: number): number {
  if (held < headBytes) return Infinity;
  if (parts[0]!.length < headBytes) parts.splice(0, parts.length, Buffer.concat(parts, held));
  const bytes = parts[0]!.readUInt32BE();
  if (bytes > longestBytes) throw new Error('longer than any message is');
  return headBytes + bytes;
}

/**
 * Lets two connections be one: what comes on either goes out on the other, no faster than that one takes it. When one end
 * goes, the other is closed as it was: after its last bytes when it took leave, at once when it broke.
 */
export function join(one: Socket, other: Socket): void {
  oneWay(one, other);
  oneWay(other, one);
}

function oneWay(from: Socket, to: Socket): void {
  let tookLeave = false;
  from.pipe(to, { end: false });
  from.on('end', () => {
    tookLeave = true;
    to.destroySoon();
  });
  from.on('error', () => undefined);
  from.on('close', () => void (!tookLeave && to.destroy()));
}
