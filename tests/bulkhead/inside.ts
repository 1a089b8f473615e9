import { getEventListeners } from 'node:events';
import { collectNow } from '../../helpers/instruments/heap/collections.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/bulkhead/bulkhead.ts';
import { type CallOptions, Stage } from './stage.ts';

/** What happens to one bulkhead, step by step. */
export type Step =
  | readonly ['call', CallOptions?]
  /** Ends the work that began first, or another one at work, in a compartment. */
  | readonly ['end', { readonly how?: 'returns' | 'rejects'; readonly key?: string; readonly which?: number }?]
  | readonly ['abort', signal: string, reason?: string]
  | readonly ['drain']
  /** So many microtasks pass. */
  | readonly ['microtasks', number]
  /** The module comes to rest. What may be seen then; the first is told when none is. */
  | readonly ['rest', ...string[]];

export interface Play extends Kata.BulkheadOptions {
  readonly steps: readonly Step[];
}

/** What was seen while calls came and went in the bulkhead's own compartment. */
export interface Seen {
  /** The most calls that were at work at once. */
  readonly most: number;
  /** Ids of calls in the order in which they began. An id tells the order in which `run` was called. */
  readonly begun: readonly number[];
  /** Ids of the calls at work and of those that wait, at each rest. */
  readonly rests: readonly { readonly atWork: readonly number[]; readonly waiting: readonly number[] }[];
}

/** Plays each script on a bulkhead of its own. Returns where the calls were at each rest. */
export async function playScripts({ kata, args: plays, tools }: Inside<typeof Kata, readonly Play[]>) {
  const patience = { isSpent: false };
  const all: string[][] = [];
  for (const { steps, ...options } of plays) {
    const stage = new Stage(kata, options, tools.turns, patience);
    const accounts: string[] = [];
    for (const step of steps) {
      if (step[0] === 'rest') {
        const [, ...expected] = step;
        await stage.rest(() => expected.includes(accountOf(stage, options)), 2);
        accounts.push(accountOf(stage, options));
      } else {
        const pause = take(stage, step);
        if (pause) await pause;
      }
    }
    all.push(accounts);
  }
  return all;
}

/** Plays each history, and then ends one call after the other. */
export async function playHistories({ kata, args: plays, tools }: Inside<typeof Kata, readonly Play[]>) {
  const patience = { isSpent: false };
  const all: Seen[] = [];
  for (const { steps, ...options } of plays) {
    const stage = new Stage(kata, options, tools.turns, patience, { thenables: true });
    const rests: Seen['rests'][number][] = [];
    const rest = async () => {
      await stage.rest(() => stage.waiting().length === 0 || stage.atWork().length >= options.concurrency);
      const [atWork, waiting] = [stage.atWork(), stage.waiting()].map((calls) => calls.map(({ id }) => id));
      rests.push({ atWork: atWork!, waiting: waiting! });
    };
    for (const step of steps) {
      const pause = step[0] === 'rest' ? rest() : take(stage, step);
      if (pause) await pause;
    }
    do {
      await rest();
      stage.end();
    } while (rests.at(-1)!.atWork.length > 0);
    all.push({ most: stage.most, begun: stage.begun, rests });
  }
  return all;
}

/** Plays each history, and compares at each rest what `stats()` tells with what the judge sees. Stops after a difference. */
export async function playStats({ kata, args: plays, tools }: Inside<typeof Kata, readonly Play[]>) {
  const all: { seen: string[]; told: string[] }[] = [];
  for (const { steps, ...options } of plays) {
    const stage = new Stage(kata, options, tools.turns);
    const [seen, told]: [string[], string[]] = [[], []];
    const counted = () => `running ${stage.atWork().length}, waiting ${stage.waiting().length}`;
    all.push({ seen, told });
    for (const step of steps) {
      await take(stage, step);
      await stage.rest(() => stage.stats() === counted(), 1);
      seen.push(counted());
      told.push(stage.stats());
      if (seen.at(-1) !== told.at(-1)) return all;
    }
  }
  return all;
}

