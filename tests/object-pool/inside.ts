import { collectAndFinalize, endJob } from '../../helpers/instruments/heap/collections.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/object-pool/object-pool.ts';

/** What was seen, by what it was seen of. */
type Seen<Value = unknown> = Record<string, Value>;

type In<Args = undefined> = Inside<typeof Kata, Args, { called: { name: string; desk: Desk } }>;

/** What is pooled: buffers, or frozen objects that have one. */
export type Kind = 'buffers' | 'frozen objects';

export interface Setup {
  readonly kind: Kind;
  readonly max: number;
  readonly sizeBytes: number;
}

/** Long enough that nothing grows old unless a step moves the clock. */
const longMs = 1_000_000;

class Frame {
  readonly bytes: Buffer;
  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes);
    Object.freeze(this);
  }
}

type Thing = Frame | Buffer;

function bytesOf(thing: Thing): Buffer {
  return thing instanceof Frame ? thing.bytes : thing;
}

/**
 * Code that uses a pool: what it holds, it holds in `held`. None of its methods is async, and none leaves an object in a variable of
 * an async function: what a waiting function's variables hold is no garbage.
 */
class Desk {
  readonly pool: Kata.ObjectPool<Thing>;
  readonly held: Thing[] = [];
  /** All that `create` returned, unless there would be too many to remember. */
  readonly made: WeakRef<Thing>[] = [];
  created = 0;
  /** What the clock says. */
  ms = 1_000;
  /** What `reset` throws for an object. */
  readonly broken = new WeakMap<Thing, unknown>();
  /** What `create` throws. */
  createError: Error | undefined;
  readonly heard: unknown[] = [];
  /** Leases that somebody still refers to. */
  readonly leases: Kata.Lease<Thing>[] = [];
  readonly #leaseOf = new WeakMap<Thing, Kata.Lease<Thing>>();
  readonly #uses: Uses;
  /** When an idle object was released, and how many idle objects were released when: what the pool must still have. */
  readonly #since = new WeakMap<Thing, number>();
  readonly #idle = new Map<number, number>();
  readonly #idleMs: number;

  constructor(kata: typeof Kata, options: DeskOptions) {
    const { kind, max, sizeBytes, idleMs = longMs, remembers = true, uses = 'no leases' } = options;
    this.#idleMs = idleMs;
    this.#uses = uses;
    this.pool = kata.createObjectPool<Thing>({
      create: () => {
        if (this.createError) throw this.createError;
        this.created++;
        const thing = kind === 'buffers' ? Buffer.alloc(sizeBytes) : new Frame(sizeBytes);
        if (remembers) this.made.push(new WeakRef(thing));
        return thing;
      },
      reset: (thing) => {
        if (this.broken.has(thing)) throw this.broken.get(thing);
        bytesOf(thing).fill(0);
      },
      max,
      idleMs,
      now: () => this.ms,
      onError: (error) => this.heard.push(error),
    });
  }

  /** Acquires and holds. Returns how often `create` was called. */
  take(count: number): number {
    const before = this.created;
    for (let taken = 0; taken < count; taken++) {
      const thing = this.#uses !== 'no leases' && taken % 2 === 1 ? this.#takeByLease() : this.pool.acquire();
      this.#countIdle(this.#since.get(thing), -1);
      this.held.push(thing);
    }
    return this.created - before;
  }

  #takeByLease(): Thing {
    const lease = this.pool.lease();
    if (this.#uses === 'leases, and keeps them') this.leases.push(lease);
    this.#leaseOf.set(lease.object, lease);
    return lease.object;
  }

  /** Releases those that it has held for the longest time, or what it holds under the numbers given. */
  giveBack(which: number | readonly number[] = this.held.length): void {
    const numbers = typeof which === 'number' ? Array.from({ length: which }, (_, number) => number) : which;
    const given = numbers.map((number) => this.held[number]!);
    for (const thing of given) {
      this.held.splice(this.held.indexOf(thing), 1);
      const lease = this.#leaseOf.get(thing);
      this.#leaseOf.delete(thing);
      if (lease) lease[Symbol.dispose]();
      else this.pool.release(thing);
      this.#since.set(thing, this.ms);
      this.#countIdle(this.ms, 1);
    }
  }

