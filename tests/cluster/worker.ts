// What each worker process runs. It does what the judge orders over a connection of its own; the module hears nothing of that.
import cluster from 'node:cluster';
import { type ServerResponse, createServer } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/** What the judge orders. */
export type Order =
  /** Listens, as a worker does that has started. */
  | { readonly do: 'listen' }
  | { readonly do: 'exit'; readonly code: number }
  | { readonly do: 'die' }
  /** Ends by itself, as cluster.worker.kill() does it: closes its channel, and then exits. */
  | { readonly do: 'leave' }
  /** Never comes back to its event loop. */
  | { readonly do: 'freeze' }
  | { readonly do: 'answer'; readonly path: string }
  | Duty;

/** What the worker obeys at once, and then says that it has. */
export interface Duty {
  readonly do:
    | 'nothing'
    /** Does not exit when it is asked to stop. */
    | 'ignore'
    /** Answers no pings from now on, although it sends other messages. */
    | 'mute'
    /** Answers pings again. */
    | 'speak';
}

/** What the worker tells. */
export type Told =
  | { readonly told: 'started'; readonly pid: number; readonly port: string | undefined }
  | { readonly told: 'listens' | 'frozen' | 'obeyed' | 'asked' }
  | { readonly told: 'holds'; readonly path: string };

const address = JSON.parse('ADDRESS') as { host: string; port: number };
const control = connect({ ...address, noDelay: true });
const held = new Map<string, ServerResponse>();
let ignores = false;
let isMute = false;

function tell(told: Told, sent?: () => void): void {
  control.write(`${JSON.stringify(told)}\n`, sent);
}

const server = createServer(({ url = '' }, response) => {
  // A kept connection would be a request in flight that nobody sees.
  response.setHeader('connection', 'close');
  if (!url.startsWith('/held')) {
    response.end(String(process.pid));
    return;
  }
  held.set(url, response);
  tell({ told: 'holds', path: url });
});

// Otherwise Node, when it closes the server, also ends new connections whose request has not arrived yet. None is kept after its answer.
server.closeIdleConnections = () => undefined;

function obey(order: Order): void {
  if (order.do === 'listen') server.listen(Number(process.env['PORT']), '127.0.0.1', () => tell({ told: 'listens' }));
  if (order.do === 'exit') process.exit(order.code);
  if (order.do === 'die') process.kill(process.pid, 'SIGKILL');
  if (order.do === 'leave') cluster.worker?.kill();
  if (order.do === 'ignore') ignores = true;
  if (order.do === 'mute') isMute = true;
  if (order.do === 'speak') isMute = false;
  if (['nothing', 'ignore', 'mute', 'speak'].includes(order.do)) tell({ told: 'obeyed' });
  if (order.do === 'answer') held.get(order.path)?.end(String(process.pid));
  if (order.do === 'freeze')
    tell({ told: 'frozen' }, () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
}

function stop(): void {
  tell({ told: 'asked' });
  if (!ignores) control.unref();
}

control.on('error', () => process.exit(3));
control.on('close', () => process.exit(3));
createInterface({ input: control }).on('line', (line) => obey(JSON.parse(line) as Order));
// Only SIGKILL ends it against its will.
process.on('SIGTERM', () => undefined);
process.on('message', (message) => {
  if (message !== 'ping') process.send?.(message, () => undefined);
  else if (!isMute) process.send?.('pong', () => undefined);
});
// Node itself closes the server then, and its channel after the last request in flight.
process.on('internalMessage', (message: { act?: string }) => void (message.act === 'disconnect' && stop()));
process.on('disconnect', stop);
tell({ told: 'started', pid: process.pid, port: process.env['PORT'] });