/** Calls `run` with work of every kind, at once and after a wait. Returns what was wrong with the answers. */
export async function settleAll({ kata, tools }: Inside<typeof Kata>) {
  const faults: string[] = [];
  const error = new Error('no luck');
  const values: [what: string, value: unknown][] = [
    ['an object', { rows: 3 }],
    ['undefined', undefined],
    ['null', null],
    ['false', false],
    ['0', 0],
    ['a function', () => 1],
    ['an Error that was not thrown', error],
  ];
  const errors: [what: string, value: unknown][] = [
    ['an Error', error],
    ['undefined', undefined],
    ['null', null],
    ['a text', 'no luck'],
    ['an object', { code: 7 }],
  ];
  const works: [what: string, how: 'returned' | 'rejected', value: unknown, fn: () => unknown][] = [
    ...values.flatMap(([what, value]): typeof works => [
      [`returns ${what}`, 'returned', value, () => value],
      [`resolves to ${what}`, 'returned', value, async () => value],
      [`returns a thenable of ${what}`, 'returned', value, () => thenable((resolve) => resolve(value))],
    ]),
    ...errors.flatMap(([what, value]): typeof works => [
      [`throws ${what}`, 'rejected', value, () => raise(value)],
      [`rejects with ${what}`, 'rejected', value, async () => raise(value)],
      [`returns a thenable that rejects with ${what}`, 'rejected', value, () => thenable((_, reject) => reject(value))],
    ]),
  ];
  for (const [what, how, expected, work] of works) {
    for (const waits of [false, true]) {
      const { run } = ownFunctions(kata.createBulkhead({ concurrency: 1, queueLimit: 1 }));
      const gate = Promise.withResolvers<void>();
      if (waits) run(() => gate.promise).catch(() => undefined);
      let calls = 0;
      let seen: readonly [how: string, value?: unknown] = ['not settled'];
      const fn = () => {
        calls += 1;
        return work();
      };
      try {
        run(fn).then(
          (value) => (seen = ['returned', value]),
          (thrown: unknown) => (seen = ['rejected', thrown]),
        );
      } catch {
        seen = ['thrown, not rejected'];
      }
      gate.resolve();
      const end = performance.now() + 250;
      for (let turn = 0; seen[0] === 'not settled' && (turn < 100 || performance.now() < end); turn++)
        await tools.turns(1);
      const where = `fn ${what}, ${waits ? 'after a wait' : 'at once'}`;
      if (seen[0] !== how) faults.push(`${where}: expected run to be ${how}, saw it ${seen[0]}`);
      else if (!Object.is(seen[1], expected)) faults.push(`${where}: run ${how} with another value`);
      if (calls !== 1) faults.push(`${where}: fn was called ${calls} times`);
      if (seen[0] === 'not settled') return faults;
    }
  }
  return faults;
}

/** Lets so many calls wait whose `fn` throws, ends the one before them, and returns how many were rejected. */
export async function throwInARow({ kata, args: { waiters }, tools }: Inside<typeof Kata, { waiters: number }>) {
  const { run } = ownFunctions(kata.createBulkhead({ concurrency: 1, queueLimit: Infinity }));
  const gate = Promise.withResolvers<void>();
  let rejected = 0;
  run(() => gate.promise).catch(() => undefined);
  for (let left = waiters; left > 0; left--) run(() => raise('x')).catch(() => (rejected += 1));
  await tools.turns(1);
  gate.resolve();
  // As long as it goes on, it is waited for.
  for (let seen = -1, end = 0; seen < rejected || performance.now() < end;) {
    if (seen < rejected) end = performance.now() + 250;
    seen = rejected;
    if (rejected === waiters) break;
    await tools.turns(10);
  }
  return rejected;
}

/**
 * Six calls pass one and the same `fn`. The first is at work when call 2 is aborted, and then calls 5 and 6, which have the same options.
 * Then the others end, in any order. Returns what became of each call after each abort and at last.
 */
