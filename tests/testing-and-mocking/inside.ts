import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import net from 'node:net';
import { compileFunction } from 'node:vm';
import * as undici from 'undici';
import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type { CheckoutOptions, CreateCheckout, Order, Receipt } from '../../katas/testing-and-mocking/checkout.ts';
import type * as Kata from '../../katas/testing-and-mocking/testing-and-mocking.ts';

/** One run of the suite: the module under test as CommonJS, and the order of the tests. */
export interface RunOrder {
  readonly source: string;
  /** In which order the tests run, by their numbers from 0; by default as they were added. */
  readonly order?: readonly number[];
}

/** What came of a test. */
interface TestReport {
  readonly name: string;
  /** Why it failed. */
  readonly fault?: string;
}

/** What came of a run. */
export interface RunReport {
  readonly tests: readonly TestReport[];
  /** Why `suite` itself failed. */
  readonly fault?: string;
  /** How many calls of `pay` in a test had a receipt. */
  readonly receipts: number;
  /** Sockets that something wanted to open, such as `a connection to gateway.example:443`. */
  readonly sockets: readonly string[];
  /** What the run left behind, such as `a timer of 1000 ms`. */
  readonly left: readonly string[];
}

type Turns = (count: number) => Promise<void>;
type Pay = ReturnType<CreateCheckout>['pay'];
type RequestOptions = NonNullable<Parameters<typeof undici.request>[1]>;
/** A module sees the time as it was at the latest call or answer. */
interface Clock {
  ms: number;
  read(): void;
}
type NodeTimer = NodeJS.Timeout & { _idleTimeout: number; _repeat: unknown; _destroyed: boolean };

const { request, getGlobalDispatcher } = undici;
const turn = setImmediate;
const activeResources = process.getActiveResourcesInfo.bind(process);
/** So many turns without a call, an answer, a timer or a file: what a test awaits never happens. */
const idleTurns = 10_000;
/** A timer of less than this may still wait when the last test has ended. */
const shortMs = 100;
const longestFault = 300;

/** Moves whenever something happens that a test may wait for. */
let progress = 0;
let isInTest = false;
let receipts = 0;
let sockets: string[] = [];
const timers = new Set<NodeTimer>();

inSubject(() => {
  // Snapshots and profiles show the text of the module under test, or where its functions are. An import would give a copy of v8.
  const v8 = process.getBuiltinModule('node:v8');
  for (const name of Object.keys(v8).filter((key) => /^(?:get|write|start)\w*(?:Snapshot|Profile)$/.test(key)))
    Object.defineProperty(v8, name, {
      value: () => {
        throw new Error(`v8.${name} is not open to a suite`);
      },
    });
  net.Socket.prototype.connect = function connect(this: net.Socket, ...args: unknown[]) {
    refuse(this, 'a connection to', args);
    return this;
  } as typeof net.Socket.prototype.connect;
  net.Server.prototype.listen = function listen(this: net.Server, ...args: unknown[]) {
    refuse(this, 'a server at', args);
    return this;
  } as typeof net.Server.prototype.listen;
  createHook({
    init: (_id, type, _trigger, resource) => void (type === 'Timeout' && timers.add(resource as NodeTimer)),
  }).enable();
  // A test that awaits too little has failed too late. It must not end the process.
  process.on('unhandledRejection', () => undefined);
});

/** Runs the suite on these modules, one after the other. */
export async function runSuite({ kata, args, tools }: Inside<typeof Kata, readonly RunOrder[]>): Promise<RunReport[]> {
  const reports: RunReport[] = [];
  for (const one of args) reports.push(await runOnce(kata, one, tools));
  return reports;
}

async function runOnce(kata: typeof Kata, { source, order }: RunOrder, tools: Inside<typeof Kata>['tools']) {
  [receipts, sockets] = [0, []];
  timers.clear();
  const before = surroundings();
  const added: { name: string; run: () => unknown }[] = [];
  const test = (name: string, run: () => unknown) => void added.push({ name: String(name), run });
  const fault = await faultOf(() => kata.suite(instrumented(source), { test, assert }), tools);
  const tests: TestReport[] = [];
  for (const number of order ?? added.keys()) {
    const { name, run } = added[number] ?? {
      name: 'a test that was not added again',
      run: () => assert.fail('missing'),
    };
    isInTest = true;
    const failure = await faultOf(run, tools);
    isInTest = false;
    tests.push({ name, ...(failure !== undefined && { fault: failure }) });
  }
  const isStuck = tests.some((one) => one.fault === neverEnded);
  // A test that waits forever cannot clean up.
  const left = isStuck ? [] : await leftBehind(before, tools.turns);
  return { tests, receipts, sockets, left, ...(fault !== undefined && { fault }) };
}

const neverEnded = 'it never ends: it waits, and nothing is left that could happen';

/** Why a test or the suite fails. */
async function faultOf(run: () => unknown, { turns }: Inside<typeof Kata>['tools']): Promise<string | undefined> {
  let fault: string | undefined;
  let isOver = false;
  const activeBefore = activeCount();
  void (async () => await run())()
    .catch((error: unknown) => (fault = inWords(error)))
    .then(() => (isOver = true));
  for (let [idle, last] = [0, progress]; !isOver;) {
    await turns(1);
    idle = progress === last && activeCount() <= activeBefore ? idle + 1 : 0;
    last = progress;
    if (idle > idleTurns) return neverEnded;
  }
  return fault;
}

