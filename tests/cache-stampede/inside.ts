import { getHeapSnapshot } from 'node:v8';
import { createPool, type Pool } from 'mysql2/promise';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type * as Kata from '../../katas/cache-stampede/cache-stampede.ts';

/** How a load ends, or a call. */
export type Outcome = { readonly value: unknown } | { readonly missing: true } | { readonly error: string };

/** What `load` does: it waits until the judge ends it, ends at once, or throws before it returns a promise. */
export type Plan = 'held' | 'at once' | 'throws' | Outcome;

/** The options that are plain data. */
export type Settings = Pick<Kata.CachedLoaderOptions<unknown>, 'ttlMs' | 'staleMs' | 'missingMs' | 'maxKeys'>;

/** What one process has seen since its loader was made. */
export interface Report {
  readonly loads: readonly { readonly key: string; readonly hasEnded: boolean }[];
  readonly calls: readonly { readonly key: string; readonly outcome?: Outcome }[];
}

interface Load {
  readonly key: string;
  hasEnded: boolean;
  end(outcome: Outcome): void;
}

interface Call {
  readonly key: string;
  outcome?: Outcome;
}

/** One loader, what it has loaded, and the calls that the judge has made. */
interface Bench {
  readonly name: string;
  readonly loader: Kata.CachedLoader<unknown>;
  readonly loads: Load[];
  readonly calls: Call[];
  nowMs: number;
  plan: Plan;
}

interface Kept {
  pool: Pool;
  bench: Bench;
}

type In<Args = undefined> = Inside<typeof Kata, Args, Kept>;

/** Opens this process's pool with all of its connections. */
export async function openPool({ args, kept }: In<AccountOptions>): Promise<void> {
  kept.pool = createPool(args);
  const opened = await Promise.all(Array.from({ length: args.connectionLimit }, () => kept.pool.getConnection()));
  for (const connection of opened) connection.release();
}

/** Makes a new loader, whose loads are held. */
export function openLoader({
  kata,
  args: { name, settings, nowMs },
  kept,
}: In<{ readonly name: string; readonly settings: Settings; readonly nowMs: number }>): void {
  const loads: Load[] = [];
  const load = (key: string): Promise<unknown> => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const made: Load = {
      key,
      hasEnded: false,
      end(outcome) {
        made.hasEnded = true;
        if ('error' in outcome) reject(new Error(outcome.error));
        else resolve('value' in outcome ? outcome.value : undefined);
      },
    };
    const count = loads.push(made);
    const { plan } = bench;
    if (plan === 'throws') {
      made.hasEnded = true;
      throw new Error(`load threw for ${key}`);
    }
    if (plan === 'at once') made.end({ value: { key, by: name, load: count } });
    else if (plan !== 'held') made.end(plan);
    return promise;
  };
  const bench: Bench = {
    name,
    loads,
    calls: [],
    nowMs,
    plan: 'held',
    loader: kata.createCachedLoader({ pool: kept.pool, load, now: () => bench.nowMs, ...settings }),
  };
  kept.bench = bench;
}

/** Moves the clock, changes what `load` does, or both. */
export function arrange({
  args: { nowMs, plan },
  kept: { bench },
}: In<{ readonly nowMs?: number; readonly plan?: Plan }>): void {
  bench.nowMs = nowMs ?? bench.nowMs;
  bench.plan = plan ?? bench.plan;
}

/** Makes calls at once and does not wait for them. With `retries`, each one that fails is made once more in the same microtask. */
export function ask({
  args: { key, callers, retries },
  kept: { bench },
}: In<{ readonly key: string; readonly callers: number; readonly retries: boolean }>): void {
  for (let caller = 0; caller < callers; caller++) call(bench, key, retries);
}

/** Makes a call and waits for its outcome. */
export async function get({ args: key, kept: { bench } }: In<string>): Promise<Outcome> {
  return await outcomeOf(() => bench.loader.get(key));
}

/**
 * Makes a call in each turn of the event loop until the load has begun, 20 at most; ends the load, and makes a call in each of
 * the microtasks and turns that follow, 10 of each.
 */
export async function askThroughout({
  args: { key, outcome },
  kept: { bench },
  tools,
}: In<{ readonly key: string; readonly outcome: Outcome }>): Promise<void> {
  const held = () => bench.loads.find((load) => load.key === key);
  for (let turn = 0; !held(); turn++) {
    if (turn < 20) call(bench, key);
    await tools.turns(1);
  }
  held()?.end(outcome);
  for (let microtask = 0; microtask < 10; microtask++) {
    call(bench, key);
    await Promise.resolve();
  }
  for (let turn = 0; turn < 10; turn++) {
    call(bench, key);
    await tools.turns(1);
  }
}

/** Loads keys, one after the other, each with a value of so many bytes, and keeps none of them. See `keyOf`. */
export async function loadLarge({
  args: { prefix, from, count, bytes },
  kept: { bench },
}: In<{
  readonly prefix: string;
  readonly from: number;
  readonly count: number;
  readonly bytes: number;
}>): Promise<number> {
  let received = 0;
  for (let index = from; index < from + count; index++) {
    const value = Buffer.alloc(bytes, 97 + (index % 26)).toString('latin1');
    bench.plan = { value };
    if ((await bench.loader.get(keyOf(prefix, index))) === value) received += 1;
  }
  bench.plan = 'held';
  bench.loads.length = 0;
  return received;
}

/** A key that begins with these letters and shows where it ends. */
function keyOf(prefix: string, number: number | string): string {
  return `${prefix}${number}!`;
}

/** How many keys with this prefix are in memory, as strings or within some. */
export async function keysInMemory({ args: prefix }: In<string>): Promise<number> {
  const found = new Set<string>();
  const pattern = new RegExp(keyOf(prefix, '\\d+'), 'g');
  let rest = '';
  for await (const chunk of getHeapSnapshot()) {
    const text = rest + Buffer.from(chunk as Uint8Array).toString('latin1');
    for (const [key] of text.matchAll(pattern)) found.add(key);
    rest = text.slice(-100);
  }
  return found.size;
}

/** Ends the loads of a key that are held, and says how many they were. */
export function endLoads({
  args: { key, outcome },
  kept: { bench },
}: In<{ readonly key: string; readonly outcome: Outcome }>): number {
  const held = bench.loads.filter((load) => load.key === key && !load.hasEnded);
  for (const load of held) load.end(outcome);
  return held.length;
}

/** What has happened so far. */
export function report({ kept: { bench } }: In): Report {
  return {
    loads: bench.loads.map(({ key, hasEnded }) => ({ key, hasEnded })),
    calls: bench.calls.map(({ key, outcome }) => ({ key, ...(outcome && { outcome }) })),
  };
}

function call(bench: Bench, key: string, retries = false): void {
  const made: Call = { key };
  bench.calls.push(made);
  void outcomeOf(() => bench.loader.get(key), retries ? () => call(bench, key) : undefined).then((outcome) => {
    made.outcome = outcome;
  });
}

/** `onError` is called in the microtask in which the caller learns of it. */
async function outcomeOf(run: () => Promise<unknown>, onError?: () => void): Promise<Outcome> {
  try {
    const value = await run();
    return value === undefined ? { missing: true } : { value };
  } catch (error) {
    onError?.();
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
