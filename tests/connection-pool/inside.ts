import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { type Connection, createConnection } from 'mysql2/promise';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/connection-pool/connection-pool.ts';

/** The functions that the judge hands over. */
type Part = 'create' | 'validate' | 'reset' | 'destroy';

/** The options that are plain data. */
export type Sizes = Pick<Kata.PoolOptions<object>, 'min' | 'max' | 'idleTimeoutMs' | 'acquireTimeoutMs'>;

/** What is released although nobody can hold it. */
type Stranger = 'an empty object' | 'a copy' | 'one of another pool';

/** A call of `acquire`. `order` says as which of all acquires it got its connection. */
export interface Acquire {
  readonly state: 'waiting' | 'got' | 'rejected';
  readonly connection?: number;
  readonly order?: number;
  readonly error?: string;
}

/** What the judge sees at a rest. Connections have numbers from 0, in the order in which they were opened. */
export type Report = ReturnType<Bench['report']>;

/** How a call ends: a failure rejects with an error, or with a value that is none. */
type How = 'ok' | 'fails' | { readonly rejectsWith: unknown };

interface Call {
  readonly part: Part;
  state: 'running' | 'held' | 'over';
  go(how: How): void;
}

interface Using {
  readonly call: { state: string; connection?: number };
  end(how: 'returns' | 'rejects'): void;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Kept {
  bench: Bench;
  benches: Bench[];
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** Timers stand still. When nothing is under way for so many turns of the event loop, only the judge can make something happen. */
const quietTurns = 25;
const parts = ['create', 'validate', 'reset', 'destroy'] as const;
/** Falsy values that a promise may reject with, by their names. */
const falsy: Readonly<Record<string, unknown>> = { undefined, null: null, false: false, 0: 0 };
const clock = installSteppedClock();

/** One pool, the connections that it opened, and what the judge did with it. */
class Bench {
  readonly #options: AccountOptions;
  readonly #tools: In['tools'];
  readonly pool: Kata.ConnectionPool<Connection>;
  readonly #connections: Connection[] = [];
  readonly #holders = new Map<Connection, number>();
  readonly #calls: Call[] = [];
  readonly #holding = new Set<Part>();
  readonly #errors = new Map<unknown, string>();
  readonly #acquires: { readonly call: Writable<Acquire>; readonly controller: AbortController }[] = [];
  readonly #released = new Set<number>();
  readonly #usings: Using[] = [];
  readonly #signals = new Set<AbortSignal>();
  /** Connections that nobody uses now, and those of them that nobody has used since the last rest. */
  readonly #idle = new Set<Connection>();
  #stillIdle = new Set<Connection>();
  /** Whether create was called since the last rest. */
  #isOpening = false;
  readonly #seen = {
    /** What each release has thrown, `undefined` for nothing. */
    releases: [] as (string | undefined)[],
    drains: [] as string[],
    /** Who got a connection that somebody else held. */
    shared: [] as string[],
    /** Idle connections that nobody used from one rest to the next, although another one was opened. */
    passedOver: [] as string[],
    /** The error of each create that was refused. */
    refusals: [] as string[],
    answers: [] as unknown[],
  };
  #destroyRejects = false;
  #running = 0;
  #moves = 0;
  #open = 0;
  #most = 0;
  #got = 0;

  constructor({ createPool }: typeof Kata, options: AccountOptions, sizes: Sizes, tools: In['tools']) {
    this.#options = options;
    this.#tools = tools;
    this.pool = createPool({
      ...sizes,
      create: () => this.#create(),
      validate: (connection) => this.#call('validate', async () => await this.#isAlive(connection), connection),
      reset: (connection) => this.#call('reset', async () => void (await connection.query('ROLLBACK')), connection),
      destroy: (connection) =>
        this.#call('destroy', async () => await this.#close(connection), connection).finally(() => (this.#open -= 1)),
    });
  }

  /**
   * Takes a step, and returns what has to be waited for. Acquires and usings have numbers from 0.
   *
   * - `acquire`, `acquire 3`, `acquire signal`, `acquire aborted`: with no signal, with one, with one that is aborted already
   * - `abort 1`: the signal of acquire 1
   * - `release 0 1`: what these acquires have got; `release all`: whatever anybody gets; or a `Stranger`, `release a copy`
   * - `using`, `using aborted`; `end 0 returns`, `end 0 rejects`: its fn
   * - `hold create`, `flow create`: from now on calls of this function wait, until they are let go by `pass create`, `fail create`,
   *   `pass create last` or `flow create`; by `silently-fail reset null` it rejects with null, and by default with undefined
   * - `destroy rejects`: from now on it closes its connection and rejects
   * - `drain`, `microtasks 3`, `clock 500` (ms), `query 0 SELECT 7`
   */
  take(step: string): Promise<unknown> | void {
    this.#moves += 1;
    const [verb = '', ...words] = step.split(' ');
    const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
    const [number = 1] = numbers;
    const what = words.join(' ');
    const part = words[0] as Part;
    switch (verb) {
      case 'acquire':
        for (let call = 0; call < number; call++) this.#acquire(words.at(-1));
        return;
      case 'abort':
        return this.#acquires[number]!.controller.abort(this.#name(new Error('gave up'), `reason ${number}`));
      case 'release':
        if (what === 'all') return this.#releaseAll();
        if (what !== '' && numbers.length === 0) return this.#release(this.#stranger(what as Stranger));
        return numbers.forEach((acquire) => this.#releaseOf(acquire));
      case 'using':
        return this.#using(what === 'aborted');
      case 'end':
        return this.#usings[number]!.end(words[1] as 'returns' | 'rejects');
      case 'hold':
        return void this.#holding.add(part);
      case 'flow':
        this.#holding.delete(part);
        return this.#heldCalls(part).forEach((call) => call.go('ok'));
      case 'pass':
      case 'fail':
      case 'silently-fail':
        return this.#heldCalls(part)
          .at(words[1] === 'last' ? -1 : 0)
          ?.go(verb === 'pass' ? 'ok' : verb === 'fail' ? 'fails' : { rejectsWith: falsy[words[1] ?? 'undefined'] });
      case 'destroy':
        return void (this.#destroyRejects = true);
      case 'drain':
        return this.#drain();
      case 'microtasks':
        return pass(number);
      case 'clock':
        return clock.step(number);
      case 'query':
        return this.#query(number, words.slice(1).join(' '));
      default:
        throw new Error(`the judge knows no step "${step}"`);
    }
  }

  /** Waits until nothing is under way but what the judge holds. */
  async rest(): Promise<void> {
    for (let quiet = 0, last = -1; quiet < quietTurns; last = this.#moves) {
      await this.#tools.turns(1);
      quiet = this.#running === 0 && this.#moves === last ? quiet + 1 : 0;
    }
    const [passedOver] = this.#stillIdle;
    if (this.#isOpening && passedOver)
      this.#seen.passedOver.push(
        `create was called while connection ${this.#connections.indexOf(passedOver)} was idle`,
      );
    this.#isOpening = false;
    this.#stillIdle = new Set(this.#idle);
  }

  #isUsed(connection: Connection): void {
    this.#idle.delete(connection);
    this.#stillIdle.delete(connection);
  }

  report() {
    const count = (calls: readonly Call[]) =>
      Object.fromEntries(parts.map((part) => [part, calls.filter((call) => call.part === part).length])) as Record<
        Part,
        number
      >;
    return {
      ...this.#seen,
      acquires: this.#acquires.map(({ call }): Acquire => call),
      usings: this.#usings.map(({ call }) => call),
      /** How many calls of each function there were, and how many are held. */
      calls: count(this.#calls),
      held: count(this.#calls.filter(({ state }) => state === 'held')),
      open: this.#open,
      /** The most that were open at once. */
      most: this.#most,
      /** The ids of the connections at the server, by number. */
      threadIds: this.#connections.map(({ threadId }) => threadId),
      /** Timers that hold the process, and listeners on all signals. */
      timers: this.#tools.timers(),
      listeners: [...this.#signals].reduce((sum, signal) => sum + getEventListeners(signal, 'abort').length, 0),
    };
  }

  /** Ends all connections, whatever the pool does. */
  end(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #name(error: Error, name: string): Error {
    this.#errors.set(error, name);
    return error;
  }

  #nameOf(error: unknown): string {
    return this.#errors.get(error) ?? (error instanceof Error ? error.name : `thrown: ${String(error)}`);
  }

  #heldCalls(part: Part): Call[] {
    return this.#calls.filter((call) => call.part === part && call.state === 'held');
  }

  /** A call of one of the functions, which waits as long as the judge holds it, and works then. */
  async #call<T>(part: Part, work: () => Promise<T>, connection?: Connection): Promise<T> {
    const gate = Promise.withResolvers<How>();
    const call: Call = {
      part,
      state: 'held',
      go: (how) => {
        call.state = 'running';
        this.#running += 1;
        gate.resolve(how);
      },
    };
    this.#calls.push(call);
    if (connection) this.#isUsed(connection);
    this.#moves += 1;
    if (!this.#holding.has(part)) call.go('ok');
    const how = await gate.promise;
    try {
      if (how !== 'ok') throw how === 'fails' ? new Error(`${part} failed`) : how.rejectsWith;
      const result = await work();
      if (connection && part !== 'destroy' && result !== false) this.#idle.add(connection);
      return result;
    } finally {
      call.state = 'over';
      this.#running -= 1;
      this.#moves += 1;
    }
  }

  /** Opens a connection, and holds it back when it is open; one that is to fail is refused by the server. */
  async #create(): Promise<Connection> {
    this.#open += 1;
    this.#most = Math.max(this.#most, this.#open);
    this.#isOpening = true;
    let connection: Connection | undefined;
    try {
      connection = await this.#connect();
      const opened = connection;
      await this.#call('create', async () => void this.#connections.push(opened));
      this.#idle.add(opened);
      return opened;
    } catch (failure) {
      await connection?.end();
      if (!failure) {
        this.#open -= 1;
        throw failure;
      }
      const refusal = await this.#connect('a wrong password').catch((error: Error) => error);
      const name = `refusal ${this.#seen.refusals.length}`;
      this.#seen.refusals.push(name);
      this.#open -= 1;
      throw this.#name(refusal as Error, name);
    }
  }

  async #connect(password = this.#options.password): Promise<Connection> {
    const { host, port, user, database } = this.#options;
    this.#running += 1;
    try {
      const connection = await createConnection({ host, port, user, password, database, connectTimeout: 0 });
      // Otherwise a connection that the server closes ends the process.
      connection.on('error', () => undefined);
      return connection;
    } finally {
      this.#running -= 1;
      this.#moves += 1;
    }
  }

  async #isAlive(connection: Connection): Promise<boolean> {
    // Every second dead one rejects.
    const rejects = this.#connections.indexOf(connection) % 2 === 1;
    return await connection.ping().then(
      () => true,
      (error: unknown) => {
        if (rejects) throw error;
        return false;
      },
    );
  }

