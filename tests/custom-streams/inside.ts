import { type Duplex, type Writable } from 'node:stream';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import {
  comes,
  type Ending,
  ending,
  flow,
  readerThat,
  sourceOf,
  standstill,
} from '../../helpers/instruments/stream-stage/stream-stage.ts';
import type * as Kata from '../../katas/custom-streams/custom-streams.ts';

type In<Args = undefined> = Inside<typeof Kata, Args>;

/** What a source without an end gives at most: a module that takes everything must come to an end. */
const endlessCount = 3000;
const { setImmediate } = globalThis;

/** What a generator gives for each list of numbers. */
export async function generateAll({ kata, args: lists }: In<readonly (readonly number[])[]>) {
  return await untilOneHangs(lists, async (numbers) => {
    let text = '';
    const how = await flow([
      new kata.NumberGenerator(new CountedNumbers(numbers)),
      readerThat((chunk) => (text += chunk)),
    ]);
    return { text, how };
  });
}

/** What a doubler gives for each list of chunks. */
export async function doubleAll({ kata, args: lists }: In<readonly (readonly string[])[]>) {
  return await untilOneHangs(lists, async (chunks) => {
    let text = '';
    const how = await flow([sourceOf(asBuffers(chunks)), new kata.Doubler(), readerThat((chunk) => (text += chunk))]);
    return { text, how };
  });
}

/** What a collector saves of each list of chunks. */
export async function collectAll({ kata, args: lists }: In<readonly (readonly string[])[]>) {
  return await untilOneHangs(lists, async (chunks) => {
    const saving = new NotedSave();
    const how = await flow([sourceOf(asBuffers(chunks)), new kata.Collector(saving.save)]);
    return { ...saving.noted(), how };
  });
}

/** What a pipeline of the three saves of each list of numbers. */
export async function pipeAll({ kata, args: lists }: In<readonly (readonly number[])[]>) {
  return await untilOneHangs(lists, async (numbers) => {
    const saving = new NotedSave();
    const source = new CountedNumbers(numbers);
    const how = await flow([new kata.NumberGenerator(source), new kata.Doubler(), new kata.Collector(saving.save)]);
    return { ...saving.noted(), how };
  });
}

/** The same in object mode; also the chunks that generator and doubler give, with their types. */
export async function pipeObjects({ kata, args: lists }: In<readonly (readonly number[])[]>) {
  const options = { objectMode: true, highWaterMark: 3 };
  const note = (into: string[]) =>
    async function* (chunks: AsyncIterable<unknown>) {
      for await (const chunk of chunks) {
        into.push(`${typeof chunk} ${String(chunk)}`);
        yield chunk;
      }
    };
  return await untilOneHangs(lists, async (numbers) => {
    const saving = new NotedSave();
    const [generated, doubled]: [string[], string[]] = [[], []];
    const how = await flow([
      new kata.NumberGenerator(new CountedNumbers(numbers), options),
      note(generated),
      new kata.Doubler(options),
      note(doubled),
      new kata.Collector(saving.save, options),
    ]);
    return { generated, doubled, ...saving.noted(), how };
  });
}

/**
 * Reads an endless generator from time to time. For each read: what the generator had taken from its source by then, when that
 * stood still, what the reader had read before, and whether this read gave anything.
 */
export async function readFromTimeToTime({ kata, args: { options, reads, first } }: In<Reading>) {
  const source = new CountedNumbers(undefined, { first });
  const generator = new kata.NumberGenerator(source, options);
  const seen: { takenBytes: number; taken: number; readBytes: number; gives: boolean }[] = [];
  let readBytes = 0;
  for (let read = 0; read < reads; read++) {
    if (generator.readableLength === 0)
      await ending(new Promise((resolve) => generator.once('readable', resolve).read(0)));
    await standstill(() => source.taken);
    const look = { takenBytes: source.takenBytes, taken: source.taken, readBytes };
    const chunk = generator.read() as Buffer | null;
    seen.push({ ...look, gives: chunk !== null });
    if (chunk === null) break;
    readBytes += String(chunk).length;
  }
  generator.destroy();
  return seen;
}

