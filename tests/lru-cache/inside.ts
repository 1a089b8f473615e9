import { runInThisContext } from 'node:vm';
import { LRUCache } from 'lru-cache';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/lru-cache/lru-cache.ts';

/** Taken before the clock is held and before the module comes. */
const elapsedMs = performance.now.bind(performance);
const cpuUsage = process.cpuUsage.bind(process);
const clock = installSteppedClock();

/** No timer fires, and all clocks but the injected one stand still. */
export function holdClock(): void {
  clock.hold();
}

/** What happens to one cache, step by step. */
export type Step =
  | readonly ['get' | 'peek' | 'has' | 'delete', key: string]
  | readonly ['set', key: string, id: number, bytes: number]
  /** Sets while `sizeOf` returns this; an empty text makes it throw. */
  | readonly ['set badly', key: string, size: unknown]
  /** What a cache is for: `get`, and `set` if nothing is there. */
  | readonly ['use', key: string, id: number]
  | readonly ['fetch', key: string, id: number, bytes: number]
  | readonly ['clear' | 'purge']
  | readonly ['wait', ms: number]
  | readonly ['bytes' | 'size']
  /** The entries in the order of iteration. */
  | readonly ['entries'];

export interface Play {
  readonly max: number;
  readonly maxBytes?: number;
  readonly ttlMs?: number;
  /** Where the clock starts. */
  readonly startMs: number;
  readonly steps: readonly Step[];
}

/** What was seen of one play: a line for each step, and what was disposed of, such as `a#3`. */
export interface Seen {
  readonly lines: readonly string[];
  readonly disposed: readonly string[];
}

/** A value. Its size is changed after each `set`, so that whoever asks `sizeOf` again is told something else. */
interface Value {
  readonly id: number;
  bytes: unknown;
}

/** A cache under test with a clock that stands still. */
class Stage {
  readonly cache: Kata.LruCache<string, Value>;
  readonly disposed: string[] = [];
  #nowMs: number;

  constructor(kata: typeof Kata, { max, maxBytes, ttlMs, startMs }: Omit<Play, 'steps'>) {
    this.#nowMs = startMs;
    this.cache = new kata.LruCache<string, Value>({
      max,
      ...(maxBytes !== undefined && { maxBytes }),
      ...(ttlMs !== undefined && { ttlMs }),
      now: () => this.#nowMs,
      sizeOf: ({ bytes }) => {
        if (bytes === '') throw new Error('sizeOf fails');
        return bytes as number;
      },
      dispose: ({ id }, key) => void this.disposed.push(`${key}#${id}`),
    });
  }

  async take(step: Step): Promise<string> {
    const { cache } = this;
    switch (step[0]) {
      case 'get':
      case 'peek':
        return told(cache[step[0]](step[1]));
      case 'has':
      case 'delete':
        return String(cache[step[0]](step[1]));
      case 'set':
        return this.#set(step[1], { id: step[2], bytes: step[3] });
      case 'set badly':
        return this.#set(step[1], { id: -1, bytes: step[2] });
      case 'use': {
        const found = told(cache.get(step[1]));
        return found === 'nothing' ? `nothing, set: ${this.#set(step[1], { id: step[2], bytes: 1 })}` : found;
      }
      case 'fetch': {
        const value = { id: step[2], bytes: step[3] };
        return told(await cache.fetch(step[1], () => value));
      }
      case 'clear':
      case 'purge':
        cache[step[0]]();
        return 'done';
      case 'wait':
        this.#nowMs += step[1];
        return 'done';
      case 'bytes':
      case 'size':
        return String(cache[step[0]]);
      case 'entries':
        return entriesOf(cache);
    }
  }

  #set(key: string, value: Value): string {
    try {
      return String(this.cache.set(key, value));
    } catch {
      return 'throws';
    } finally {
      value.bytes = 1_000_003;
    }
  }
}