  /** Says goodbye to the server; a connection that the server has closed is only let go. */
  async #close(connection: Connection): Promise<void> {
    if (await connection.ping().catch(() => false)) await connection.end();
    else connection.destroy();
    if (this.#destroyRejects) throw new Error('destroy was refused');
  }

  #acquire(kind: string | undefined): void {
    const controller = new AbortController();
    const at = this.#acquires.length;
    const call: Writable<Acquire> = { state: 'waiting' };
    this.#acquires.push({ call, controller });
    const hasSignal = kind === 'signal' || kind === 'aborted';
    if (kind === 'aborted') controller.abort(this.#name(new Error('gave up'), `reason ${at}`));
    if (hasSignal) this.#signals.add(controller.signal);
    this.pool.acquire(...(hasSignal ? [{ signal: controller.signal }] : [])).then(
      (connection) => {
        call.connection = this.#taken(connection, `acquire ${at}`, at);
        call.order = this.#got++;
        call.state = 'got';
      },
      (error: unknown) => {
        this.#moves += 1;
        call.error = this.#nameOf(error);
        call.state = 'rejected';
      },
    );
  }

  #taken(connection: Connection, by: string, holder: number): number {
    this.#moves += 1;
    this.#isUsed(connection);
    const number = this.#connections.indexOf(connection);
    if (this.#holders.has(connection)) this.#seen.shared.push(`${by} got connection ${number}, which somebody held`);
    this.#holders.set(connection, holder);
    return number;
  }