interface Reading {
  readonly options: Kata.StreamOptions;
  readonly reads: number;
  /** The first number of the source. */
  readonly first: number;
}

/** Holds up one save after the other. For each: what the generator had taken when that stood still, and what was saved. */
export async function holdUpSaves({ kata, args: { saves } }: In<{ saves: number }>) {
  const options = { highWaterMark: 64 };
  const source = new CountedNumbers();
  const held = new HeldSave();
  const generator = new kata.NumberGenerator(source, options);
  const flowing = flow([generator, new kata.Doubler(options), new kata.Collector(held.save, options)]);
  const seen: { taken: number; saved: number }[] = [];
  for (let save = 0; save < saves && (await held.begun()); save++) {
    seen.push({ taken: await standstill(() => source.taken), saved: held.saved });
    held.release();
  }
  generator.destroy();
  held.release();
  await flowing;
  return seen;
}

/** Writes a bad line to a doubler and to a collector by a plain `write()`. */
export async function writeBadLine({ kata }: In) {
  const write = async (stream: Writable): Promise<Ending | 'write() threw'> => {
    const failed = ending(new Promise((_, reject) => stream.once('error', reject)));
    if ('resume' in stream) (stream as Duplex).resume();
    try {
      stream.write(Buffer.from('1\n2x\n'));
    } catch {
      return 'write() threw';
    }
    return await failed;
  };
  return { doubler: await write(new kata.Doubler()), collector: await write(new kata.Collector(new NotedSave().save)) };
}

/** Gives a doubler and a collector in object mode a chunk between two numbers. */
export async function giveBadObject({ kata, args: bad }: In<unknown>) {
  const options = { objectMode: true };
  return {
    doubler: await flow([sourceOf([1, bad, 2]), new kata.Doubler(options), readerThat(() => {})]),
    collector: await flow([sourceOf([1, bad, 2]), new kata.Collector(new NotedSave().save, options)]),
  };
}

export type Failing = 'generator' | 'doubler' | 'collector' | 'source' | 'save' | 'save, before its promise';

/** Makes one part of an endless pipeline fail. How the pipeline ended, and what happened after that. */
export async function failInPipeline({ kata, args: failing }: In<Failing>) {
  const options = { highWaterMark: 64 };
  const planned = new Error('planned');
  const source = new CountedNumbers(undefined, failing === 'source' ? { failsAfter: 500, planned } : {});
  const held = new HeldSave();
  const noted = new NotedSave();
  const save = () => {
    if (failing === 'save, before its promise') throw planned;
    return failing === 'source' ? noted.save : held.save;
  };
  const streams = {
    generator: new kata.NumberGenerator(source, options),
    doubler: new kata.Doubler(options),
    collector: new kata.Collector((numbers) => save()(numbers), options),
  };
  const flowing = flow(Object.values(streams), planned);
  const isStream = failing === 'generator' || failing === 'doubler' || failing === 'collector';
  if (isStream || failing === 'save') await held.begun();
  let saves = held.calls;
  if (isStream) {
    streams[failing].destroy(planned);
    // The save that is under way ends when the others had time to learn of the error.
    await standstill(() => source.taken);
    held.release();
  } else if (failing === 'save') held.release(planned);
  const how = await flowing;
  await comes(() => Object.values(streams).every(({ destroyed }) => destroyed));
  const isClosed = failing === 'source' || (await comes(() => source.isClosed));
  if (failing === 'source') saves = noted.calls;
  const { taken } = source;
  await standstill(() => source.taken + held.calls + noted.calls);
  return {
    how,
    notDestroyed: Object.entries(streams).flatMap(([name, { destroyed }]) => (destroyed ? [] : [name])),
    isSourceClosed: isClosed,
    afterwards: { taken: source.taken - taken, saves: held.calls + noted.calls - saves },
  };
}

