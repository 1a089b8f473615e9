import { type Duplex, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import {
  comes,
  CountedSource,
  ending,
  flow,
  readerThat,
  type SourceOptions,
  sourceOf,
  standstill,
} from '../../helpers/instruments/stream-stage/stream-stage.ts';
import type * as Kata from '../../katas/stream-utils/stream-utils.ts';

type In<Args = undefined> = Inside<typeof Kata, Args>;

/** What the sources of the judge that have no end give at most, in chunks: a loop must come to an end. */
const endlessChunks = 10_000;
const anHourMs = 3_600_000;
const kilobyteWithNewline = Buffer.from(`${'x'.repeat(1023)}\n`);
const kilobyteOfLine = Buffer.alloc(1024, 'x');
const clock = installSteppedClock();

/** What toBuffer and toText return for each list of chunks. */
export async function readWhole({
  kata,
  args: documents,
}: In<readonly { chunks: readonly (string | Uint8Array)[] }[]>) {
  const answers = [];
  for (const { chunks } of documents) {
    const answer = { toBuffer: '', toText: '', how: ['', ''] };
    const bytes = kata
      .toBuffer(sourceOf(asBuffers(chunks)))
      .then((all) => (answer.toBuffer = Buffer.from(all).toString()));
    const text = kata.toText(sourceOf(asBuffers(chunks))).then((all) => (answer.toText = all));
    answer.how = [await ending(bytes), await ending(text)];
    answers.push(answer);
    if (answer.how.includes('still waiting')) break;
  }
  return answers;
}

/** What a call returns for a text of ASCII, byte by byte, while another call waits in the middle of a character. */
export async function readDuringAnother({ kata, args: { tool, text } }: In<{ tool: Consumer; text: string }>) {
  const another = sourceOf([Buffer.from('é').subarray(0, 1)], { afterwards: 'stall' });
  const source = sourceOf(Array.from(text, (character) => Buffer.from(character)));
  let read = '';
  const reading = ending(kata[tool](source).then((all) => (read = Buffer.from(all as string).toString())));
  kata[tool](another).catch(() => undefined);
  const how = await reading;
  another.destroy();
  return { read, how };
}

/** What split gives for each list of chunks. */
export async function splitAll({
  kata,
  args: documents,
}: In<readonly { chunks: readonly (string | Uint8Array)[]; delimiter: string; maxLineBytes?: number }[]>) {
  const answers = [];
  for (const { chunks, delimiter, maxLineBytes } of documents) {
    const lines: string[] = [];
    const tested = kata.split(delimiter, maxLineBytes === undefined ? {} : { maxLineBytes });
    const how = await flow([sourceOf(asBuffers(chunks)), tested, readerThat((line: string) => lines.push(line))]);
    answers.push({ lines, how });
    if (how === 'still waiting') break;
  }
  return answers;
}

/** What batch gives for each list of items. */
export async function batchAll({ kata, args: lists }: In<readonly { size: number; items: readonly unknown[] }[]>) {
  const answers = [];
  for (const { size, items } of lists) {
    const batches: unknown[] = [];
    const how = await flow([sourceOf(items), kata.batch(size), readerThat((batch) => batches.push(batch))]);
    answers.push({ batches, how });
    if (how === 'still waiting') break;
  }
  return answers;
}

/**
 * Reads from an endless source through split or batch. The reader pauses each time it has read 20 lines or batches. For each
 * pause: how many it has read, and how many chunks or items the source gave when it, too, stood still.
 */
export async function pullWithPauses({ kata, args: { tool, pauses } }: In<{ tool: Tool; pauses: number }>) {
  const source = new CountedSource(endlessChunks, (index) => (tool === 'split' ? kilobyteWithNewline : index));
  let read = 0;
  let goOn = () => {};
  const reader = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write(_chunk, _encoding, callback) {
      if (++read % 20 === 0) goOn = callback;
      else callback();
    },
  });
  const flowing = flow([source, toolOf(kata, tool), reader]);
  const seen: { read: number; pulled: number }[] = [];
  for (let pause = 1; pause <= pauses; pause++) {
    const hasPaused = await comes(() => read === 20 * pause);
    seen.push({ pulled: await standstill(() => source.pulled), read });
    if (!hasPaused) break;
    goOn();
  }
  source.destroy();
  await flowing;
  return seen;
}

