import { collectAndFinalize, collectNow, endJob } from '../../helpers/instruments/heap/collections.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/weak-registry/weak-registry.ts';

/** What was seen, by what it was seen of. */
type Seen<Value = unknown> = Record<string, Value>;

type In<Args = undefined> = Inside<typeof Kata, Args, { desks: Map<string, Desk> }>;

/** A value. */
class Doc {
  readonly key: unknown;
  constructor(key: unknown) {
    this.key = key;
    Object.freeze(this);
  }
}

/** A key that is an object. */
class Path {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What is attached to a value. */
class Note {
  readonly doc: object;
  constructor(doc: object) {
    this.doc = doc;
  }
}

/**
 * Code that uses a registry: whom it holds, it holds in `held`. None of its methods is async, and none leaves a value in a variable of
 * an async function: what a waiting function's variables hold is no garbage.
 */
class Desk {
  readonly registry: Kata.Registry<unknown, object>;
  readonly held = new Map<unknown, object>();
  /** All that `create` returned. */
  readonly made: WeakRef<object>[] = [];

  constructor(kata: typeof Kata) {
    this.registry = kata.createRegistry<unknown, object>();
  }

  /** Gets values, which `create` makes if it is called, and holds them if told so. */
  open(keys: Iterable<unknown>, hold = false): void {
    for (const key of keys) {
      const doc = this.get(key);
      if (hold) this.held.set(key, doc);
    }
  }

  /** Gets a key, for which `create` returns this value, and holds what came. */
  hold(key: unknown, doc: object): void {
    this.held.set(
      key,
      this.registry.get(key, () => doc),
    );
  }

  get(key: unknown): object {
    // Who keeps `create` keeps the value.
    let doc: Doc | undefined;
    return this.registry.get(key, (asked) => {
      doc = new Doc(asked);
      this.made.push(new WeakRef(doc));
      return doc;
    });
  }

  /** Gets what is held again. How many other objects came, and how often `create` was called? */
  openAgain(): Seen<number> {
    const before = this.made.length;
    let others = 0;
    for (const [key, doc] of this.held) if (this.get(key) !== doc) others++;
    return { 'other objects': others, 'calls of create': this.made.length - before };
  }

  /** How many of the values that `create` returned are still there. Call it in a job in which nothing else happens. */
  left(): number {
    return alive(this.made);
  }

