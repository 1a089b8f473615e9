import crypto, { type ScryptOptions } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/auth-api/auth-api.ts';

export interface AppSettings {
  readonly secret: string;
  readonly nowMs: number;
  readonly users: readonly Kata.User[];
  /** Whether log lines are dropped, for measurements of memory. */
  readonly isQuiet?: boolean;
  /** A name and an id whose lookup rejects, and with which message. */
  readonly broken?: { readonly key: string; readonly message: string };
}

/** One run of scrypt. */
export interface ScryptRun {
  /** N, r and p. */
  readonly cost: string;
  /** Whether all requests had been answered before it was done. */
  readonly isLate: boolean;
}

/** A request that has arrived. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface App {
  readonly server: Server;
  readonly users: Map<string, Kata.User>;
  readonly log: string[];
  nowMs: number;
  /** All requests that have arrived. */
  arrived: number;
  /** Those that are not answered yet. */
  readonly unanswered: Set<Exchange>;
  /** Requests that the module does not get yet. Undefined: it gets them as they arrive. */
  held: Exchange[] | undefined;
  /** How many of the next lookups by id wait for `releaseLookups`. */
  lookupsToHold: number;
  readonly waitingLookups: PromiseWithResolvers<void>[];
  /** The latest connection. */
  socket: Socket | undefined;
}

interface Kept {
  apps?: Record<number, App>;
}

type In<Args> = Inside<typeof Kata, Args, Kept>;
type Tools = In<undefined>['tools'];

/** So many turns of the event loop are enough for a module that waits for nothing but its lookups. */
const settleTurns = 50;
/** So many turns late scrypt calls back. An answer that does not wait for it is written by then. */
const scryptTurns = 10;
const { setImmediate } = globalThis;
const { randomBytes } = crypto;
/** Of the latest runs of scrypt so many are kept. */
const scryptsKept = 8;
let scrypts: ScryptRun[] = [];
const apps = new Set<App>();
const derivedKeys = new Map<string, Buffer>();

inSubject(() => {
  // V8 allocates what it learns about a function at its first call, not at its hundredth: the heap is steady soon.
  setFlagsFromString('--no-lazy-feedback-allocation');
  watchScrypt();
  Math.random = () => 0.5;
});

/** Creates an app and lets it listen; returns its port. */
export async function startApp({ kata, args, kept }: In<AppSettings>): Promise<number> {
  const { secret, nowMs, users, isQuiet = false, broken } = args;
  const find = async (key: string, isIt: (user: Kata.User) => boolean) => {
    await new Promise((resolve) => setImmediate(resolve));
    if (key === broken?.key) throw new Error(broken.message);
    const user = [...app.users.values()].find(isIt);
    return user && { ...user };
  };
  const log: string[] = [];
  const server = kata.createApp({
    users: {
      findByName: (name) => find(name, (user) => user.name === name),
      async findById(id) {
        if (app.lookupsToHold > 0) {
          app.lookupsToHold--;
          const waiting = Promise.withResolvers<void>();
          app.waitingLookups.push(waiting);
          await waiting.promise;
        }
        return await find(id, (user) => user.id === id);
      },
    },
    secret,
    clock: () => app.nowMs,
    log: (line) => void (isQuiet || log.push(String(line))),
  });
  const app: App = {
    server,
    users: new Map(users.map((user) => [user.id, user])),
    log,
    nowMs,
    arrived: 0,
    unanswered: new Set(),
    held: undefined,
    lookupsToHold: 0,
    waitingLookups: [],
    socket: undefined,
  };
  watchRequests(app);
  // The default of 5 s can pass between two requests on one connection when the machine is busy.
  server.keepAliveTimeout = 3_600_000;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  kept.apps = { ...kept.apps, [port]: app };
  apps.add(app);
  return port;
}

/** Moves the clock of an app. */
export function setClock({ args: { port, nowMs }, kept }: In<{ port: number; nowMs: number }>): void {
  kept.apps![port]!.nowMs = nowMs;
}

export function removeUser({ args: { port, id }, kept }: In<{ port: number; id: string }>): void {
  kept.apps![port]!.users.delete(id);
}

/** The lines that the app has logged, when all requests are answered and the module has had its turns. */
export async function readLog({ args: port, kept, tools }: In<number>): Promise<string[]> {
  await settle(tools);
  return kept.apps![port]!.log;
}

/** The runs of scrypt since this was asked the last time, in any app. */
export async function takeScrypts({ tools }: In<undefined>): Promise<ScryptRun[]> {
  await settle(tools);
  const taken = scrypts;
  scrypts = [];
  return taken;
}

/** From now on the module gets no request, until `handOver`. */
export function holdRequests({ args: port, kept }: In<number>): void {
  kept.apps![port]!.held = [];
}

/**
 * Waits until this many requests have arrived whole, and hands them to the module in one turn, while all lookups by id wait. Lets
 * the lookups go on, the latest first, when the module has had its turns.
 */
export async function handOver({ args: { port, count }, kept, tools }: In<{ port: number; count: number }>) {
  const app = kept.apps![port]!;
  while (app.held!.filter(({ request }) => request.complete).length < count) await tools.turns(1);
  const held = app.held!;
  app.held = undefined;
  app.lookupsToHold = Infinity;
  for (const { request, response } of held) app.server.emit('request', request, response);
  await settle(tools);
  releaseLookups(app);
}