export type Tool = 'split' | 'batch' | 'batch with maxWaitMs';

function toolOf(kata: typeof Kata, tool: Tool): Duplex {
  if (tool === 'split') return kata.split();
  return kata.batch(10, tool === 'batch' ? {} : { maxWaitMs: anHourMs });
}

/** Gives split one line without an end, in chunks of 1 KB. */
export async function splitEndlessLine({ kata, args: { pushesAtOnce, maxLineBytes } }: In<EndlessLine>) {
  const source = new CountedSource(endlessChunks, () => kilobyteOfLine, { pushesAtOnce });
  const how = await flow([source, kata.split('\n', { maxLineBytes }), readerThat(() => {})]);
  return { how, pulledKb: source.pulled };
}

interface EndlessLine {
  readonly pushesAtOnce: boolean;
  readonly maxLineBytes: number;
}

/** Reads a source that breaks after two chunks. */
export async function readBroken({ kata, args: { tool, hasError } }: In<{ tool: Consumer; hasError: boolean }>) {
  const planned = new Error('planned');
  const source = sourceOf([Buffer.from('half '), Buffer.from('a li')], { afterwards: hasError ? planned : 'destroy' });
  return await ending(kata[tool](source), planned);
}

export type Consumer = 'toBuffer' | 'toText';

/** A pipeline of source, split, batch and reader, of which the source or the reader fails. */
export async function failInPipeline({ kata, args: failing }: In<'source' | 'reader'>) {
  const planned = new Error('planned');
  const streams = {
    source: new CountedSource(failing === 'source' ? 50 : endlessChunks, () => Buffer.from('a line\n'), {
      afterwards: planned,
    }),
    split: kata.split(),
    batch: kata.batch(3, { maxWaitMs: anHourMs }),
    reader: new Writable({
      objectMode: true,
      write: (_batch, _encoding, callback) => callback(failing === 'reader' ? planned : null),
    }),
  };
  const how = await flow(Object.values(streams), planned);
  await comes(() => Object.values(streams).every(({ destroyed }) => destroyed));
  return { how, notDestroyed: Object.entries(streams).flatMap(([name, { destroyed }]) => (destroyed ? [] : [name])) };
}

/** Reads a source with `maxBytes`. Only the limit, or the end, can make the module stop. */
export async function readWithLimit({
  kata,
  args: { tool, maxBytes, chunk, count, pushesAtOnce, afterwards },
}: In<LimitedRead>) {
  const given = typeof chunk === 'string' ? chunk : Buffer.from(chunk);
  const source = new CountedSource(count, () => given, { pushesAtOnce, afterwards });
  const how = await ending(kata[tool](source, { maxBytes }));
  await comes(() => source.destroyed);
  const pulledKb = Math.ceil((source.pulled * Buffer.byteLength(given)) / 1024);
  return { how, pulledKb, isDestroyed: source.destroyed };
}

interface LimitedRead extends SourceOptions {
  readonly tool: Consumer;
  readonly maxBytes: number;
  readonly chunk: string | Uint8Array;
  readonly count: number;
  readonly pushesAtOnce: boolean;
  readonly afterwards: 'end' | 'stall';
}

/** Ten items to a batch of 10 that may wait for an hour, with a break after the third. */
export async function waitForFullBatch({ kata }: In) {
  const { events, note, write, destroy } = followed(kata.batch(10, { maxWaitMs: anHourMs }));
  await write([0, 1, 2]);
  await standstill(() => events.length);
  note('break');
  await write([3, 4, 5, 6, 7, 8, 9]);
  await comes(() => events.length >= 2);
  destroy();
  return events;
}

