// The first process of a subject's container. It starts the subject, carries what the two say to each other, opens ways
// for connections in and out, for the container has no network, and looks at the subject's process from outside it.
import { spawn } from 'node:child_process';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { join as joinPath } from 'node:path';
import { fromOutside } from '../../../foundations/processes/proc.ts';
import { readFrames, writeFrame } from '../inside/frames.js';
import type { FromAgent, ToAgent } from './container.ts';
import { join, listenTo, say } from './wire.ts';

const [, , folder = '', longest = ''] = process.argv;
const longestFrameBytes = Number(longest);
const control = connect(joinPath(folder, 'control'));
const tell = (message: FromAgent) => say(control, message);
let subject: ReturnType<typeof start> | undefined;

control.on('close', () => process.exit());
listenTo(control, (message) => void obey(message as ToAgent));
await listen(createServer(enter), joinPath(folder, 'in'));
tell({ kind: 'here' });

async function obey(order: ToAgent): Promise<void> {
  if (order.kind === 'start') {
    subject = start(order.args, order.env);
  } else if (order.kind === 'frame') {
    const channel = subject?.stdio[3] as Socket | undefined;
    if (channel?.writable) writeFrame(channel, order.frame);
  } else if (order.kind === 'signal') {
    subject?.kill(order.name);
  } else {
    try {
      tell({ kind: 'answer', id: order.id, value: await answer(order) });
    } catch (error) {
      tell({ kind: 'answer', id: order.id, error: String(error) });
    }
  }
}

async function answer(order: Extract<ToAgent, { id: number }>): Promise<unknown> {
  if (order.kind === 'from outside') {
    return await (fromOutside[order.name] as (...all: unknown[]) => Promise<unknown>)(subject?.pid, ...order.args);
  }
  const way = createServer({ noDelay: true }, (inner) => join(inner, connect(joinPath(folder, order.way))));
  await listen(way, { host: '127.0.0.1', port: 0 });
  return (way.address() as AddressInfo).port;
}

function start(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  for (const kind of ['stdout', 'stderr'] as const) {
    const stream = child[kind]!;
    stream.on('data', (chunk: Buffer) => {
      if (tell({ kind, chunk })) return;
      stream.pause();
      control.once('drain', () => stream.resume());
    });
  }
  readFrames(
    child.stdio[3] as Socket,
    longestFrameBytes,
    (frame) => tell({ kind: 'frame', frame }),
    () => tell({ kind: 'fault' }),
  );
  child.on('error', (error) => tell({ kind: 'failed', why: error.message }));
  child.on('close', (code, signal) => tell({ kind: 'closed', code, signal }));
  return child;
}

/** A connection from outside says in its first line for which port it is. */
function enter(outer: Socket): void {
  let head = Buffer.alloc(0);
  const read = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\n');
    if (end === -1) return;
    outer.off('data', read).pause();
    if (end + 1 < head.length) outer.unshift(head.subarray(end + 1));
    join(outer, connect({ host: '127.0.0.1', port: Number(head.subarray(0, end)), noDelay: true }));
  };
  outer.on('data', read);
  outer.on('error', () => undefined);
}

async function listen(server: Server, where: string | { host: string; port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(where, resolve));
}