/** Makes the next lookup by id wait for `letGo`. */
export function holdNextLookup({ args: port, kept }: In<number>): void {
  kept.apps![port]!.lookupsToHold = 1;
}

/** Waits until this many requests more have arrived and the module has had its turns. */
export async function untilArrived({
  args: { port, count },
  kept,
  tools,
}: In<{ port: number; count: number }>): Promise<void> {
  while (kept.apps![port]!.arrived < count) await tools.turns(1);
  await settle(tools);
}

export function requestsArrived({ args: port, kept }: In<number>): number {
  return kept.apps![port]!.arrived;
}

/** Whether a request waits for its answer. */
export function isUnanswered({ args: port, kept }: In<number>): boolean {
  return [...kept.apps![port]!.unanswered].some(({ response }) => !response.writableEnded);
}

/** Lets the lookup go on that was held. */
export function letGo({ args: port, kept }: In<number>): void {
  releaseLookups(kept.apps![port]!);
}

/** Makes the lookup reject that was held. */
export function letFail({ args: port, kept }: In<number>): void {
  for (const { reject } of kept.apps![port]!.waitingLookups.splice(0)) reject(new Error('no connection'));
}

/** How many bytes the server has read from its latest connection, when the module has had its turns. */
export async function bytesOfUpload({ args: port, kept, tools }: In<number>): Promise<number> {
  await settle(tools);
  return kept.apps![port]!.socket?.bytesRead ?? 0;
}

/** Ends all apps. */
export function closeApps({ kept }: In<undefined>): void {
  for (const { server } of Object.values(kept.apps ?? {})) {
    server.closeAllConnections();
    server.close();
  }
  kept.apps = {};
  apps.clear();
}

function releaseLookups(app: App): void {
  app.lookupsToHold = 0;
  for (const { resolve } of app.waitingLookups.splice(0).toReversed()) resolve();
}

/** Sees each request before the module does, and holds it where it is told to. */
function watchRequests(app: App): void {
  const { server } = app;
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
  const seen = new WeakSet<object>();
  server.on('connection', (socket: Socket) => (app.socket = socket));
  server.emit = ((event: string, ...args: unknown[]) => {
    if (event !== 'request') return emit(event, ...args);
    const [request, response] = args as [IncomingMessage, ServerResponse];
    if (!seen.has(request)) {
      seen.add(request);
      app.arrived++;
      const exchange = { request, response };
      app.unanswered.add(exchange);
      response.once('close', () => app.unanswered.delete(exchange));
      if (app.held) return app.held.push(exchange) > 0;
    }
    return emit(event, request, response);
  }) as typeof server.emit;
}

/** Whether each request that has arrived is answered. */
function isAllAnswered(): boolean {
  return [...apps].every(({ unanswered }) => [...unanswered].every(({ response }) => response.writableEnded));
}

/**
 * Records each run of scrypt. A key that was derived once is not derived again, so that a judge may log in often. What an asynchronous
 * scrypt calls back comes late enough for an answer that does not wait.
 */
function watchScrypt(): void {
  const { scrypt, scryptSync } = crypto;
  const keyOf = (password: crypto.BinaryLike, salt: crypto.BinaryLike, keyBytes: number, options: ScryptOptions) => {
    const text = [password, salt].map((value) => Buffer.from(value as string).toString('hex'));
    return [...text, keyBytes, costOf(options)].join();
  };
  crypto.scryptSync = (password, salt, keyBytes, options = {}) => {
    const name = keyOf(password, salt, keyBytes, options);
    const key = derivedKeys.get(name) ?? scryptSync(password, salt, keyBytes, options);
    derivedKeys.set(name, key);
    record(options);
    return Buffer.from(key);
  };
  crypto.scrypt = ((...args: Parameters<typeof scrypt>) => {
    const [password, salt, keyBytes, optionsOrDone, maybeDone] = args as unknown[];
    const options = (maybeDone === undefined ? {} : optionsOrDone) as ScryptOptions;
    const done = (maybeDone ?? optionsOrDone) as (error: Error | null, key?: Buffer) => void;
    const given = [password as string, salt as string, keyBytes as number, options] as const;
    const name = keyOf(...given);
    const finish = (error: Error | null, key?: Buffer) => {
      if (key) derivedKeys.set(name, key);
      afterTurns(scryptTurns, () => {
        record(options);
        done(error, key && Buffer.from(key));
      });
    };
    const known = derivedKeys.get(name);
    if (known) finish(null, known);
    else scrypt(...given, finish);
  }) as typeof scrypt;
}

function record(options: ScryptOptions): void {
  scrypts.push({ cost: costOf(options), isLate: isAllAnswered() });
  if (scrypts.length > scryptsKept) scrypts.shift();
}

/** Gives the module its turns, also after work of its own in Node's thread pool. */
async function settle({ turns }: Tools): Promise<void> {
  for (let round = 0; round < 3; round++) {
    // More than the pool has threads.
    await Promise.all(Array.from({ length: 8 }, () => new Promise((resolve) => randomBytes(1, resolve))));
    await turns(settleTurns);
  }
}

function afterTurns(count: number, run: () => void): void {
  if (count === 0) run();
  else setImmediate(() => afterTurns(count - 1, run));
}

function costOf(options: ScryptOptions): string {
  const N = options.N ?? options.cost ?? 2 ** 14;
  const r = options.r ?? options.blockSize ?? 8;
  const p = options.p ?? options.parallelization ?? 1;
  return `N ${N}, r ${r}, p ${p}`;
}