/** Plays each on a cache of its own. */
export async function playAll({ kata, args: plays, tools }: Inside<typeof Kata, readonly Play[]>): Promise<Seen[]> {
  const all: Seen[] = [];
  for (const { steps, ...options } of plays) {
    const stage = new Stage(kata, options);
    const lines: string[] = [];
    for (const step of steps) lines.push(await attempt(() => stage.take(step)));
    if (steps.length > 0) await tools.turns(1);
    all.push({ lines, disposed: [...stage.disposed] });
  }
  return all;
}

/** Changes while a cache is iterated. */
export interface Walk extends Play {
  /** What happens after the first, the second, … entry was yielded. `steps` come before. */
  readonly changes: readonly (readonly Step[])[];
}

/** Iterates each cache, beside another iteration that keeps pace. Returns what the first one yielded, such as `a#3`. Stops after too many. */
export async function walkAll({ kata, args: walks }: Inside<typeof Kata, readonly Walk[]>) {
  const all: { yielded: string[]; error: string }[] = [];
  for (const { steps, changes, ...options } of walks) {
    const stage = new Stage(kata, options);
    for (const step of steps) await stage.take(step);
    const yielded: string[] = [];
    const error = await attempt(async () => {
      const beside = stage.cache[Symbol.iterator]();
      for (const [key, value] of stage.cache) {
        yielded.push(`${key}#${told(value)}`);
        beside.next();
        for (const step of changes[yielded.length - 1] ?? []) await stage.take(step);
        if (yielded.length >= 100) return 'it did not end';
      }
      return '';
    });
    all.push({ yielded, error });
  }
  return all;
}

/** Stores each value under each key. Returns the faults in words. */
export async function storeValues({ kata, args: keys }: Inside<typeof Kata, readonly (string | number)[]>) {
  const faults: string[] = [];
  const values = [undefined, null, NaN, 0, '', false, keys[0]];
  const cache = new kata.LruCache<unknown, unknown>({ max: 100 });
  for (const key of [...keys, undefined, null, NaN, 0, '', '0', false, '__proto__', {}]) {
    for (const value of values) {
      const what = `key ${inWords(key)}, value ${inWords(value)}`;
      const expectThat = (call: string, seen: unknown, expected: unknown) => {
        if (!Object.is(seen, expected))
          faults.push(`${what}: ${call} is ${inWords(seen)}; expected ${inWords(expected)}`);
      };
      cache.delete(key);
      expectThat('has before set', cache.has(key), false);
      cache.set(key, value);
      expectThat('has', cache.has(key), true);
      expectThat('get', cache.get(key), value);
      expectThat('peek', cache.peek(key), value);
      let loads = 0;
      const load = () => ((loads += 1), value);
      expectThat('fetch', await cache.fetch(key, load), value);
      expectThat('the number of loads by fetch after set', loads, 0);
      expectThat('delete', cache.delete(key), true);
      expectThat('fetch after delete', await cache.fetch(key, load), value);
      expectThat('a second fetch', await cache.fetch(key, load), value);
      expectThat('the number of loads by two fetches', loads, 1);
    }
  }
  const { size } = cache;
  const count = keys.length + 9;
  if (size !== count) faults.push(`${count} different keys were stored; size is ${size}`);
  return faults;
}

/** Sets two more keys in a cache of two entries. Returns the odd keys that were not evicted then. */
export function evictOddKeys({ kata }: Inside<typeof Kata, undefined>): string[] {
  const odd = [undefined, null, NaN, 0, '', false];
  return odd.flatMap((key) => {
    const cache = new kata.LruCache<unknown, string>({ max: 2 });
    cache.set(key, 'odd');
    cache.set('one', 'one');
    cache.set('two', 'two');
    return cache.size === 2 && !cache.has(key) ? [] : [inWords(key)];
  });
}