/**
 * Writes items, and moves the clock: to half of `maxWaitMs`, where one more item comes, to just before `maxWaitMs`, to just after
 * it, and to 1.4 times `maxWaitMs`, where the last item comes; then by another 1.4 times `maxWaitMs`.
 */
export async function waitForTime({ kata, args: { size, items, maxWaitMs } }: In<TimedBatch>) {
  clock.hold();
  const { stream, events, given, note, destroy } = followed(kata.batch(size, { maxWaitMs }));
  const write = async (written: readonly unknown[]) => {
    for (const item of written) stream.write(item);
    await standstill(() => events.length);
  };
  const moveBy = async (factor: number) => {
    await clock.step(factor * maxWaitMs);
    await standstill(() => events.length);
  };
  try {
    await write(items);
    await moveBy(0.5);
    note('0.5 × maxWaitMs: one more item');
    await write(['later']);
    await moveBy(0.49);
    note('0.99 × maxWaitMs');
    await moveBy(0.02);
    note('1.01 × maxWaitMs');
    await moveBy(0.39);
    note('1.4 × maxWaitMs: last item');
    await write(['last']);
    await moveBy(1.4);
    return { events, given };
  } finally {
    destroy();
    clock.release();
  }
}

/**
 * Writes one item per `maxWaitMs` to a batch whose reader pauses at its first batch, as long as the batch lets its source go on, and
 * `most` items at most. Then the reader goes on, and the clock moves once more. How many items were written, and what the reader got.
 */
export async function writeWhileReaderPauses({ kata, args: { size, most, maxWaitMs } }: In<SlowItems>) {
  clock.hold();
  const { stream, given, goOn, flowing } = pausingReader(kata.batch(size, { maxWaitMs }));
  const moveOn = () => clock.step(1.01 * maxWaitMs);
  let written = 0;
  try {
    while (written < most) {
      stream.write(written++);
      await moveOn();
      if (stream.writableNeedDrain) await standstill(() => Number(stream.writableNeedDrain));
      if (stream.writableNeedDrain) break;
    }
    goOn();
    await standstill(() => given.length);
    await moveOn();
    await standstill(() => given.length);
    return { written, given: given.flat() };
  } finally {
    stream.destroy();
    clock.release();
    await flowing;
  }
}

/**
 * Batches of 3, each with a reader that pauses at its first batch. It gets up to `most` full batches; then one or two single items, after each
 * of which `maxWaitMs` passes; and two more items. The reader takes all. Then come two items, and a third. How large were the batches
 * that came after these?
 */
export async function fillAfterPause({ kata, args: { most, maxWaitMs } }: In<{ most: number; maxWaitMs: number }>) {
  clock.hold();
  const paused = [1, 2].flatMap((singles) =>
    Array.from({ length: most }, (_, index) => {
      return { ahead: index + 1, singles, written: 0, ...pausingReader(kata.batch(3, { maxWaitMs })) };
    }),
  );
  const takenOf = ({ given }: { given: unknown[][] }) => given.flat().length;
  const rest = () => standstill(() => paused.reduce((sum, all) => sum + all.stream.writableLength - takenOf(all), 0));
  const writeAll = async (count: (to: { ahead: number; singles: number }) => number) => {
    for (const to of paused) for (let left = count(to); left > 0; left--) to.stream.write(to.written++);
    await rest();
  };
  try {
    await writeAll(({ ahead }) => 3 * ahead);
    await writeAll(({ singles }) => singles - 1);
    await clock.step(1.01 * maxWaitMs);
    await writeAll(() => 1);
    await clock.step(1.01 * maxWaitMs);
    await writeAll(() => 2);
    for (const { goOn } of paused) goOn();
    await rest();
    // What was taken last may have to wait for its clock.
    if (paused.some((all) => takenOf(all) < all.written)) {
      await clock.step(1.01 * maxWaitMs);
      await rest();
    }
    const before = paused.map(({ given }) => given.length);
    const sizes = () => paused.map(({ given }, index) => given.slice(before[index]).map(({ length }) => length));
    await writeAll(() => 2);
    const afterTwo = sizes();
    await writeAll(() => 1);
    const afterThree = sizes();
    return paused.map(({ ahead, singles }, index) => {
      return { ahead, singles, afterTwo: afterTwo[index]!, afterThree: afterThree[index]! };
    });
  } finally {
    for (const { stream } of paused) stream.destroy();
    clock.release();
    await Promise.all(paused.map(({ flowing }) => flowing));
  }
}