export async function abortWithOneFn({ kata, tools }: Inside<typeof Kata>) {
  const bulkhead = kata.createBulkhead({ concurrency: 1, queueLimit: 5 });
  const ends: (() => void)[] = [];
  const fn = () => new Promise<void>((resolve) => ends.push(resolve));
  const controllers = Array.from({ length: 5 }, () => new AbortController());
  const all = controllers.map(({ signal }) => ({ signal }));
  const calls = [...all, all[4]!].map((options) => {
    const call = { outcome: 'open' };
    bulkhead.run(fn, options).then(
      () => (call.outcome = 'returned'),
      (thrown: unknown) => (call.outcome = thrown === options.signal.reason ? 'aborted' : 'rejected'),
    );
    return call;
  });
  const outcomes = () => calls.map(({ outcome }) => outcome);
  const rest = async (isThere: () => boolean) => {
    const end = performance.now() + 250;
    for (let turn = 0; !isThere() && (turn < 100 || performance.now() < end); turn++) await tools.turns(1);
    await tools.turns(2);
  };
  const settled = () => outcomes().filter((outcome) => outcome !== 'open').length;
  const abort = async (id: number, settledThen: number) => {
    controllers[id]!.abort();
    await rest(() => settled() >= settledThen);
    return outcomes();
  };

  await rest(() => ends.length > 0);
  const afterFirst = await abort(1, 1);
  const afterSecond = await abort(4, 3);
  for (let at = 0; at < ends.length; at++) {
    ends[at]!();
    await rest(() => ends.length > at + 1 || settled() === calls.length);
  }
  return { 'after call 2': afterFirst, 'after calls 5 and 6': afterSecond, 'at last': outcomes(), begun: ends.length };
}

/** Ends calls in every way on one signal that lives on. Returns how many abort listeners it has after each. */
export async function countListeners({ kata, tools }: Inside<typeof Kata>) {
  const states: { state: string; listeners: number }[] = [];
  for (const work of ['returns', 'throws', 'rejects'] as const) {
    for (const waits of [false, true]) {
      const { signal } = new AbortController();
      const bulkhead = kata.createBulkhead({ concurrency: 1, queueLimit: 1 });
      const gate = Promise.withResolvers<void>();
      if (waits) bulkhead.run(() => gate.promise).catch(() => undefined);
      let isOver = false;
      const over = () => void (isOver = true);
      const fn = (): unknown =>
        work === 'returns' ? 1 : work === 'throws' ? raise(new Error('x')) : Promise.reject(new Error('x'));
      bulkhead.run(fn, { signal }).then(over, over);
      // The queue is full, so this one is refused.
      if (waits) bulkhead.run(() => 1, { signal }).catch(() => undefined);
      await tools.turns(1);
      gate.resolve();
      const end = performance.now() + 250;
      const left = () => getEventListeners(signal, 'abort').length;
      for (let turn = 0; (!isOver || left() > 0) && (turn < 100 || performance.now() < end); turn++)
        await tools.turns(1);
      states.push({ state: `a call whose fn ${work}, ${waits ? 'after a wait' : 'at once'}`, listeners: left() });
    }
  }
  return states;
}

/** How many bytes each key has. */
const keyBytes = 4096;