  /** The acquires whose connection nobody has released. */
  get holding(): number[] {
    return [...this.#acquires.entries()].flatMap(([at, { call }]) =>
      call.state === 'got' && !this.#released.has(at) ? [at] : [],
    );
  }

  async #releaseAll(): Promise<void> {
    for (await this.rest(); this.holding.length > 0; await this.rest())
      for (const acquire of this.holding) this.#releaseOf(acquire);
  }

  #releaseOf(acquire: number): void {
    this.#released.add(acquire);
    const connection = this.#connections[this.#acquires[acquire]?.call.connection ?? -1];
    if (connection) this.#release(connection);
    else this.#seen.releases.push('there was nothing to release');
  }

  #release(connection: Connection): void {
    const at = this.#seen.releases.push(undefined) - 1;
    this.#holders.delete(connection);
    const failed = (error: unknown) => {
      this.#moves += 1;
      this.#seen.releases[at] = this.#nameOf(error);
    };
    try {
      // One that returns a promise may reject as well.
      const result: unknown = this.pool.release(connection);
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #stranger(what: Stranger): Connection {
    const connection = this.#connections[0]!;
    if (what === 'an empty object') return {} as Connection;
    if (what === 'a copy') return Object.assign(Object.create(Object.getPrototypeOf(connection)), connection);
    return strangers.get(this)!;
  }

  #using(isAborted: boolean): void {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const signal = isAborted ? AbortSignal.abort(this.#name(new Error('gave up'), 'reason')) : undefined;
    const using: Using = {
      call: { state: 'waiting' },
      end(how) {
        if (how === 'returns') resolve('a value');
        else reject('no error');
      },
    };
    this.#usings.push(using);
    const fn = (connection: Connection) => {
      using.call.connection = this.#taken(connection, 'using', -1);
      using.call.state = 'at work';
      return promise.finally(() => this.#holders.delete(connection));
    };
    this.pool.using(fn, ...(signal ? [{ signal }] : [])).then(
      (value) => {
        this.#moves += 1;
        using.call.state = `returned ${value}`;
      },
      (error: unknown) => {
        this.#moves += 1;
        using.call.state = `rejected: ${this.#nameOf(error)}`;
      },
    );
  }

  #drain(): void {
    const at = this.#seen.drains.push('pending') - 1;
    const ended = (how: string) => {
      this.#moves += 1;
      this.#seen.drains[at] = how;
    };
    this.pool.drain().then(
      () => ended(`resolved with ${this.#open} open`),
      (error: unknown) => ended(`rejected: ${this.#nameOf(error)}`),
    );
  }

  async #query(acquire: number, sql: string): Promise<void> {
    const at = this.#seen.answers.push(undefined) - 1;
    const connection = this.#connections[this.#acquires[acquire]?.call.connection ?? -1];
    this.#seen.answers[at] = await connection?.query(sql).then(
      ([rows]) => (Array.isArray(rows) ? Object.values(rows[0] ?? {})[0] : 'done'),
      (error: Error) => `failed: ${error.message}`,
    );
  }
}