/** Destroys a generator that has given something. */
export async function destroyGenerator({
  kata,
  args: { highWaterMark, hasReturn },
}: In<{ highWaterMark: number; hasReturn: boolean }>) {
  const source = new CountedNumbers(undefined, { hasReturn });
  const stream = new kata.NumberGenerator(source, { highWaterMark });
  const gave = await ending(
    new Promise<void>((resolve) => {
      stream.on('data', () => {
        stream.pause();
        resolve();
      });
    }),
  );
  stream.destroy();
  const { taken } = source;
  const events = eventsOf(stream);
  await standstill(() => events.length + source.taken);
  return { hasGiven: gave === 'done', events, taken: source.taken - taken, isSourceClosed: source.isClosed };
}

/** Destroys a doubler that has given a number and received half of the next line. */
export async function destroyDoubler({ kata }: In) {
  const stream = new kata.Doubler();
  let text = '';
  stream.on('data', (chunk: unknown) => (text += String(chunk)));
  stream.write(Buffer.from('1\n2'));
  await comes(() => text !== '');
  stream.destroy();
  const events = eventsOf(stream);
  await standstill(() => events.length);
  return { hasGiven: text.startsWith('2\n'), events };
}

/** Destroys a collector during the first save of many, which then succeeds or fails. */
export async function destroyCollector({ kata, args: { saveFails } }: In<{ saveFails: boolean }>) {
  const held = new HeldSave();
  const stream = new kata.Collector(held.save);
  stream.write(Buffer.from('7\n'.repeat(1050)));
  stream.write(Buffer.from('8\n'));
  const hasBegun = await held.begun();
  stream.destroy();
  const { calls } = held;
  const events = eventsOf(stream);
  await standstill(() => events.length + held.calls);
  held.release(saveFails ? new Error('too late') : undefined);
  await standstill(() => events.length + held.calls);
  return { hasBegun, events, saves: held.calls - calls };
}

/** Destroys a collector that holds a line and half of another. How many numbers it saves after that. */
export async function destroyFilledCollector({ kata }: In) {
  const noted = new NotedSave();
  const stream = new kata.Collector(noted.save);
  stream.write(Buffer.from('1\n2'));
  await standstill(() => noted.calls);
  const before = noted.calls;
  stream.destroy();
  await standstill(() => noted.calls);
  return noted.calls - before;
}

/** Destroys a collector in the turn in which it got a hundred numbers, and maybe was ended. How many saves begin after that. */
export async function destroyBusyCollector({ kata, args: { isEnded } }: In<{ isEnded: boolean }>) {
  const noted = new NotedSave();
  const stream = new kata.Collector(noted.save);
  stream.write(Buffer.from('7\n'.repeat(isEnded ? 50 : 100)));
  if (isEnded) stream.end();
  stream.destroy();
  const before = noted.calls;
  await standstill(() => noted.calls);
  return noted.calls - before;
}

/**
 * Writes 350 numbers to a collector, 250 of them in one chunk, and ends it. Each save is held up. The events, among them the end
 * of the last save; `close` is left out, as a stream need not close itself.
 */
export async function finishWithHeldSaves({ kata, args: { lastFails } }: In<{ lastFails: boolean }>) {
  const held = new HeldSave();
  const stream = new kata.Collector(held.save);
  const events: string[] = [];
  for (const name of ['finish', 'error']) stream.on(name, () => events.push(name));
  stream.write(Buffer.from('7\n'.repeat(250)));
  for (let count = 0; count < 10; count++) stream.write(Buffer.from('7\n'.repeat(10)));
  stream.end();
  while (await held.begun()) {
    const isLast = held.given >= 350;
    // For whoever saves one by one, the first and the last save must do.
    if (isLast || held.calls === 1) await standstill(() => held.calls + events.length);
    if (isLast) break;
    held.release();
  }
  events.push('the last save ends');
  held.release(lastFails ? new Error('disk full') : undefined);
  await comes(() => events.at(-1) !== 'the last save ends');
  await standstill(() => events.length);
  return { given: held.given, mostAtOnce: held.mostAtOnce, events };
}