/** Uses keys that nobody used before, in five ways, and returns when all their calls have ended. */
export async function useKeys({ kata, args: { count }, kept, tools }: Inside<typeof Kata, { count: number }, KeyUse>) {
  kept.bulkhead ??= kata.createBulkhead({ concurrency: 1, queueLimit: 1 });
  kept.used ??= 0;
  const { bulkhead } = kept;
  let open = 0;
  const run = (key: string, fn: () => unknown, signal?: AbortSignal) => {
    open += 1;
    bulkhead
      .for(key)
      .run(fn, ...(signal ? [{ signal }] : []))
      .catch(() => undefined)
      .finally(() => (open -= 1));
  };
  for (let index = 0; index < count; index++) {
    const key = Buffer.alloc(keyBytes, `${(kept.used += 1)} `).toString('latin1');
    const gate = Promise.withResolvers<void>();
    const controller = new AbortController();
    const way = index % 5;
    if (way === 0) bulkhead.for(key).stats();
    if (way === 1) run(key, () => 1);
    if (way === 2) run(key, () => raise(new Error('x')));
    if (way === 3) {
      run(key, () => gate.promise);
      run(key, () => 1, controller.signal);
      run(key, () => 1);
    }
    if (way === 4) run(key, () => 1, AbortSignal.abort());
    await Promise.resolve();
    controller.abort();
    gate.resolve();
  }
  const end = performance.now() + 2_000;
  for (let turn = 0; open > 0 && (turn < 100 || performance.now() < end); turn++) await tools.turns(1);
  return open;
}

interface KeyUse {
  bulkhead?: Kata.Bulkhead;
  used?: number;
}

/** Taken before the module comes. The figure for one thread moves in steps of 4 ms; this one does not. */
const cpuUsage = process.cpuUsage.bind(process);
/** The first of the waiters have signals, each of which is shared by some. */
const [shareWithSignal, waitersPerSignal] = [0.6, 20];
/** The signals abort in an order that jumps up and down the queue. Prime to their number. */
const stride = 7919;
/** What is measured at once. */
const [signalsPerChunk, beginsPerChunk] = [10, 100];

/** What it costs that waiters leave the queue. */
export interface Cost {
  /** CPU time for each of them in µs, chunk by chunk. */
  readonly abort: readonly number[];
  readonly begin: readonly number[];
  readonly begun: number;
}

interface Emptying {
  /** How many begin, after all that have a signal were aborted. */
  readonly begins: number;
  /** CPU time in µs after which no more of them are watched. */
  readonly budget: { readonly abort: number; readonly begin: number };
}

/** Makes a bulkhead in which so many calls wait. */
export async function fillQueue({
  kata,
  args: { waiters },
  kept,
  tools,
}: Inside<typeof Kata, { waiters: number }, { queue?: FilledQueue }>) {
  kept.queue = await FilledQueue.of(kata, waiters, tools.turns);
  // What comes next is not charged with moving all these calls about.
  collectNow();
}

/** Lets waiters leave the queue that was filled. */
export async function costOfLongQueue({
  args,
  kept,
}: Inside<typeof Kata, Emptying, { queue?: FilledQueue }>): Promise<Cost> {
  const { queue } = kept;
  delete kept.queue;
  return await queue!.empty(args);
}

/** The same with short queues, one after the other. */
export async function costOfShortQueues({
  kata,
  args: { waiters, begins, times },
  tools,
}: Inside<typeof Kata, { waiters: number; begins: number; times: number }>): Promise<Cost> {
  const costs: Cost[] = [];
  for (let time = 0; time < times; time++) {
    const queue = await FilledQueue.of(kata, waiters, tools.turns);
    const cost = await queue.empty({ begins, budget: { abort: Infinity, begin: Infinity } });
    costs.push(cost);
    // One that stands still has been waited for, and once is enough.
    if (cost.begun < begins) break;
  }
  return {
    abort: costs.flatMap(({ abort }) => abort),
    begin: costs.flatMap(({ begin }) => begin),
    begun: costs.reduce((sum, { begun }) => sum + begun, 0),
  };
}

class FilledQueue {
  readonly #turns: (count: number) => Promise<void>;
  readonly #gate = Promise.withResolvers<void>();
  readonly #controllers: AbortController[] = [];
  /** What the work of a waiter does. */
  #begin: () => Promise<void> | undefined = () => undefined;

  private constructor(turns: (count: number) => Promise<void>) {
    this.#turns = turns;
  }