/** Keys are set, deleted and cleared while they are loaded. Returns when `dispose` got what was loaded then. */
export async function overtakeLoads({ kata, tools }: Inside<typeof Kata, undefined>): Promise<string[]> {
  const disposedOf: string[] = [];
  for (const way of ['set', 'delete', 'clear'] as const) {
    const disposed: string[] = [];
    const cache = new kata.LruCache<string, string>({ max: 2, dispose: (value) => void disposed.push(value) });
    const loading = Promise.withResolvers<string>();
    const fetched = cache.fetch('a', () => loading.promise);
    await tools.turns(5);
    if (way === 'set') cache.set('a', 'newer');
    else if (way === 'delete') cache.delete('a');
    else cache.clear();
    loading.resolve('loaded');
    await fetched.catch(() => undefined);
    await tools.turns(5);
    // Whether it is stored is up to promise 8.
    if (disposed.includes('loaded') && cache.peek('a') !== 'loaded') disposedOf.push(way);
  }
  return disposedOf;
}

/** What happens to the loads of one cache. */
export type FetchStep =
  | readonly ['fetch', key: string]
  /** Ends a load: 1 is the first that began. `sizeOf` refuses a negative value. */
  | readonly ['end', load: number, how: 'returns' | 'rejects', id: number]
  | readonly ['set', key: string, id: number]
  | readonly ['delete', key: string]
  | readonly ['clear']
  | readonly ['purge']
  | readonly ['get', key: string]
  | readonly ['iterate']
  | readonly ['wait', ms: number]
  /** From now on, `load` throws or returns at once. */
  | readonly ['loads', how: 'wait' | 'throw' | 'return']
  /** The module comes to rest. How many loads began, what the callers got, and what is in the cache. */
  | readonly ['rest', expected: string];

/** Plays on a cache of its own. Returns what was seen at each rest. */
export async function playFetches({
  kata,
  args: { ttlMs, steps },
  tools,
}: Inside<typeof Kata, { ttlMs: number; steps: readonly FetchStep[] }>) {
  let nowMs = 0;
  let how: 'wait' | 'throw' | 'return' = 'wait';
  const sizeOf = (value: number) => value;
  const cache = new kata.LruCache<string, number>({ max: 10, maxBytes: 10_000, sizeOf, ttlMs, now: () => nowMs });
  const loads: PromiseWithResolvers<number>[] = [];
  const keysAsked = new Set<string>();
  const answers: string[] = [];
  const load = (key: string) => {
    keysAsked.add(key);
    const gate = Promise.withResolvers<number>();
    loads.push(gate);
    if (how === 'throw') throw new Error(`load ${loads.length} failed`);
    return how === 'return' ? loads.length : gate.promise;
  };
  /** A value that cannot be stored may be returned all the same, or fetch rejects with any error. */
  const isUnfit = (value: unknown) => (value as number) < 0;
  const toldOf = (error: unknown) => {
    if (!(error instanceof Error)) return inWords(error);
    return unfitLoaded && !error.message.startsWith('load ') ? unfit : error.message;
  };
  const unfit = 'not stored';
  let unfitLoaded = false;
  const seenNow = () => {
    const kept = [...keysAsked].flatMap((key) => (cache.has(key) ? [`${key}=${told(cache.peek(key))}`] : []));
    return `${loads.length} loads; ${answers.join(', ')}; cached ${kept.join(' ') || 'nothing'}`;
  };
  const seen: string[] = [];
  for (const step of steps) {
    if (step[0] === 'fetch') {
      const at = answers.push('waits') - 1;
      keysAsked.add(step[1]);
      const settle = (text: string) => void (answers[at] = text);
      try {
        cache.fetch(step[1], load).then(
          (value) => settle(isUnfit(value) ? unfit : String(value)),
          (error: unknown) => settle(toldOf(error)),
        );
      } catch {
        settle('fetch threw');
      }
    } else if (step[0] === 'end') {
      const gate = loads[step[1] - 1];
      unfitLoaded ||= isUnfit(step[3]);
      if (step[2] === 'returns') gate?.resolve(step[3]);
      else gate?.reject(new Error(`load ${step[1]} failed`));
    } else if (step[0] === 'set') cache.set(step[1], step[2]);
    else if (step[0] === 'delete') cache.delete(step[1]);
    else if (step[0] === 'clear') cache.clear();
    else if (step[0] === 'purge') cache.purge();
    else if (step[0] === 'get') cache.get(step[1]);
    else if (step[0] === 'iterate') void [...cache];
    else if (step[0] === 'wait') nowMs += step[1];
    else if (step[0] === 'loads') how = step[1];
    else {
      const end = elapsedMs() + 250;
      await tools.turns(5);
      for (let turn = 0; seenNow() !== step[1] && (turn < 50 || elapsedMs() < end); turn++) await tools.turns(1);
      seen.push(seenNow());
      if (seen.at(-1) !== step[1]) break;
    }
  }
  return seen;
}