/** For each bench a connection that another pool has handed out. */
const strangers = new WeakMap<Bench, Connection>();

/** What a pool is made of. */
export interface BenchOptions {
  readonly account: AccountOptions;
  readonly sizes: Sizes;
}

/** Makes a new pool. From now on the process's clocks stand still. */
export function openBench({ kata, args: { account, sizes }, kept, tools }: In<BenchOptions>): void {
  for (const bench of kept.benches ?? []) bench.end();
  clock.release();
  clock.hold();
  kept.bench = new Bench(kata, account, sizes, tools);
  kept.benches = [kept.bench];
}

/** A second pool, one of whose connections is held; that is what `release stranger` gives to the first pool. */
export async function openOtherPool({ kata, args: { account, sizes }, kept, tools }: In<BenchOptions>): Promise<void> {
  const other = new Bench(kata, account, sizes, tools);
  kept.benches.push(other);
  strangers.set(kept.bench, await other.pool.acquire());
}

/** Takes these steps: what a comma separates in one go, and with a rest at each semicolon and at the end. Then it reports. */
export async function play({ args: steps, kept: { bench } }: In<string>): Promise<Report> {
  for (const group of steps.split(';')) {
    for (const step of group.split(',').filter((text) => text.trim() !== '')) {
      const taken = bench.take(step.trim());
      if (taken) await taken;
    }
    await bench.rest();
  }
  return bench.report();
}