  /** The keys and the number of values that come, or what is wrong with them. */
  entries(): unknown[] {
    return [...this.registry].map(([key, value]) =>
      value === this.held.get(key) ? key : `${String(key)} with ${value ? 'another value' : 'no value'}`,
    );
  }
}

/** Opens documents, holds every second, and gets them again after each of three collections. */
export async function holdHalf({ kata, args: keys }: In<readonly string[]>): Promise<Seen<number>[]> {
  const desk = new Desk(kata);
  const seen: Seen<number>[] = [];
  openHalf(desk, keys);
  seen.push(desk.openAgain());
  for (let round = 0; round < 3; round++) {
    await collectAndFinalize();
    seen.push(desk.openAgain());
  }
  return seen;
}

/** The first of two keys is held. */
function openHalf(desk: Desk, keys: readonly unknown[]): void {
  for (const [index, key] of keys.entries()) desk.open([key], index % 2 === 0);
}

/** What `get` returns for an object that `create` returns, whoever asks. */
export function getsWhatIsCreated({ kata, args: keys }: In<readonly string[]>): Seen<number> {
  const registry = kata.createRegistry<string, object>();
  let [others, wrongKeys] = [0, 0];
  for (const key of keys) {
    const doc = new Doc(key);
    const got = registry.get(key, (asked) => {
      if (asked !== key) wrongKeys++;
      return doc;
    });
    if (got !== doc) others++;
  }
  return { 'other objects': others, 'other keys given to create': wrongKeys };
}

/** Each of many different keys, and what is wrong with the value that it gets. */
export function tellApart({ kata, args: { word, number } }: In<{ word: string; number: number }>) {
  const desk = new Desk(kata);
  const groups: unknown[][] = [
    [word, number, String(number), BigInt(number), `${number}n`, -number, number + 0.5],
    [Number.NaN, 'NaN', Infinity, 0, '0', '', null, 'null', undefined, 'undefined', true, 'true', false],
    ['__proto__', 'constructor', 'toString', 'hasOwnProperty', word.toUpperCase(), `${word} `],
    [Symbol(word), Symbol(word), Symbol.for(word)],
    [{ word }, { word }, [word], [word], '[object Object]', JSON.stringify({ word })],
    [() => word, () => word, new Date(number), new Date(number)],
  ];
  const keys = groups.flat();
  desk.open(keys, true);
  const size = desk.registry.size;

  const owners = new Map([...desk.held].reverse().map(([key, doc]) => [doc, key]));
  const wrong = [...desk.held].flatMap(([key, doc]) => {
    const owner = owners.get(doc);
    if (!Object.is(owner, key)) return [`${nameOf(key)} gets the value of ${nameOf(owner)}`];
    if (desk.get(key) !== doc) return [`${nameOf(key)} gets another value when it is asked again`];
    const asked = (doc as Doc).key;
    return Object.is(asked, key) ? [] : [`create is given ${nameOf(asked)} for ${nameOf(key)}`];
  });
  if (desk.get(-0) !== desk.held.get(0)) wrong.push('-0 does not get the value of 0');
  return { wrong, size, keys: desk.held.size };
}

function nameOf(key: unknown): string {
  if (typeof key === 'object' && key !== null) return `an object (${JSON.stringify(key)})`;
  return typeof key === 'string' ? JSON.stringify(key) : typeof key === 'bigint' ? `${key}n` : String(key);
}

/** Opens documents that nobody holds. How many are left? And what comes when they are opened again? */
export async function dropAll({ kata, args: keys, kept }: In<readonly string[]>) {
  const desk = deskCalled('dropped', kata, kept);
  desk.open(keys);
  const created = desk.made.length;
  await collectAndFinalize();
  const left = desk.left();
  await endJob();
  desk.open(keys);
  return { created, left, 'created again': desk.made.length - created };
}

/** It stays in the process, so that two snapshots of the heap can tell who holds what has come between them. */
function deskCalled(name: string, kata: typeof Kata, kept: { desks?: Map<string, Desk> }): Desk {
  kept.desks ??= new Map();
  const desk = kept.desks.get(name) ?? new Desk(kata);
  kept.desks.set(name, desk);
  return desk;
}

/** Half of the values are held. The others go, and some stand under two keys. What is left of their keys? */
export async function dropKeys({ kata, args: count, kept }: In<number>): Promise<Seen<number>> {
  const desk = deskCalled('keys', kata, kept);
  const paths = openPaths(desk, count);
  const before = desk.registry.size;
  await collectAndFinalize();
  await collectAndFinalize();
  const keysLeft = alive(paths);
  const size = desk.registry.size;
  desk.held.clear();
  await collectAndFinalize();
  return { before, 'values left': desk.left(), 'keys left': keysLeft, size, 'size at last': desk.registry.size };
}

/** The same without asking for size, when a module may sweep. */
export async function openAndDrop({ kata, args: count, kept }: In<number>): Promise<void> {
  openPaths(deskCalled('keys', kata, kept), count);
  await collectAndFinalize();
  await collectAndFinalize();
}

/** Returns the keys of values that nobody holds; three for every held one, and two of them share a value. */
function openPaths(desk: Desk, count: number): WeakRef<Path>[] {
  const paths: WeakRef<Path>[] = [];
  for (let number = 0; number < count; number++) {
    desk.open([new Path(`held ${number}`)], true);
    const [alone, first, second] = ['alone', 'first', 'second'].map((name) => new Path(`${name} ${number}`));
    desk.open([alone, first]);
    const shared = desk.get(first);
    desk.registry.get(second, () => shared);
    paths.push(...[alone, first, second].map((path) => new WeakRef(path!)));
  }
  return paths;
}

/** How many are not collected. What is looked at stays until the job ends. */
function alive(refs: readonly WeakRef<object>[]): number {
  return refs.filter((ref) => ref.deref() !== undefined).length;
}

/** Three times, all values are collected and replaced before a finalizer can run. Half of the last ones are held. */
export async function replaceBeforeFinalizers({ kata, args: keys }: In<readonly string[]>) {
  const desk = new Desk(kata);
  desk.open(keys);
  const created = [desk.made.length];
  for (let round = 1; round <= 3; round++) {
    await endJob();
    collectNow();
    const before = desk.made.length;
    if (round < 3) desk.open(keys);
    else openHalf(desk, keys);
    created.push(desk.made.length - before);
  }
  await collectAndFinalize();
  await collectAndFinalize();
  return { created, held: desk.held.size, size: desk.registry.size, again: desk.openAgain() };
}

/** A value of three keys is collected, and the one in the middle gets another value before finalizers run. */
export async function replaceOneOfThree({ kata, args: keys }: In<readonly [string, string, string]>): Promise<Seen> {
  const { registry } = new Desk(kata);
  const [, middle] = keys;
  getForAll(registry, keys);
  await endJob();
  collectNow();
  const held = registry.get(middle, (key) => new Doc(key));
  await collectAndFinalize();
  await collectAndFinalize();
  // That the new one is there is promise 5; it is held until here.
  return { 'keys left': registry.size - [...registry].filter(([, value]) => value === held).length };
}

/** A value is deleted, comes back while it is held, and is let go. */
export async function deleteAndBringBack({ kata, args: key }: In<string>): Promise<Seen> {
  const { registry } = new Desk(kata);
  bringBack(registry, key);
  await endJob();
  await collectAndFinalize();
  await collectAndFinalize();
  return { size: registry.size, entries: [...registry].length };
}

/** One value for all of these keys, which nobody holds afterwards. */
function getForAll(registry: Kata.Registry<unknown, object>, keys: readonly string[]): void {
  const value = new Doc(keys);
  for (const key of keys) registry.get(key, () => value);
}

function bringBack(registry: Kata.Registry<unknown, object>, key: string): void {
  const value = new Doc(key);
  registry.get(key, () => value);
  registry.delete(key);
  registry.get(key, () => value);
}

/** `create` throws: for a new key, for a held value, and for a value that was just collected. */
export async function throwing({
  kata,
  args: [fresh, held, gone],
}: In<readonly [string, string, string]>): Promise<Seen> {
  const desk = new Desk(kata);
  desk.open([held], true);
  const forNew = failToCreate(desk, fresh);
  const sizeAfterNew = desk.registry.size;
  const entriesAfterNew = desk.entries();
  const forHeld = failToCreate(desk, held);
  desk.open([gone]);
  await endJob();
  collectNow();
  const forGone = failToCreate(desk, gone);
  await collectAndFinalize();
  const sizeAfterGone = desk.registry.size;
  desk.open([fresh, gone], true);
  return {
    'for a new key': forNew,
    'then size': sizeAfterNew,
    'then entries': entriesAfterNew,
    'for a held value': forHeld,
    'for a collected value': forGone,
    'then size, after finalizers': sizeAfterGone,
    'all got at last': desk.openAgain(),
    'size at last': desk.registry.size,
  };
}

function failToCreate({ registry, held }: Desk, key: string): string {
  const error = new Error(`No document ${key}`);
  try {
    const got = registry.get(key, () => {
      throw error;
    });
    return got === held.get(key) ? 'the held value' : 'another value';
  } catch (caught) {
    return caught === error ? 'the same error' : 'another error';
  }
}

/** Metadata of values that are held, dropped and replaced. */
export async function annotate({
  kata,
  args: [stays, dropped, replaced, bare],
  kept,
}: In<readonly [string, string, string, string]>): Promise<Seen> {
  const desk = deskCalled('metadata', kata, kept);
  const { registry, held, made } = desk;
  const before = made.length;
  desk.open([stays, bare], true);
  const notes = [stays, dropped].map((key) => addNote(desk, key));
  annotateInWords(desk, replaced);
  await endJob();
  collectNow();
  const valuesLeft = alive(made.slice(before + 2));
  const notesLeft = alive(notes.slice(1));

  // No finalizer has run.
  desk.open([replaced], true);
  const ofReplacement = metadataOf(desk, replaced);
  registry.setMetadata(held.get(replaced)!, 'of the replacement');
  await collectAndFinalize();
  const note = registry.getMetadata(held.get(stays)!);
  const isSame = note instanceof Note && note === notes[0]!.deref() && note.doc === held.get(stays);
  const values = [0, '', false, null, Number.NaN, 'text'];
  const simple = values.map((value) => {
    registry.setMetadata(held.get(bare)!, value);
    return metadataOf(desk, bare);
  });
  desk.open([dropped], true);
  return {
    'of a held value': isSame ? 'the same object' : 'something else',
    'values left': valuesLeft,
    'metadata left': notesLeft,
    'of a replacement, before it is set': ofReplacement,
    'of a replacement, after finalizers': metadataOf(desk, replaced),
    'of a new value of the old key': metadataOf(desk, dropped),
    'simple values': simple,
  };
}

/** Opens documents with metadata that nobody holds. */
export async function annotateAndDrop({ kata, args: keys, kept }: In<readonly string[]>): Promise<void> {
  const desk = deskCalled('metadata', kata, kept);
  for (const key of keys) addNote(desk, key);
  await collectAndFinalize();
}

/** One value stands in two registries, each of which has metadata of its own. */
export function annotateInTwo({ kata, args: key }: In<string>): Seen {
  const [first, second] = [new Desk(kata).registry, new Desk(kata).registry];
  const doc = new Doc(key);
  for (const registry of [first, second]) registry.get(key, () => doc);
  first.setMetadata(doc, 'of the first');
  const before = second.getMetadata(doc);
  second.setMetadata(doc, 'of the second');
  return {
    'in the second, before it is set': before,
    'in the first': first.getMetadata(doc),
    'in the second': second.getMetadata(doc),
  };
}

/** Of a held value; objects in words. */
function metadataOf({ registry, held }: Desk, key: string): unknown {
  const data = registry.getMetadata(held.get(key)!);
  if (data instanceof Note) return 'the metadata of a value that is gone';
  return Object(data) === data ? 'an object' : data;
}

function annotateInWords(desk: Desk, key: string): void {
  desk.registry.setMetadata(desk.get(key), 'of the old value');
}

function addNote(desk: Desk, key: string): WeakRef<Note> {
  const doc = desk.get(key);
  const note = new Note(doc);
  desk.registry.setMetadata(doc, 'replaced in a moment');
  desk.registry.setMetadata(doc, note);
  return new WeakRef(note);
}

/** Held values are deleted and replaced, and one of two keys of a value is deleted. */
export async function deleteHeld({
  kata,
  args: [key, one, two, never],
}: In<readonly [string, string, string, string]>): Promise<Seen> {
  const desk = new Desk(kata);
  const { registry, held } = desk;
  desk.open([key], true);
  const answers = [registry.delete(key), registry.delete(key), registry.delete(never)];
  const sizeAfter = registry.size;
  const entriesAfter = desk.entries().length;
  const isReplaced = replace(desk, key);
  share(desk, one, two);
  const ofShared = deleteOneOf(desk, one, two);

  // What was deleted is let go; its finalizer must find nothing to do.
  await collectAndFinalize();
  const again = desk.openAgain();
  held.delete(two);
  await collectAndFinalize();
  return {
    'delete: of a key, again, of an unknown key': answers,
    'then size': sizeAfter,
    'then entries': entriesAfter,
    'get creates a new value': isReplaced,
    'delete of one of two keys, get of the other returns the value, size': ofShared,
    'after a collection': again,
    'size, when the value of two keys is gone': registry.size,
    'entries at last': desk.entries(),
  };
}

/** Between a collection and the finalizers, each value is replaced, deleted, and replaced once more. The last ones are held. */
export async function deleteBeforeFinalizers({ kata, args: keys }: In<readonly string[]>) {
  const desk = new Desk(kata);
  desk.open(keys);
  await endJob();
  collectNow();
  desk.open(keys);
  for (const key of keys) desk.registry.delete(key);
  desk.open(keys, true);
  await collectAndFinalize();
  await collectAndFinalize();
  return { size: desk.registry.size, again: desk.openAgain() };
}

/** Holds a new value in the place of the deleted one. Is it another? */
function replace(desk: Desk, key: string): boolean {
  const old = desk.held.get(key);
  desk.open([key], true);
  return desk.held.get(key) !== old;
}

/** One value under two keys, held once. */
function share(desk: Desk, one: string, two: string): void {
  const shared = new Doc(two);
  for (const key of [one, two]) desk.hold(key, shared);
  desk.held.delete(one);
}

/** Deletes one key of a value. Is the value still there under the other? */
function deleteOneOf({ registry, held }: Desk, one: string, two: string): unknown[] {
  return [registry.delete(one), registry.get(two, () => new Doc(two)) === held.get(two), registry.size];
}

/** Values are collected while an iterator waits: first before finalizers run, then after. */
export async function iterate({ kata, args: keys }: In<readonly string[]>) {
  const desk = new Desk(kata);
  desk.open(keys, true);
  const iterator = desk.registry[Symbol.iterator]();
  const yielded: string[] = [];
  const dropped: string[] = [];
  const next = (): boolean => {
    const { done, value } = iterator.next();
    if (done) return false;
    const [key, doc] = value as [string, unknown];
    const isHeld = doc !== undefined && doc === desk.held.get(key);
    yielded.push(isHeld ? key : `${key} with ${doc === undefined ? 'no value' : 'a value that nobody holds'}`);
    return true;
  };
  /** Lets go of some that the iterator has not yielded. In the order of insertion, the next and the last one are among them. */
  const drop = () => {
    const waiting = keys.filter((key) => desk.held.has(key) && !yielded.includes(key));
    for (const key of waiting.filter((_, index) => index % 3 === 0 || index === waiting.length - 1)) {
      desk.held.delete(key);
      dropped.push(key);
    }
  };

  next();
  drop();
  await endJob();
  collectNow();
  const left = [desk.left() - desk.held.size];
  next();
  drop();
  // One that the iterator has left behind goes, too.
  desk.held.delete(yielded[0]);
  await collectAndFinalize();
  left.push(desk.left() - desk.held.size);
  for (let steps = 0; steps < 3 * keys.length && next(); steps++);
  const expected = keys.filter((key) => !dropped.includes(key)).sort();
  return { yielded: yielded.sort(), expected, left, byObjects: await iterateByObjects(kata, keys) };
}

/** Values are held, and their keys are objects that nobody but the registry has. The names of the keys that come after a collection. */
async function iterateByObjects(kata: typeof Kata, names: readonly string[]): Promise<string[]> {
  const registry = kata.createRegistry<Path, object>();
  const held = names.map((name) => registry.get(new Path(name), () => new Doc(name)));
  await collectAndFinalize();
  const yielded = [...registry].map(([key, value]) =>
    held.includes(value) ? key.name : `${key.name} with another value`,
  );
  return yielded.sort();
}

/** The keys that come when each of some held values stands under several keys. */
export function iterateOverShared({ kata, args: groups }: In<readonly (readonly string[])[]>): string[] {
  const desk = new Desk(kata);
  for (const group of groups) {
    const shared = new Doc(group);
    for (const key of group) desk.hold(key, shared);
  }
  return desk.entries().map(String).sort();
}

/** Opens the next documents, which nobody holds, and lets them be collected. */
export async function churn({
  kata,
  args: { prefix, count },
  kept,
}: In<{ prefix: string; count: number }>): Promise<number> {
  const desk = deskCalled('churn', kata, kept);
  const created = openNext(desk, prefix, count);
  await collectAndFinalize();
  return created;
}

let opened = 0;

/** Every tenth has metadata. Returns how many were created. */
function openNext({ registry }: Desk, prefix: string, count: number): number {
  let created = 0;
  const create = (key: unknown) => {
    created++;
    return new Doc(key);
  };
  for (let number = 0; number < count; number++) {
    const doc = registry.get(`${prefix}${opened++}`, create);
    if (number % 10 === 0) registry.setMetadata(doc, { number });
  }
  return created;
}

/** Gets two held values over and over. One is deleted each time: under a new key, and under its own. How often did all go well? */
export async function getOverAndOver({
  kata,
  args: { keys, count },
  kept,
}: In<{ keys: readonly [string, string]; count: number }>): Promise<number> {
  const desk = deskCalled('long-lived', kata, kept);
  const [stays, deleted] = keys;
  for (const key of keys) if (!desk.held.has(key)) desk.held.set(key, new Doc(key));
  let went = 0;
  for (let time = 0; time < count; time++) {
    const passing = `${deleted} ${opened++}`;
    const isRight = getHeld(desk, stays) && getHeld(desk, passing, deleted);
    if (!desk.registry.delete(passing) || !isRight) continue;
    if (getHeld(desk, deleted) && desk.registry.delete(deleted)) went++;
  }
  await collectAndFinalize();
  return went;
}

/** Returns whether the held value came, which may be one of another key. */
function getHeld({ registry, held }: Desk, key: string, of = key): boolean {
  const doc = held.get(of)!;
  return registry.get(key, () => doc) === doc;
}