/** What the event loop waits for. */
function activeCount(): number {
  return activeResources().filter((kind) => kind !== 'Immediate').length;
}

/**
 * A module under test behind functions that are the same for all modules. Its own functions, its errors, and the frames of its calls
 * never reach the suite: by them a suite could tell which module it has, without testing it. So the clock is read here, and no object of the
 * suite's reaches the module.
 */
function instrumented(source: string): CreateCheckout {
  const evaluate = compileFunction(source, ['module', 'exports', 'require'], { filename: 'checkout.js' });
  return function createCheckout({ gateway, dispatcher, now = Date.now }: CheckoutOptions) {
    const clock: Clock = { ms: Number(now()), read: () => void (clock.ms = Number(now())) };
    const module = { exports: {} as { createCheckout: CreateCheckout } };
    evaluate(module, module.exports, requireFor(clock, dispatcher));
    const checkout = module.exports.createCheckout({ gateway: String(gateway), now: () => clock.ms });
    const pay: Pay = async (order) => await payOf(checkout, clock, order);
    return Object.freeze({ pay });
  };
}

/**
 * What a module under test imports: undici's `request` with the dispatcher that the suite has chosen. The suite's code runs in a turn and in
 * microtasks of its own there: V8 adds the functions to a stack trace that wait for the latest microtask.
 */
function requireFor(clock: Clock, dispatcher: undici.Dispatcher | undefined) {
  const requestAside = async (url: string | URL, options: RequestOptions) => {
    const { promise, resolve, reject } = Promise.withResolvers<{ statusCode: number; text: string }>();
    const askAside = async () => {
      await Promise.resolve();
      progress++;
      const settle = await ask(url, { ...options, ...(dispatcher && { dispatcher }) }).then(
        (answer) => () => resolve(answer),
        (error: unknown) => () => reject(error),
      );
      progress++;
      clock.read();
      settle();
    };
    queueMicrotask(() => undefined);
    turn(() => void askAside());
    const { statusCode, text } = await promise;
    const body = {
      text: async () => text,
      json: async () => JSON.parse(text) as unknown,
      dump: async () => undefined,
    };
    return { statusCode, body };
  };
  return (name: string) => {
    if (name !== 'undici') throw new Error(`A module under test imports ${name}, which the judge does not give it.`);
    return { request: requestAside };
  };
}

async function ask(url: string | URL, options: RequestOptions): Promise<{ statusCode: number; text: string }> {
  const { statusCode, body } = await request(url, options);
  return { statusCode: Number(statusCode), text: await body.text() };
}

/** The copies of receipts: the same receipt has the same copy each time. */
const copies = new WeakMap<Receipt, Receipt>();

async function payOf(checkout: { pay: Pay }, clock: Clock, order: Order) {
  progress++;
  clock.read();
  const counts = isInTest;
  try {
    const receipt = await checkout.pay(structuredClone(order));
    if (counts) receipts++;
    const copy = copies.get(receipt) ?? structuredClone(receipt);
    copies.set(receipt, copy);
    return copy;
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    throw Object.assign(new Error(message), code !== undefined && { code });
  } finally {
    progress++;
  }
}

/** What the run has left in the process. Short timers may end before. */
async function leftBehind(before: Map<string, unknown>, turns: Turns): Promise<string[]> {
  const waiting = () => [...timers].filter((timer) => !timer._destroyed && timer.hasRef());
  const isLong = ({ _idleTimeout, _repeat }: NodeTimer) => _repeat !== null || _idleTimeout >= shortMs;
  do await turns(5);
  while (waiting().some((timer) => !isLong(timer)));
  const long = waiting().map(({ _idleTimeout, _repeat }) =>
    _repeat === null ? `a timer of ${_idleTimeout} ms` : `an interval of ${_idleTimeout} ms`,
  );
  const after = surroundings();
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...long, ...[...names].filter((name) => before.get(name) !== after.get(name))];
}

/** What a suite must not change, by its name in a message. */
function surroundings(): Map<string, unknown> {
  const found = new Map<string, unknown>([['the global dispatcher of undici', getGlobalDispatcher()]]);
  // Their values are locked, or made when they are first used.
  for (const key of Reflect.ownKeys(globalThis)) found.set(`the global ${String(key)}`, true);
  for (const [name, value] of Object.entries(process.env)) found.set(`the environment variable ${name}`, value);
  for (const name of Object.keys(console)) found.set(`console.${name}`, Reflect.get(console, name));
  for (const name of Object.keys(undici)) found.set(`${name} of undici`, Reflect.get(undici, name));
  for (const name of process.eventNames())
    found.set(`a listener for ${String(name)} of process`, process.listenerCount(name));
  return found;
}

/** Answers as a machine does where nobody listens. */
function refuse(socket: net.Socket | net.Server, what: string, args: unknown[]): void {
  progress++;
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  const place =
    typeof first === 'object' && first !== null
      ? (first as { host?: string; port?: number; path?: string })
      : undefined;
  const host = place?.host ?? (typeof second === 'string' ? second : 'localhost');
  sockets.push(`${what} ${place?.path ?? `${host}:${place?.port ?? (typeof first === 'number' ? first : 0)}`}`);
  const error = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' });
  process.nextTick(() => (socket instanceof net.Socket ? socket.destroy(error) : socket.emit('error', error)));
}

function inWords(error: unknown): string {
  const message = error instanceof Error ? error.message : `${typeof error} thrown`;
  return message.length > longestFault ? `${message.slice(0, longestFault)}…` : message;
}