interface SlowItems {
  readonly size: number;
  readonly most: number;
  readonly maxWaitMs: number;
}

interface TimedBatch {
  readonly size: number;
  readonly items: readonly string[];
  readonly maxWaitMs: number;
}

/** A stream whose reader pauses at the first batch, until `goOn`. */
function pausingReader(stream: Duplex) {
  const given: unknown[][] = [];
  let isPausing = true;
  let take = () => {};
  const reader = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write(batch: unknown[], _encoding, callback) {
      given.push(batch);
      if (isPausing) take = callback;
      else callback();
    },
  });
  const goOn = () => {
    isPausing = false;
    take();
  };
  return { stream, given, goOn, flowing: flow([stream, reader]) };
}

/** A stream with somebody who reads it, and notes what comes. */
function followed(stream: Duplex) {
  const events: string[] = [];
  const given: unknown[] = [];
  const note = (event: string) => void events.push(event);
  let isDestroyed = false;
  const destroy = () => {
    isDestroyed = true;
    stream.destroy();
  };
  // A stream that Duplex.from() composed emits an AbortError when it is destroyed.
  stream.on('error', (error) => {
    if (!isDestroyed) throw error;
  });
  stream.on('data', (batch: unknown[]) => {
    note('batch');
    given.push(...batch);
  });
  /** Writes items. Comes back when the stream has taken them all. */
  const write = async (items: readonly unknown[]) => {
    let taken = 0;
    for (const item of items) stream.write(item, () => taken++);
    await comes(() => taken === items.length);
  };
  return { stream, events, given, note, write, destroy };
}

/** How many timers hold the process, beside those before, in each state of a batch that holds no items; and what it gave. */
export async function countTimers({ kata, tools: { timers } }: In) {
  const before = timers();
  const states: { state: string; timers: number; given: unknown[] }[] = [];
  const open = () => followed(kata.batch(3, { maxWaitMs: anHourMs }));
  const look = async (state: string, { given }: { given: unknown[] }, expected: number) => {
    await comes(() => given.length >= expected && timers() <= before);
    await standstill(() => given.length);
    states.push({ state, timers: timers() - before, given });
  };

  const unused = open();
  await look('before its first item', unused, 0);
  unused.destroy();

  const full = open();
  await full.write([1, 2, 3]);
  await look('after a full batch', full, 3);
  full.destroy();

  const ended = open();
  await ended.write([1]);
  ended.stream.end();
  await look('after its end', ended, 1);

  const destroyed = open();
  await destroyed.write([1]);
  destroyed.destroy();
  await look('after destroy() with one item', destroyed, 0);
  return states;
}

/** CPU time for documents without a delimiter, and how much the module returned of them. */
export async function costOf({ kata, args: { tool, documents, kilobytes }, tools: { cpuMs } }: In<Cost>) {
  let returned = 0;
  const began = cpuMs();
  for (let document = 0; document < documents; document++) {
    const source = new CountedSource(kilobytes, () => kilobyteOfLine, { pushesAtOnce: true });
    // Without the limit of `ending`: an expensive answer may take its time.
    if (tool === 'split') {
      await pipeline(
        source,
        kata.split('\r\n'),
        readerThat((line: string) => (returned += line.length)),
      );
    } else {
      returned += (await kata[tool](source)).length;
    }
  }
  return { cpuMs: cpuMs() - began, returnedKb: returned / 1024 };
}

interface Cost {
  readonly tool: 'split' | Consumer;
  readonly documents: number;
  readonly kilobytes: number;
}

function asBuffers(chunks: readonly (string | Uint8Array)[]) {
  return chunks.map((chunk) => (typeof chunk === 'string' ? chunk : Buffer.from(chunk)));
}