/** Makes a cache with each of these limits. Returns which of them were refused, in order. */
export function construct({ kata, args }: Inside<typeof Kata, readonly object[]>): boolean[] {
  return args.map((options) => {
    try {
      new kata.LruCache({ sizeOf: () => 1, ...(options as { max: number }) });
      return false;
    } catch {
      return true;
    }
  });
}

/** In which ways entries leave. */
const ways = ['evicted by max', 'evicted by maxBytes', 'replaced', 'deleted', 'expired', 'refused', 'cleared'] as const;

/** Caches by the way in which entries leave, with their clocks. */
interface Caches {
  [way: string]: { readonly cache: Kata.LruCache<object, Weighty>; readonly clock: { nowMs: number } };
}

/**
 * Lets so many entries leave in each way, with keys and values that are watched. Returns how many entries stayed in each cache. The next call
 * uses the same caches, so that memlab can tell where in them something is held.
 */
export async function leaveInAllWays({
  kata,
  args: { count },
  kept,
  tools,
}: Inside<typeof Kata, { count: number }, Caches>): Promise<{ way: string; stayed: number }[]> {
  const stays: { way: string; stayed: number }[] = [];
  for (const way of [...ways, 'deleted after an eviction', 'loaded and evicted', 'not loaded'] as const) {
    const { cache, clock: own } = (kept[way] ??= openCache(kata, way, count));
    const lasting = [new Named(), new Named(), new Named()];
    const enter = async (key: Named, bytes: number) => {
      tools.watch(`keys of entries, ${way}`, key);
      const value = new Weighty(bytes);
      tools.watch(`values of entries, ${way}`, value);
      if (way === 'loaded and evicted') await cache.fetch(key, () => value);
      else if (way === 'not loaded') await cache.fetch(key, () => Promise.reject(value)).catch(() => undefined);
      else cache.set(key, value);
      if (way === 'replaced') cache.set(key, new Weighty(1));
      if (way === 'deleted') cache.delete(key);
    };
    const keys: Named[] = [];
    for (let left = count; left > 0; left--) {
      const key = new Named();
      await enter(key, way === 'refused' ? 200_000 : 10);
      if (way === 'deleted after an eviction') keys.push(key);
    }
    // By the eviction a module has looked for the oldest entry. What it looked with must not keep the others.
    if (keys.length > 0) cache.set({}, new Filler(10));
    for (const key of keys) cache.delete(key);
    if (way === 'replaced' || way === 'cleared') cache.clear();
    own.nowMs += 1000;
    if (way === 'expired') cache.purge();
    for (let left = 100; left > 0 && way.includes('evicted'); left--) cache.set({}, new Filler(10));
    for (const key of lasting) cache.set(key, new Weighty(1));
    stays.push({ way, stayed: lasting.filter((key) => cache.has(key)).length });
    await tools.turns(1);
  }
  return stays;
}

function openCache({ LruCache }: typeof Kata, way: string, count: number): Caches[string] {
  const own = { nowMs: 0 };
  const maxOf: Record<string, number> = {
    'evicted by max': 10,
    'loaded and evicted': 10,
    'deleted after an eviction': count,
  };
  const cache = new LruCache<object, Weighty>({
    max: maxOf[way] ?? 10 * count,
    maxBytes: way === 'evicted by maxBytes' ? 1000 : 100_000,
    ttlMs: 1000,
    sizeOf: ({ bytes }) => bytes,
    now: () => own.nowMs,
  });
  return { cache, clock: own };
}

class Named {
  readonly name = 'key';
}

class Weighty {
  readonly bytes: number;