/** A pool whose creations and validations are held, and numbers that say what happens: each chooses among what is possible then. */
export interface History extends BenchOptions {
  readonly choices: readonly number[];
}

/** Plays a history: in the end creations succeed, each holder releases, and then all have been idle for twice the idle timeout. */
export async function playHistory(inside: In<History>): Promise<Report> {
  openBench(inside);
  const { bench } = inside.kept;
  const { choices, sizes } = inside.args;
  for (const part of ['create', 'validate']) void bench.take(`hold ${part}`);
  for (const choice of choices) {
    await bench.rest();
    const { acquires, held } = bench.report();
    // What happens when a creation fails and nobody waits is for two promises only.
    const isWanted = acquires.some(({ state }) => state === 'waiting');
    const possible = ['acquire', ...bench.holding.map((at) => `release ${at}`)];
    for (const part of ['create', 'validate'] as const)
      if (held[part] > 0)
        for (const which of ['', ' last']) {
          possible.push(`pass ${part}${which}`, `pass ${part}${which}`);
          if (isWanted) possible.push(`fail ${part}${which}`);
        }
    void bench.take(possible[choice % possible.length]!);
  }
  for (const part of ['create', 'validate']) void bench.take(`flow ${part}`);
  await bench.take('release all');
  await bench.take(`clock ${2 * sizes.idleTimeoutMs}`);
  await bench.rest();
  return bench.report();
}

/** Calls `using` with functions of every kind on a pool with one connection. Returns what was wrong. */
export async function useInEveryWay({ kept: { bench } }: In): Promise<string[]> {
  const { pool } = bench;
  const faults: string[] = [];
  const error = new Error('no luck');
  const values = [undefined, null, false, 0, '', error, { rows: 3 }];
  const thrown = [error, undefined, null, 'no luck', 0, { code: 7 }];
  const ways: [what: string, how: 'returned' | 'rejected', value: unknown, fn: () => unknown][] = [
    ...values.flatMap((value): typeof ways => [
      [`returns ${said(value)}`, 'returned', value, () => value],
      [`resolves to ${said(value)}`, 'returned', value, async () => value],
      [`returns a thenable of ${said(value)}`, 'returned', value, () => thenable((resolve) => resolve(value))],
    ]),
    ...thrown.flatMap((value): typeof ways => [
      [`throws ${said(value)}`, 'rejected', value, () => raise(value)],
      [`rejects with ${said(value)}`, 'rejected', value, async () => raise(value)],
      [`returns a thenable that rejects with ${said(value)}`, 'rejected', value, () => thenable((_, no) => no(value))],
    ]),
  ];
  for (const [what, how, expected, work] of ways) {
    let calls = 0;
    let seen: readonly [how: string, value?: unknown] = ['not settled'];
    const fn = () => {
      calls += 1;
      return work();
    };
    pool.using(fn).then(
      (value) => (seen = ['returned', value]),
      (failure: unknown) => (seen = ['rejected', failure]),
    );
    for (let quiet = 0; seen[0] === 'not settled' && quiet < 3; quiet++) await bench.rest();
    if (seen[0] !== how) faults.push(`fn ${what}: expected using to be ${how}, saw it ${seen[0]}`);
    else if (!Object.is(seen[1], expected)) faults.push(`fn ${what}: using ${how} with another value`);
    if (calls !== 1) faults.push(`fn ${what}: fn was called ${calls} times`);
    if (seen[0] === 'not settled') break;
  }
  return faults;
}

/** Whoever awaits it goes on after exactly so many microtasks. */
function pass(microtasks: number): Promise<void> {
  let passed = Promise.resolve();
  for (let left = microtasks - 1; left > 0; left--) passed = passed.then(() => undefined);
  return passed;
}

function thenable(settle: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void) {
  // oxlint-disable-next-line unicorn/no-thenable -- a module must wait for it as for a promise
  return { then: settle };
}

/** A value in a message. */
function said(value: unknown): string {
  return value instanceof Error ? 'an Error' : inspect(value);
}

function raise(value: unknown): never {
  throw value;
}