interface CountedOptions {
  readonly first?: number;
  readonly failsAfter?: number;
  readonly planned?: Error;
  /** Whether its iterators have `return`, which is optional; true where nothing is said. */
  readonly hasReturn?: boolean;
}

/** Numbers that count how many of them were taken. Without a list they go on from `first`, and have no end for a correct module. */
class CountedNumbers implements Iterable<number> {
  taken = 0;
  /** Bytes of all lines that hold the taken numbers. */
  takenBytes = 0;
  /** Whether an iterator was told that nobody wants more. */
  isClosed = false;
  readonly #numbers: readonly number[] | undefined;
  readonly #options: CountedOptions;

  constructor(numbers?: readonly number[], options: CountedOptions = {}) {
    this.#numbers = numbers;
    this.#options = options;
  }

  [Symbol.iterator](): Iterator<number> {
    const { first = 1, failsAfter, planned, hasReturn = true } = this.#options;
    const close = () => {
      this.isClosed = true;
      return { done: true, value: undefined } as const;
    };
    return {
      next: () => {
        if (this.taken === failsAfter) throw planned;
        // Like a cursor, it goes on after return(): only so it can tell who still takes.
        if (this.taken >= (this.#numbers?.length ?? endlessCount)) return { done: true, value: undefined };
        const value = this.#numbers?.[this.taken] ?? first + this.taken;
        this.taken++;
        this.takenBytes += `${value}\n`.length;
        return { done: false, value };
      },
      ...(hasReturn ? { return: close } : {}),
    };
  }
}

/** A save that succeeds in a later turn, and notes then what it was given. */
class NotedSave {
  calls = 0;
  readonly #saved: number[] = [];
  readonly #sizes: number[] = [];

  readonly save = async (numbers: readonly number[]): Promise<void> => {
    this.calls++;
    const given = [...numbers];
    await new Promise((resolve) => setImmediate(resolve));
    this.#saved.push(...given);
    this.#sizes.push(given.length);
  };

  /** What has been saved by now. */
  noted() {
    const saved = [...this.#saved];
    return { saved, areSizesAllowed: this.#sizes.every((size) => size >= 1 && size <= 100) };
  }
}

/** A save that is under way until the judge releases it. */
class HeldSave {
  /** How many numbers it was given, and how many of them were released. */
  given = 0;
  saved = 0;
  calls = 0;
  mostAtOnce = 0;
  readonly #underWay: ((error?: Error) => void)[] = [];
  #onBegin = () => {};

  readonly save = ({ length }: readonly number[]): Promise<void> => {
    this.calls++;
    this.given += length;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#underWay.push((error) => {
      this.saved += length;
      if (error) reject(error);
      else resolve();
    });
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay.length);
    this.#onBegin();
    return promise;
  };

  /** Waits until a save is under way. Returns whether one ever was. */
  async begun(): Promise<boolean> {
    if (this.#underWay.length === 0) await ending(new Promise<void>((resolve) => (this.#onBegin = resolve)));
    return this.#underWay.length > 0;
  }

  /** Ends the saves that are under way. */
  release(error?: Error): void {
    for (const end of this.#underWay.splice(0)) end(error);
  }
}

/** Runs each example, up to the first that hangs: each of those costs seconds. */
async function untilOneHangs<Example, Answer extends { how: Ending }>(
  examples: readonly Example[],
  run: (example: Example) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const example of examples) {
    answers.push(await run(example));
    if (answers.at(-1)!.how === 'still waiting') break;
  }
  return answers;
}

/** The events of a stream from now on. */
function eventsOf(stream: NodeJS.EventEmitter): string[] {
  const events: string[] = [];
  for (const name of ['data', 'end', 'finish', 'error', 'close']) stream.on(name, () => events.push(name));
  return events;
}

function asBuffers(chunks: readonly string[]): Buffer[] {
  return chunks.map((chunk) => Buffer.from(chunk));
}
