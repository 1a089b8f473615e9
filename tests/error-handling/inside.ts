import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type CollectingLogger, type LogEntry, collectingLogger } from '../../helpers/instruments/logger/logger.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/error-handling/error-handling.ts';

type Data = Readonly<Record<string, unknown>>;

/** What a route throws. A cause is thrown in the same words. */
export type Thrown =
  | {
      readonly api: readonly [status: number, title: string, options?: { type?: string; detail?: string }];
      readonly isSubclass?: boolean;
      readonly cause?: Thrown;
    }
  | {
      readonly message: string;
      readonly name?: string;
      readonly own?: Data;
      /** Own properties that JSON cannot write. */
      readonly isUnwritable?: boolean;
      readonly cause?: Thrown;
    }
  | { readonly value: unknown }
  /** Errors that cause each other, the first one thrown. The last one is caused by `last`, or by the error at `loopsTo`. */
  | { readonly chain: readonly string[]; readonly last?: unknown; readonly loopsTo?: number }
  | { readonly without: 'prototype' }
  | { readonly throwsOnRead: Getter };

type Getter = 'message' | 'stack' | 'name' | 'cause' | 'code' | 'details';

/** What a route does, step by step. */
export type Step =
  | { readonly log: string; readonly fields?: Data }
  /** Logs in a callback, and waits for that. `pool` is a callback passed through bind, which a step `callPool` calls. */
  | { readonly log: string; readonly by: 'timeout' | 'immediate' | 'pool' }
  | { readonly hold: true }
  | { readonly callPool: true }
  | { readonly head: Readonly<Record<string, string>>; readonly status: number }
  | { readonly write: string }
  | { readonly end: string | number }
  | { readonly read: true }
  | { readonly pipe: 'endless' | 'fails'; readonly message?: string; readonly code?: string }
  /** `again` is the very object that was thrown before. */
  | { readonly throw: Thrown | 'again' };

/** One request: what its route does, and how far it is. */
interface Play {
  readonly steps: readonly Step[];
  state: 'coming' | 'running' | 'paused' | 'ended';
  changed: PromiseWithResolvers<void>;
  go: () => void;
  isClosed: boolean;
}