  /** How many idle objects have not reached their time, whatever `max` says. */
  young(): number {
    let young = 0;
    for (const [ms, count] of this.#idle) if (ms > this.ms - this.#idleMs) young += count;
    return young;
  }

  #countIdle(ms: number | undefined, by: number): void {
    if (ms === undefined) return;
    const count = (this.#idle.get(ms) ?? 0) + by;
    if (count === 0) this.#idle.delete(ms);
    else this.#idle.set(ms, count);
  }

  /** The name of the error with which the release of an object is refused. */
  refusal(thing: Thing): string {
    try {
      this.pool.release(thing);
      return 'no error';
    } catch (error) {
      return error instanceof Error ? error.name : 'not an Error';
    }
  }

  /** The pool's own figures. */
  counts(): Counts {
    return { idle: this.pool.idle, held: this.pool.held };
  }

  /** How many of the objects that `create` returned are still there. Call it in a job in which nothing else happens. */
  left(): number {
    return this.made.filter((ref) => ref.deref() !== undefined).length;
  }

  /** How many different objects it holds. */
  different(): number {
    return new Set(this.held).size;
  }
}

type Uses = 'no leases' | 'leases' | 'leases, and keeps them';

interface DeskOptions extends Setup {
  readonly idleMs?: number;
  readonly remembers?: boolean;
  /** Whether every second object is acquired through a lease. */
  readonly uses?: Uses;
}

interface Counts {
  readonly idle: number;
  readonly held: number;
}

/** It stays in the process until another is asked for, so that snapshots of the heap can tell who holds what. */
function deskCalled(
  name: string,
  kata: typeof Kata,
  kept: { called?: { name: string; desk: Desk } },
  options: DeskOptions,
): Desk {
  if (kept.called?.name !== name) kept.called = { name, desk: new Desk(kata, options) };
  return kept.called.desk;
}

/** Takes objects, gives some back, and takes again: so many, one more, and one at a time. */
export function reuse({
  kata,
  args: { setup, count, back },
}: In<{ setup: Setup; count: number; back: number }>): Seen<number> {
  const desk = new Desk(kata, setup);
  const first = desk.take(count);
  const released = new Set(desk.held.slice(0, back));
  desk.giveBack(back);
  const again = desk.take(back);
  const others = desk.held.slice(count - back).filter((thing) => !released.has(thing)).length;
  const more = desk.take(1);
  desk.giveBack(1);
  let turns = 0;
  for (let turn = 0; turn < 50; turn++) {
    turns += desk.take(1);
    desk.giveBack([turn % desk.held.length]);
  }
  return {
    'for new objects': first,
    'while as many are idle': again,
    'objects that were not released': others,
    'when none is idle': more,
    'in 50 turns with one idle': turns,
  };
}

/** Objects are filled, released and acquired again, every third through a lease. How many were not clean? */
export function findTraces({
  kata,
  args: { setup, orders, fill },
}: In<{ setup: Setup; orders: readonly (readonly number[])[]; fill: number }>) {
  const desk = new Desk(kata, setup);
  const seen = { reused: 0, 'not clean': 0 };
  const known = new Set<Thing>();
  for (const order of orders) {
    const leases = order.map((_, number) => (number % 3 === 2 ? desk.pool.lease() : undefined));
    const things = leases.map((lease) => lease?.object ?? desk.pool.acquire());
    for (const [number, thing] of things.entries()) {
      if (known.has(thing)) seen.reused++;
      known.add(thing);
      const bytes = bytesOf(thing);
      if (bytes.some((byte) => byte !== 0)) seen['not clean']++;
      bytes[number % 2 === 0 ? 0 : bytes.length - 1] = fill;
      if (number % 3 === 0) bytes.fill(fill);
    }
    for (const number of order) {
      const lease = leases[number];
      if (lease) lease[Symbol.dispose]();
      else desk.pool.release(things[number]!);
    }
  }
  return seen;
}

/** Twice, more objects than the pool may keep come back. Their leases stay. What does the pool count, and what is left? */
export async function comeBack({
  kata,
  args: { setup, extra },
  kept,
}: In<{ setup: Setup; extra: number }>): Promise<Seen[]> {
  const desk = deskCalled(`at most ${setup.max}`, kata, kept, { ...setup, uses: 'leases, and keeps them' });
  const rounds: Seen[] = [];
  for (let round = 0; round < 2; round++) {
    const created = desk.take(setup.max + extra);
    const counts = [desk.counts()];
    while (desk.held.length > 0) {
      desk.giveBack(1);
      counts.push(desk.counts());
    }
    await collectAndFinalize();
    rounds.push({ created, counts, 'after a collection': desk.counts(), left: desk.left() });
  }
  return rounds;
}

/** Releases again: what is idle, what was dropped because there were too many, because it was old, and because `reset` threw. */
export function releaseAgain({ kata, args: setup }: In<Setup>): Seen {
  const { max } = setup;
  const desk = new Desk(kata, { ...setup, idleMs: 10 });
  desk.take(max + 2);
  const things = [...desk.held];
  desk.giveBack(max + 1);
  const atFirst = refuseAll(desk, things.slice(0, -1));
  const { idle } = desk.pool;
  const created = desk.take(idle);
  const isShared = desk.different() < desk.held.length;

  desk.giveBack();
  desk.ms += 10;
  desk.take(1);
  desk.broken.set(desk.held[0]!, new Error('not clean'));
  const rest = new Set([...things, ...desk.held]);
  desk.giveBack();
  desk.take(1);
  rest.delete(desk.held[0]!);
  return {
    'idle and surplus objects': atFirst,
    'calls of create for as many as were idle': created,
    'an object has two holders': isShared,
    'old and broken objects': refuseAll(desk, [...rest]),
  };
}

/** Releases objects that nobody holds. */
function refuseAll(desk: Desk, things: readonly Thing[]): { errors: string[]; changed: number } {
  const before = desk.counts();
  const errors = unique(things.map((thing) => desk.refusal(thing)));
  const after = desk.counts();
  return { errors, changed: Math.abs(after.idle - before.idle) + Math.abs(after.held - before.held) };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}

/** Offers objects that the pool never handed out, while it holds some itself. */
export function releaseForeign({ kata, args: { setup, fill } }: In<{ setup: Setup; fill: number }>): Seen {
  const desk = new Desk(kata, setup);
  const other = new Desk(kata, setup);
  desk.take(2);
  other.take(2);
  const idle = other.held[0]!;
  other.giveBack(1);
  const [own, theirs] = [desk.held[0]!, other.held[0]!];
  for (const thing of [own, theirs]) bytesOf(thing).fill(fill);
  const copy = Buffer.from(bytesOf(own));
  const view = bytesOf(own).subarray(0);
  const foreign: Seen<Thing> = {
    'a copy': copy,
    'a view of the same bytes': view,
    'an object that another pool’s user holds': theirs,
    'an object that is idle in another pool': idle,
  };
  const errors = Object.fromEntries(Object.entries(foreign).map(([what, thing]) => [what, desk.refusal(thing)]));
  const changed = [own, theirs, copy].filter((thing) => bytesOf(thing).some((byte) => byte !== fill)).length;
  const counts = desk.counts();
  const created = desk.take(1);
  const taken = desk.held.at(-1)!;
  const isForeign = Object.values(foreign).some(
    (thing) => thing === taken || bytesOf(thing).buffer === bytesOf(taken).buffer,
  );
  other.giveBack();
  desk.giveBack();
  return {
    errors,
    'objects whose bytes were changed': changed,
    'then idle and held': counts,
    'created for the next': created,
    'the next is one of them': isForeign,
    'idle at last, here and there': [desk.pool.idle, other.pool.idle],
  };
}

/** Some idle objects cannot be cleaned. Then as many objects as were idle are acquired, and all are released again. */
export async function breakSome({
  kata,
  args: { setup, breaks },
  kept,
}: In<{ setup: Setup; breaks: readonly boolean[] }>): Promise<Seen> {
  const desk = deskCalled(`broken ${breaks.join()}`, kata, kept, setup);
  const errors = giveBackBroken(desk, breaks);
  const clean = breaks.filter((isBroken) => !isBroken).length;
  const createdFirst = desk.take(clean);
  const created = desk.take(breaks.length - clean);
  const seen = desk.held.filter((thing) => desk.broken.has(thing)).length;
  const counts = desk.counts();
  const heard = desk.heard.splice(0);
  desk.giveBack();
  const atLast = desk.counts();
  desk.take(breaks.length);
  desk.held.length = 0;
  await collectAndFinalize();
  return {
    'created while clean ones are idle': createdFirst,
    created,
    'broken objects acquired': seen,
    counts,
    'errors told once': errors.filter((error) => heard.filter((one) => one === error).length === 1).length,
    'other errors': heard.filter((error) => !errors.includes(error)).length,
    'errors told later': desk.heard.length,
    'idle and held at last': atLast,
    'left when nobody holds one': desk.left(),
  };
}

/** One idle object grows too old while younger ones are idle. After the next call: what does the pool count, and what is left? */
export async function growOld({
  kata,
  args: { setup, idleMs, call },
  kept,
}: In<{ setup: Setup; idleMs: number; call: 'acquire' | 'release' }>): Promise<Counts & { left: number }> {
  const desk = deskCalled(`old, ${call}`, kata, kept, { ...setup, idleMs });
  desk.take(setup.max);
  // The last one: when this is repeated, it is new.
  desk.giveBack([desk.held.length - 1]);
  desk.ms += idleMs - 1;
  desk.giveBack(setup.max - 2);
  desk.ms += 1;
  if (call === 'acquire') desk.take(1);
  else desk.giveBack(1);
  await collectAndFinalize();
  return { ...desk.counts(), left: desk.left() };
}

/** Objects that cannot be cleaned come back and are collected, while as many others are held. How many does the pool count? */
export async function collectBroken({
  kata,
  args: { setup, count },
}: In<{ setup: Setup; count: number }>): Promise<Counts> {
  const desk = new Desk(kata, setup);
  refuseBroken(desk, count);
  desk.take(count);
  await collectAndFinalize();
  return desk.counts();
}

/** Whether `release` throws is another promise. */
function refuseBroken(desk: Desk, count: number): void {
  desk.take(count);
  for (const thing of desk.held.splice(0)) {
    desk.broken.set(thing, 'not clean');
    desk.refusal(thing);
  }
}

/** Returns what `reset` will throw. */
function giveBackBroken(desk: Desk, breaks: readonly boolean[]): unknown[] {
  desk.take(breaks.length);
  const chosen = desk.held.filter((_, number) => breaks[number]);
  // Not by `chosen.map`: an Error holds the objects whose methods were running when it was created.
  const errors: unknown[] = [];
  for (let number = 0; number < chosen.length; number++)
    errors.push([new Error(`cannot clean ${number}`), undefined, `text ${number}`, number][number % 4]);
  for (const [number, thing] of chosen.entries()) desk.broken.set(thing, errors[number]);
  desk.giveBack();
  return errors;
}

/** `create` throws: with nothing idle, with an idle object, and with held ones. */
export function failToCreate({ kata, args: setup }: In<Setup>): Seen {
  const desk = new Desk(kata, setup);
  const atFirst = failed(desk);
  desk.createError = undefined;
  desk.take(2);
  desk.giveBack(1);
  desk.createError = new Error('no memory');
  const reused = attempt(desk, () => void desk.take(1));
  const withHeld = failed(desk);
  desk.createError = undefined;
  const created = desk.take(2);
  const counts = desk.counts();
  desk.giveBack();
  return {
    'at first': atFirst,
    'with an idle object': reused,
    'with held objects': withHeld,
    'created afterwards': created,
    'idle and held': counts,
    'and when all are released': desk.counts(),
  };
}

/** Tries to acquire in both ways. */
function failed(desk: Desk): Seen {
  desk.createError = new Error('no memory');
  return {
    acquire: attempt(desk, () => void desk.pool.acquire()),
    lease: attempt(desk, () => void desk.pool.lease().object),
    ...desk.counts(),
  };
}

function attempt({ createError }: Desk, act: () => void): string {
  try {
    act();
    return 'an object';
  } catch (error) {
    return error === createError ? 'the same error' : 'another error';
  }
}

/** One thing that happens in a history. `pick` chooses among the objects that it may happen to. */
interface Happening {
  readonly what: 'acquire' | 'lease' | 'release' | 'release again' | 'release a view' | 'break and release' | 'fail';
  readonly pick: number;
}

export interface History extends Omit<Setup, 'kind'> {
  readonly happenings: readonly Happening[];
}

interface Holding {
  readonly thing: Thing;
  readonly fill: number;
  readonly release: () => void;
}

/** Lives through histories. Returns what is wrong with each, if anything is. */
export function live({ kata, args: histories }: In<readonly History[]>): { fault?: string }[] {
  return histories.map((history) => {
    const fault = faultOf(new Desk(kata, { ...history, kind: 'buffers' }), history.happenings);
    return fault === undefined ? {} : { fault };
  });
}

function faultOf(desk: Desk, happenings: readonly Happening[]): string | undefined {
  const { pool } = desk;
  const holdings: Holding[] = [];
  let idle: Thing[] = [];
  for (const [number, { what, pick }] of happenings.entries()) {
    const chosen = holdings[pick % holdings.length];
    const fill = (number % 255) + 1;
    desk.createError = what === 'fail' ? new Error('no memory') : undefined;
    if (what === 'acquire' || what === 'lease' || what === 'fail') {
      const holding = hold(pool, fill, what === 'lease');
      // Whether `fail` fails depends on what is idle.
      if (!holding && what !== 'fail') return `${what}, step ${number + 1}, threw`;
      if (holding) {
        const owner = holdings.findIndex(({ thing }) => bytesOf(thing).buffer === bytesOf(holding.thing).buffer);
        if (owner !== -1) return `${what}, step ${number + 1}, returned an object that holder ${owner + 1} still holds`;
        bytesOf(holding.thing).fill(fill);
        holdings.push(holding);
        idle = idle.filter((thing) => thing !== holding.thing);
      }
    } else if (what === 'release again') {
      const thing = idle[pick % idle.length];
      if (thing) desk.refusal(thing);
    } else if (chosen && what === 'release a view') {
      desk.refusal(bytesOf(chosen.thing).subarray(pick % 2));
    } else if (chosen) {
      if (what === 'break and release') desk.broken.set(chosen.thing, new Error('not clean'));
      holdings.splice(holdings.indexOf(chosen), 1);
      chosen.release();
      idle.push(chosen.thing);
    }
    const changed = holdings.findIndex(({ thing, fill: own }) => bytesOf(thing).some((byte) => byte !== own));
    if (changed !== -1) return `${what}, step ${number + 1}, changed the bytes of holder ${changed + 1}`;
  }
  return undefined;
}

function hold(pool: Kata.ObjectPool<Thing>, fill: number, isLease: boolean): Holding | undefined {
  try {
    if (!isLease) {
      const thing = pool.acquire();
      return { thing, fill, release: () => pool.release(thing) };
    }
    const lease = pool.lease();
    return { thing: lease.object, fill, release: () => lease[Symbol.dispose]() };
  } catch {
    return undefined;
  }
}

/** Leases are forgotten, their objects are not. Then as many objects are acquired. How many have two holders? */
export async function forgetLeases({
  kata,
  args: { setup, count },
}: In<{ setup: Setup; count: number }>): Promise<Seen<number>> {
  const desk = new Desk(kata, setup);
  holdWithoutLeases(desk, count);
  await collectAndFinalize();
  desk.take(count);
  return { held: desk.held.length, different: desk.different() };
}

function holdWithoutLeases(desk: Desk, count: number): void {
  for (let number = 0; number < count; number++) desk.held.push(desk.pool.lease().object);
}

/** Forgets objects of all pasts. Others stay, are idle, or were dropped. Of one only the lease stays, of another only the object. */
export async function forget({
  kata,
  args: { setup, count },
  kept,
}: In<{ setup: Setup; count: number }>): Promise<Seen> {
  const desk = deskCalled('forgetful', kata, kept, setup);
  const stays = 2;
  useAndForget(desk, count, stays);
  const before = desk.counts();
  await collectAndFinalize();
  await collectAndFinalize();
  const after = desk.counts();
  const left = desk.left();
  await endJob();
  desk.giveBack(stays);
  const atLast = desk.counts();
  await collectAndFinalize();
  return { before, after, left, 'at last': atLast, 'at last, after a collection': desk.counts() };
}

/** First, objects are used over and over, and surplus ones come back. */
function useAndForget(desk: Desk, count: number, stays: number): void {
  for (let round = 0; round < 3; round++) {
    desk.take(desk.pool.idle + 3);
    desk.giveBack();
  }
  desk.take(count);
  desk.held.length = 0;
  for (let number = 0; number < 3; number++) desk.pool.lease();
  desk.take(stays);
  holdWithoutLeases(desk, 1);
  desk.leases.push(desk.pool.lease());
}

/** Acquires objects that nobody releases, and lets them be collected. Nobody reads `held` meanwhile. */
export async function forgetMany({
  kata,
  args: { setup, count },
  kept,
}: In<{ setup: Setup; count: number }>): Promise<void> {
  const desk = deskCalled('forgets many', kata, kept, { ...setup, remembers: false });
  for (let number = 0; number < count; number++) void (number % 4 === 0 ? desk.pool.lease() : desk.pool.acquire());
  await collectAndFinalize();
  desk.take(1);
  desk.giveBack();
}

/** What the pool still counts as held after `forgetMany`. */
export function countForgotten({ kept }: In): number {
  return kept.called!.desk.pool.held;
}

/** Uses objects, `atOnce` at a time, while the clock moves by 1 ms a use. Returns how often `create` was called. */
export function useMany({
  kata,
  args: { setup, idleMs, atOnce, rounds },
  kept,
}: In<{ setup: Setup; idleMs: number; atOnce: number; rounds: number }>): number {
  const desk = deskCalled('busy', kata, kept, { ...setup, idleMs, remembers: false });
  const before = desk.created;
  for (let round = 0; round < rounds; round++) useOnce(desk, atOnce);
  return desk.created - before;
}

/** Every second use has a lease. */
function useOnce(desk: Desk, atOnce: number): void {
  const half = Math.floor(atOnce / 2);
  desk.take(half);
  const leases = Array.from({ length: atOnce - half }, () => desk.pool.lease());
  for (const { object } of leases) bytesOf(object)[0] = 1;
  desk.giveBack();
  for (const lease of leases) lease[Symbol.dispose]();
  desk.ms += atOnce;
}

/** Leaves blocks with leases in all ways, and disposes of a lease again when its object has another holder. */
export function useLeases({ kata, args: setup }: In<Setup>): Seen {
  const desk = new Desk(kata, setup);
  const { pool } = desk;
  const inside: Counts[] = [];
  const error = new Error('a failure in the block');
  const leases: Kata.Lease<Thing>[] = [];
  let isSteady = true;
  const block = (how: 'return' | 'throw'): string => {
    using outer = pool.lease();
    using inner = pool.lease();
    leases.push(outer, inner);
    isSteady &&= outer.object === outer.object && outer.object !== inner.object;
    inside.push(desk.counts());
    if (how === 'throw') throw error;
    return 'a value';
  };
  const returned = block('return');
  const afterReturn = desk.counts();
  let thrown = 'nothing';
  try {
    block('throw');
  } catch (caught) {
    thrown = caught === error ? 'the same error' : 'another error';
  }
  const afterThrow = desk.counts();
  desk.take(2);
  const others = [pool.lease(), pool.lease()];
  for (const { object } of others) desk.held.push(object);
  const objects = leases.map((lease) => attemptObject(lease));
  const again = leases.map((lease) => attemptDispose(lease));
  const counts = desk.counts();
  desk.take(2);
  return {
    returned,
    'idle and held inside': inside,
    'object is the same each time, another for each lease': isSteady,
    'idle and held after a return': afterReturn,
    thrown,
    'idle and held after an error': afterThrow,
    'object of a disposed lease': unique(objects),
    'dispose again': unique(again),
    'idle and held after that': counts,
    'different objects of 6 held': desk.different(),
    created: desk.created,
  };
}

function attemptObject(lease: Kata.Lease<Thing>): string {
  try {
    return lease.object === undefined ? 'undefined' : 'an object';
  } catch {
    return 'an error';
  }
}

function attemptDispose(lease: Kata.Lease<Thing>): string {
  try {
    lease[Symbol.dispose]();
    return 'no error';
  } catch {
    return 'an error';
  }
}

/** Time passes, and then objects are acquired (more than 0) or released. */
interface Moment {
  readonly passMs: number;
  readonly take: number;
}

export interface Times {
  readonly idleMs: number;
  readonly moments: readonly Moment[];
}

/** Lives through moments. Returns what is wrong with each history, if anything is. */
export function passTime({ kata, args: { setup, times } }: In<{ setup: Setup; times: readonly Times[] }>) {
  return times.map(({ idleMs, moments }): { fault?: string } => {
    const desk = new Desk(kata, { ...setup, idleMs, uses: 'leases' });
    // As Date.now has it.
    desk.ms = 1_790_000_000_000;
    for (const [number, { passMs, take }] of moments.entries()) {
      desk.ms += passMs;
      const young = desk.young();
      const count = take > 0 ? take : Math.min(-take, desk.held.length);
      if (count === 0) continue;
      const created = take > 0 ? desk.take(count) : 0;
      if (take < 0) desk.giveBack(count);
      const step = `step ${number + 1}: ${passMs} ms pass, then ${take > 0 ? 'acquire' : 'release'} is called ${count} times`;
      if (created > Math.max(0, count - young))
        return { fault: `${step}; create was called ${created} times, while ${young} were idle for less than idleMs` };
      if (desk.pool.idle !== desk.young())
        return { fault: `${step}; then idle is ${desk.pool.idle}, and ${desk.young()} were idle for less than idleMs` };
    }
    return {};
  });
}

const calls = ['acquire', 'lease', 'release', 'dispose', 'release, reset throws', 'dispose, reset throws'] as const;

/** As many objects as the pool may keep are idle for too long, and another one is held. How many are idle after one call? */
export function callWithOld({ kata, args: { setup, idleMs } }: In<{ setup: Setup; idleMs: number }>): Seen<number> {
  return Object.fromEntries(
    calls.map((call) => {
      const desk = new Desk(kata, { ...setup, idleMs });
      desk.take(setup.max);
      const thing = call.startsWith('release') ? desk.pool.acquire() : undefined;
      const lease = call.startsWith('dispose') ? desk.pool.lease() : undefined;
      desk.giveBack();
      desk.ms += idleMs;
      if (call.endsWith('throws')) desk.broken.set(thing ?? lease!.object, new Error('not clean'));
      if (call === 'acquire') desk.pool.acquire();
      else if (call === 'lease') desk.leases.push(desk.pool.lease());
      else
        try {
          if (thing) desk.pool.release(thing);
          else lease![Symbol.dispose]();
        } catch {
          // Whether it throws what `reset` threw is another promise.
        }
      return [call, desk.pool.idle];
    }),
  );
}

/** Idle objects are released again when they are almost too old. How many are idle when they are too old, and one is acquired? */
export function refuseAndPass({ kata, args: { setup, idleMs } }: In<{ setup: Setup; idleMs: number }>): number {
  const desk = new Desk(kata, { ...setup, idleMs });
  desk.take(setup.max);
  const things = [...desk.held];
  desk.giveBack();
  desk.ms += idleMs - 1;
  const errors = unique(things.map((thing) => desk.refusal(thing)));
  // What is not refused is up to promise 4.
  if (errors.join() !== 'DoubleReleaseError') return 0;
  desk.ms += 1;
  desk.take(1);
  return desk.pool.idle;
}

/** After a burst, some objects stay in use. What is kept when `idleMs` have passed since the burst? */
export async function burst({
  kata,
  args: { setup, idleMs, count, steady },
  kept,
}: In<{ setup: Setup; idleMs: number; count: number; steady: number }>) {
  const desk = deskCalled('burst', kata, kept, { ...setup, idleMs });
  await collectAndFinalize();
  const before = process.memoryUsage().arrayBuffers;
  desk.take(count);
  desk.giveBack();
  const inBurst = desk.counts();
  let created = 0;
  const steps = 4;
  for (let step = 1; step <= steps; step++) {
    desk.ms += step === 1 ? idleMs - (steps - 1) * Math.floor(idleMs / steps) : Math.floor(idleMs / steps);
    created += desk.take(steady);
    desk.giveBack(Array.from({ length: steady }, (_, number) => (number + step) % steady));
  }
  const after = desk.counts();
  await collectAndFinalize();
  const bytes = process.memoryUsage().arrayBuffers - before;
  return { inBurst, created, after, left: desk.left(), bytes };
}