  constructor(bytes: number) {
    this.bytes = bytes;
  }
}

/** What is not watched, and not named when something is held. */
class Filler extends Weighty {}

export interface Workload {
  readonly max: number;
  readonly operations: number;
  readonly seed: number;
  /** The measurement ends early when the module costs so many times as much. */
  readonly hopeless: number;
}

/** CPU time in µs for each chunk of operations, and how often each cache had what was asked for. */
export interface Costs {
  readonly own: readonly number[];
  readonly others: readonly number[];
  readonly ownHits: number;
  readonly otherHits: number;
}

/** Uses the module and the package `lru-cache` in turns, with the same keys. */
export function compareWithPackage({
  kata,
  args: { max, operations, seed, hopeless },
}: Inside<typeof Kata, Workload>): Costs {
  const names = Array.from({ length: 2 * max }, (_, at) => `customer:${at}`);
  const own = new kata.LruCache<string, number>({ max });
  const other = new LRUCache<string, number>({ max });
  const [ownRun, otherRun] = [new Run(own, useOwn, names, seed), new Run(other, useOther, names, seed)];
  const warmUp = 8;
  for (let chunk = -warmUp; ownRun.operations < operations; chunk++) {
    for (const run of chunk % 2 === 0 ? [ownRun, otherRun] : [otherRun, ownRun]) run.next();
    if (chunk === -1) for (const run of [ownRun, otherRun]) run.start();
    if (chunk > 10 && ownRun.total > hopeless * otherRun.total) break;
  }
  return { own: ownRun.costs, others: otherRun.costs, ownHits: ownRun.hits, otherHits: otherRun.hits };
}

interface Store {
  get(key: string): number | undefined;
  set(key: string, value: number): unknown;
}
type Use = (cache: Store, names: readonly string[], seed: number, rounds: number) => { seed: number; hits: number };

const roundsPerChunk = 10_000;

const getOrSet: Use = (cache, names, from, rounds) => {
  let [seed, hits] = [from, 0];
  for (let round = 0; round < rounds; round++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const key = names[(seed >>> 8) % names.length]!;
    if (cache.get(key) === undefined) cache.set(key, round);
    else hits++;
  }
  return { seed, hits };
};
/** A copy for each cache, so that V8 optimizes each copy for one cache. */
const [useOwn, useOther] = [1, 2].map(() => runInThisContext(`(${getOrSet.toString()})`) as Use) as [Use, Use];

class Run {
  readonly #cache: Store;
  readonly #use: Use;
  readonly #names: readonly string[];
  #seed: number;
  costs: number[] = [];
  hits = 0;
  operations = 0;
  total = 0;

  constructor(cache: Store, use: Use, names: readonly string[], seed: number) {
    [this.#cache, this.#use, this.#names, this.#seed] = [cache, use, names, seed];
  }

  /** Forgets what was measured so far. */
  start(): void {
    [this.costs, this.hits, this.operations, this.total] = [[], 0, 0, 0];
  }

  next(): void {
    const before = cpuUsage();
    const { seed, hits } = this.#use(this.#cache, this.#names, this.#seed, roundsPerChunk);
    const { user, system } = cpuUsage(before);
    this.costs.push(user + system);
    this.total += user + system;
    this.#seed = seed;
    this.hits += hits;
    // Each round is a get, and each miss a set.
    this.operations += 2 * roundsPerChunk - hits;
  }
}

function entriesOf(cache: Kata.LruCache<string, Value>): string {
  const entries: string[] = [];
  for (const [key, value] of cache) {
    entries.push(`${key}#${told(value)}`);
    if (entries.length >= 100) break;
  }
  return entries.join(' ') || 'nothing';
}

async function attempt(act: () => Promise<string>): Promise<string> {
  try {
    return await act();
  } catch (error) {
    return `throws ${error instanceof Error ? error.message : inWords(error)}`;
  }
}

function told(value: unknown): string {
  if (value === undefined) return 'nothing';
  return typeof value === 'object' && value !== null && 'id' in value ? String(value.id) : inWords(value);
}

function inWords(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