interface Kept {
  apis?: Map<number, CollectingLogger<'info' | 'error'>>;
  plays?: Play[];
  pool?: (() => void)[];
  /** What was wrong with callbacks that went through bind. */
  faultsOfBind?: string[];
  watched?: (() => string[])[];
  lastThrown?: unknown;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** How often the event loop turns before a module is taken to have done what follows from a request's end. */
const settleTurns = 20;
/** For what never comes. */
const closingLimitMs = 2_000;
const pieceBytes = 64 * 1024;

/** Opens an API, whose logger throws if told so. Returns its port. */
export async function openApi({ kata, args: loggerThrows, kept }: In<boolean>): Promise<number> {
  Object.assign(kept, { pool: [], faultsOfBind: [], watched: [] });
  const collecting = collectingLogger(['info', 'error'], () => {
    if (loggerThrows) throw new Error('The logger throws.');
  });
  const server = kata.createApi({
    logger: collecting.logger,
    routes: {
      'GET /async': async (request, response) => await playAll({ kata, kept, request, response }),
      'POST /async': async (request, response) => await playAll({ kata, kept, request, response }),
      'GET /sync': (request, response) => playAtOnce({ kata, kept, request, response }),
    },
  });
  // The default of 5 s can pass between two requests on one connection when the machine is busy.
  server.keepAliveTimeout = 3_600_000;
  server.prependListener('request', (request, response) => {
    const play = playOf(kept, request);
    if (play) response.once('close', () => (play.isClosed = true));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  (kept.apis ??= new Map()).set(port, collecting);
  return port;
}

/** Prepares requests. Returns the number of the first one; it goes into the query. */
export function prepare({ args: plays, kept }: In<readonly (readonly Step[])[]>): number {
  kept.plays ??= [];
  const first = kept.plays.length;
  for (const steps of plays)
    kept.plays.push({
      steps,
      state: 'coming',
      changed: Promise.withResolvers(),
      go: () => undefined,
      isClosed: false,
    });
  return first;
}

/** Waits until the routes of these requests have begun, or until they are held; in any case until they have ended. */
export async function reaches({
  args: { numbers, state },
  kept,
}: In<{ readonly numbers: readonly number[]; readonly state: 'running' | 'paused' }>): Promise<void> {
  for (const number of numbers)
    for (const play = kept.plays![number]!; play.state !== state && play.state !== 'ended';) await play.changed.promise;
}

/** Waits until the response of this request has closed and its route has ended. */
export async function closeOf({ args: number, kept, tools }: In<number>): Promise<void> {
  const play = kept.plays![number]!;
  while (play.state !== 'ended' || !play.isClosed) await tools.turns(1);
  await tools.turns(settleTurns);
}

/** Whether the response of this request, whose route has ended, closes within a limit. */
export async function closes({ args: number, kept, tools }: In<number>): Promise<boolean> {
  const play = kept.plays![number]!;
  for (const begin = performance.now(); !play.isClosed && performance.now() - begin < closingLimitMs;)
    await tools.turns(1);
  return play.isClosed;
}

/** Lets these requests go on, one after the other, and waits until each has done what it can. */
export async function release({ args: numbers, kept, tools }: In<readonly number[]>): Promise<void> {
  for (const number of numbers) kept.plays![number]!.go();
  await tools.turns(settleTurns);
}

/** What an API has logged since it had logged `from` lines. */
export async function entriesSince({
  args: { port, from },
  kept,
  tools,
}: In<{ readonly port: number; readonly from: number }>): Promise<LogEntry[]> {
  await tools.turns(settleTurns);
  return kept.apis!.get(port)!.entries.slice(from);
}

/** How many lines an API has logged. */
export function countOfEntries({ args: port, kept }: In<number>): number {
  return kept.apis!.get(port)!.entries.length;
}

/** The same as `entriesSince`, with only the ids and the messages. The message of an error line is that of its error. */
export function idsSince({
  args: { port, from },
  kept,
}: In<{ readonly port: number; readonly from: number }>): [id: unknown, message: unknown][] {
  return kept
    .apis!.get(port)!
    .entries.slice(from)
    .map(({ line }) => {
      const { requestId, message, error } = (line ?? {}) as Partial<Kata.Line>;
      return [requestId, error ? error.message : message];
    });
}

/** How the objects have changed that were given to the module. */
export function changesOfObjects({ kept }: In): string[] {
  return (kept.watched ?? []).flatMap((change) => change());
}

/** What was wrong with callbacks that went through bind. */
export function faultsOfBind({ kept }: In): string[] {
  return kept.faultsOfBind ?? [];
}

interface Stage {
  readonly kata: typeof Kata;
  readonly kept: Kept;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

function playOf({ plays }: Kept, { url }: IncomingMessage): Play | undefined {
  return plays?.[Number(url?.split('?')[1])];
}

function become(play: Play, state: Play['state']): void {
  play.state = state;
  play.changed.resolve();
  play.changed = Promise.withResolvers();
}

async function playAll(stage: Stage): Promise<void> {
  const play = playOf(stage.kept, stage.request)!;
  become(play, 'running');
  try {
    for (const step of play.steps) await act(step, stage, play);
    if (!stage.response.writableEnded) stage.response.end('done');
  } finally {
    become(play, 'ended');
  }
}

function playAtOnce(stage: Stage): void {
  const play = playOf(stage.kept, stage.request)!;
  become(play, 'running');
  try {
    for (const step of play.steps) void act(step, stage, play);
    stage.response.end('done');
  } finally {
    become(play, 'ended');
  }
}

function act(step: Step, { kata, kept, request, response }: Stage, play: Play): Promise<unknown> | void {
  if ('by' in step) return logBy(step.by, step.log, kata, kept, play);
  if ('log' in step) return logWith(step.fields, step.log, kata, kept);
  if ('hold' in step) return pause(play);
  if ('callPool' in step) return (kept.pool ?? []).splice(0).forEach((callback) => callback());
  if ('head' in step) {
    response.statusCode = step.status;
    for (const [name, value] of Object.entries(step.head)) response.setHeader(name, value);
  } else if ('write' in step) response.write(step.write);
  else if ('end' in step) response.end(typeof step.end === 'number' ? Buffer.alloc(step.end, 'x') : step.end);
  else if ('read' in step) return request.toArray();
  else if ('pipe' in step) return pipeline(Readable.from(pieces(step.message, step.code)), response);
  else {
    if (step.throw !== 'again') kept.lastThrown = watched(make(step.throw, kata), kept);
    throw kept.lastThrown;
  }
}

/** Endless, or with one piece and then an error. */
async function* pieces(message?: string, code?: string): AsyncGenerator<Buffer> {
  for (;;) {
    yield Buffer.alloc(pieceBytes, 'x');
    if (message !== undefined) throw Object.assign(new Error(message), code !== undefined && { code });
  }
}

/** Holds the route until `release` or the pool lets it go on. */
function pause(play: Play): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  play.go = () => {
    become(play, 'running');
    resolve();
  };
  become(play, 'paused');
  return promise;
}

function logBy(
  by: 'timeout' | 'immediate' | 'pool',
  message: string,
  kata: typeof Kata,
  kept: Kept,
  play: Play,
): Promise<void> {
  if (by !== 'pool') {
    const { promise, resolve } = Promise.withResolvers<void>();
    const callback = () => {
      kata.log(message);
      resolve();
    };
    if (by === 'timeout') setTimeout(callback, 1);
    else setImmediate(callback);
    return promise;
  }
  const held = pause(play);
  const callback = kata.bind((left: number, right: number) => {
    kata.log(message);
    return left - right;
  });
  (kept.pool ??= []).push(() => {
    const result: unknown = callback(9, 7);
    if (result !== 2) (kept.faultsOfBind ??= []).push(`a callback got 9 and 7, and its caller got ${String(result)}`);
    play.go();
  });
  return held;
}

function logWith(fields: Data | undefined, message: string, kata: typeof Kata, kept: Kept): void {
  if (fields) kata.log(message, watched(fields, kept));
  else kata.log(message);
}

/** Remembers how an object looks that the module gets. */
function watched<Value>(value: Value, kept: Kept): Value {
  const before = jsonOf(value);
  (kept.watched ??= []).push(() => (jsonOf(value) === before ? [] : [`${before} became ${jsonOf(value)}`]));
  return value;
}

/** An error's own properties included, its getters excluded. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return '';
  }
}

function make(thrown: Thrown, kata: typeof Kata): unknown {
  if ('value' in thrown) return thrown.value;
  if ('without' in thrown) return Object.create(null);
  if ('throwsOnRead' in thrown) return unreadable(thrown.throwsOnRead);
  if ('chain' in thrown) return makeChain(thrown);
  const cause = thrown.cause && { cause: make(thrown.cause, kata) };
  if ('api' in thrown) {
    const [status, title, options] = thrown.api;
    class Special extends kata.ApiError {
      constructor() {
        super(status, title, { ...options, ...cause });
      }
    }
    return thrown.isSubclass ? new Special() : new kata.ApiError(status, title, { ...options, ...cause });
  }
  const { message, name, own, isUnwritable } = thrown;
  const error = Object.assign(new Error(message, cause), own, name !== undefined && { name });
  return isUnwritable ? Object.assign(error, { amount: 10n, self: error }) : error;
}

function makeChain({ chain, last, loopsTo }: Extract<Thrown, { chain: unknown }>): Error {
  const errors = chain.map((message) => new Error(message));
  for (const [at, error] of errors.entries()) {
    const isLast = at === errors.length - 1;
    const cause = !isLast ? errors[at + 1] : loopsTo === undefined ? last : errors[loopsTo];
    if (cause !== undefined) error.cause = cause;
  }
  return errors[0]!;
}

/** An error of which one property throws when it is read. Those that no error has by itself can be enumerated. */
function unreadable(name: Getter): Error {
  return Object.defineProperty(new Error('unreadable'), name, {
    enumerable: name === 'code' || name === 'details',
    get() {
      throw new Error(`The getter of ${name} throws.`);
    },
  });
}