  static async of({ createBulkhead }: typeof Kata, waiters: number, turns: (count: number) => Promise<void>) {
    const queue = new FilledQueue(turns);
    const bulkhead = createBulkhead({ concurrency: 1, queueLimit: Infinity });
    const [begin, ignore] = [() => queue.#begin(), () => undefined];
    bulkhead.run(() => queue.#gate.promise).catch(ignore);
    for (let index = 0; index < waiters; index++) {
      if (index >= waiters * shareWithSignal) {
        bulkhead.run(begin).catch(ignore);
        continue;
      }
      if (index % waitersPerSignal === 0) queue.#controllers.push(new AbortController());
      bulkhead.run(begin, { signal: queue.#controllers.at(-1)!.signal }).catch(ignore);
    }
    await turns(1);
    return queue;
  }

  async empty({ begins, budget }: Emptying): Promise<Cost> {
    const [abort, begin] = [new Chunks(budget.abort), new Chunks(budget.begin)];
    const { length } = this.#controllers;
    for (let at = 0; at < length && !abort.isSpent; at++) {
      this.#controllers[(at * stride) % length]!.abort();
      if (at % signalsPerChunk < signalsPerChunk - 1) continue;
      // Callers hear of it before more are aborted.
      await this.#turns(1);
      abort.add(signalsPerChunk * waitersPerSignal);
    }

    const never = new Promise<void>(() => undefined);
    let begun = 0;
    begin.start();
    this.#begin = () => {
      begun += 1;
      if (begun % beginsPerChunk === 0) begin.add(beginsPerChunk);
      return begun < begins && !begin.isSpent ? undefined : never;
    };
    this.#gate.resolve();
    await this.#whileItGoesOn(() => !begin.isSpent && begun < begins);
    return { abort: abort.costs, begin: begin.costs, begun };
  }

  async #whileItGoesOn(goesOn: () => boolean): Promise<void> {
    await this.#turns(1);
    const end = performance.now() + 1_000;
    for (let turn = 0; goesOn() && (turn < 100 || performance.now() < end); turn++) await this.#turns(1);
  }
}

/** CPU time of what happens from chunk to chunk. */
class Chunks {
  readonly costs: number[] = [];
  readonly #budget: number;
  #began = 0;
  #last = 0;

  constructor(budget: number) {
    this.#budget = budget;
    this.start();
  }

  get isSpent(): boolean {
    return this.#last - this.#began > this.#budget;
  }

  start(): void {
    this.#began = this.#last = cpuMicroseconds();
  }

  add(count: number): void {
    const now = cpuMicroseconds();
    this.costs.push((now - this.#last) / count);
    this.#last = now;
  }
}

function cpuMicroseconds(): number {
  const { user, system } = cpuUsage();
  return user + system;
}

/** Takes a step. What takes no time is over when this returns: the next step comes in the same go. */
function take(stage: Stage, step: Step): Promise<void> | undefined {
  switch (step[0]) {
    case 'call':
      stage.call(step[1]);
      break;
    case 'end':
      stage.end(step[1]?.how, step[1]?.key, step[1]?.which);
      break;
    case 'abort':
      stage.abort(step[1], step[2]);
      break;
    case 'drain':
      stage.drain();
      break;
    case 'microtasks':
      return step[1] === 0 ? undefined : pass(step[1]);
    case 'rest':
      break;
  }
  return undefined;
}

/** Whoever awaits it goes on after exactly so many microtasks. */
function pass(microtasks: number): Promise<void> {
  let passed = Promise.resolve();
  for (let left = microtasks - 1; left > 0; left--) passed = passed.then(() => undefined);
  return passed;
}

function accountOf(stage: Stage, { concurrency }: Kata.BulkheadOptions): string {
  return stage.account() + (stage.most > concurrency ? `; ${stage.most} were at work at once` : '');
}

function ownFunctions(bulkhead: Kata.Bulkhead) {
  return { run: (fn: () => unknown) => bulkhead.run(fn) };
}

function thenable(settle: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void) {
  // oxlint-disable-next-line unicorn/no-thenable -- a module must wait for it as for a promise
  return { then: settle };
}

function raise(value: unknown): never {
  throw value;
}
