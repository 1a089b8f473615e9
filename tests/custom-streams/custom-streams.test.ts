import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import { type Ending, cutAt, inPast, setStreamStage } from '../../helpers/instruments/stream-stage/stream-stage.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/custom-streams/custom-streams.ts';
import { type Kept, setStage } from './stage.ts';

/** The most that `save` may be given at once. */
const batchLimit = 100;
/** How many numbers may be on their way through a pipeline whose streams hold 64 bytes each. */
const onTheWayLimit = 1000;
/** Lines that hold no whole number, as the README names them. */
const badLines = ['', '12x', '1.5', '-', '1 2', 'two', '0x10'];

/** Whole numbers, zero and negative ones among them, of few digits and of many. */
const numbers = fc.array(fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer()), { maxLength: 40 });

describe('core', () => {
  test('The generator gives every number of its source as a line of text, and then ends.', async () => {
    await expectForDrawn({
      examples: numbers,
      count: 100,
      ask: async (examples) =>
        await (
          await stage()
        ).evaluate(async (kata, lists, { stage: { countedSource, ending, stream } }) => {
          const seen: Seen[] = [];
          for (const list of lists) {
            const generator = new kata.NumberGenerator(countedSource(list));
            let text = '';
            generator.on('data', (chunk) => (text += String(chunk)));
            seen.push({ text, how: await ending(stream.promises.finished(generator)) });
            seen.at(-1)!.text = text;
            if (seen.at(-1)!.how === 'still waiting') break;
          }
          return seen;
        }, examples),
      fault: (seen, list) => difference(seen, { text: lines(list), how: 'done' }),
      inWords: (list) => `a generator of [${list.join(', ')}]`,
    });
  });

  test('The doubler gives twice each number.', async () => {
    await expectForDrawn({
      examples: numbers,
      count: 100,
      ask: (examples) => askDoubler(examples.map((list) => list.map((number) => `${number}\n`))),
      fault: (seen, list) => difference(seen, { text: lines(list.map((number) => number * 2)), how: 'done' }),
      inWords: (list) => `a doubler of [${list.join(', ')}], one line a chunk`,
    });
  });

  test('The collector saves every number once and in order, the last ones too.', async () => {
    await expectForDrawn({
      examples: fc.array(fc.integer({ min: -99, max: 99 }), { maxLength: 350, size: 'max' }),
      count: 60,
      ask: (examples) => askCollector(examples.map((list) => list.map((number) => `${number}\n`))),
      fault: (seen, list) => faultOfSaved(seen, list),
      inWords: (list) => `a collector of ${inShort(list)}, one line a chunk`,
    });
  });

  test('A pipeline of the three is done when every number is saved.', async () => {
    await expectForDrawn({
      examples: fc.array(fc.integer({ min: -99, max: 99 }), { maxLength: 350, size: 'max' }),
      count: 60,
      ask: async (examples) =>
        await (
          await stage()
        ).evaluate(async (kata, lists, { stage: { countedSource, flow, notingSave } }) => {
          const seen: Saved[] = [];
          for (const list of lists) {
            const { save, saved, sizes } = notingSave();
            const how = await flow([
              new kata.NumberGenerator(countedSource(list)),
              new kata.Doubler(),
              new kata.Collector(save),
            ]);
            seen.push({ saved: [...saved], sizes: [...sizes], how });
            if (how === 'still waiting') break;
          }
          return seen;
        }, examples),
      fault: (seen, list) =>
        faultOfSaved(
          seen,
          list.map((number) => number * 2),
        ),
      inWords: (list) => `generator, doubler and collector with ${inShort(list)}`,
    });
  });
});

describe('robust', () => {
  test('The generator takes no more from its source than its reader has room for.', async () => {
    const highWaterMark = 1024;

    // Lines of a few bytes, and of sixteen.
    for (const first of [1, 10 ** 14]) {
      const seen = await (
        await stage()
      ).evaluate(
        async (kata, { mark, from }, { stage: { countedSource, ending, turns } }) => {
          const source = countedSource(undefined, from);
          const generator = new kata.NumberGenerator(source, { highWaterMark: mark });
          const looks: { read: number; pulled: number; pulledBytes: number }[] = [];
          let read = 0;
          for (let look = 0; look < 20; look++) {
            if (generator.readableLength === 0)
              await ending(new Promise((resolve) => generator.once('readable', resolve).read(0)));
            await turns(20);
            looks.push({ read, pulled: source.pulled, pulledBytes: source.pulledBytes });
            const chunk = generator.read() as Buffer | null;
            if (chunk === null) break;
            read += String(chunk).length;
          }
          generator.destroy();
          return looks;
        },
        { mark: highWaterMark, from: first },
      );

      for (const { read, pulled, pulledBytes } of seen) {
        expectThat(
          pulledBytes - read <= 2 * highWaterMark,
          `numbers from ${first} on, high-water mark ${highWaterMark} bytes, read ${read} bytes; the generator took ${amount(pulled)} from its source, which is ${pulledBytes} bytes (limit ${read + 2 * highWaterMark})`,
        );
      }
      expect(seen.length, `numbers from ${first} on; reads that gave something, of 20`).toBe(20);
    }
  });

  test('A collector that waits holds up the whole pipeline.', async () => {
    const seen = await (
      await stage()
    ).evaluate(async (kata, _args, { stage: { countedSource, flow, heldSave, turns } }) => {
      const options = { highWaterMark: 64 };
      const source = countedSource();
      const held = heldSave();
      const generator = new kata.NumberGenerator(source, options);
      const flowing = flow([generator, new kata.Doubler(options), new kata.Collector(held.save, options)]);
      const looks: { saved: number; before: number; after: number }[] = [];
      for (let look = 0; look < 10 && (await held.begun()); look++) {
        const { saved } = held;
        await turns(50);
        const before = source.pulled;
        await turns(50);
        looks.push({ saved, before, after: source.pulled });
        held.release();
      }
      generator.destroy();
      held.release();
      await flowing;
      return looks;
    });

    for (const { saved, before, after } of seen) {
      const what = `high-water marks 64 bytes, a save held up after ${saved} numbers were saved`;
      expectThat(
        after - saved <= onTheWayLimit,
        `${what}; the generator took ${amount(after)} from its source (limit ${saved + onTheWayLimit})`,
      );
      expect(after, `${what}; numbers taken from the source 50 turns of the event loop later`).toBe(before);
    }
    expect(seen.length, 'saves that began, of 10 on an endless source').toBe(10);
  });

  test('Lines that are cut anywhere, or come many in a chunk, are the same numbers.', async () => {
    const documents = fc.record({
      list: numbers,
      isEnded: fc.boolean(),
      cuts: fc.array(fc.nat({ max: 300 }), { maxLength: 8 }),
    });
    const chunks = ({ list, isEnded, cuts }: Document) => cutAt(isEnded ? lines(list) : list.join('\n'), cuts);
    const inWords = (document: Document) =>
      chunks(document)
        .map((chunk) => JSON.stringify(chunk))
        .join(' + ') || 'nothing';

    await expectForDrawn({
      examples: documents,
      count: 150,
      ask: (examples) => askDoubler(examples.map(chunks)),
      fault: (seen, { list }) => difference(seen, { text: lines(list.map((number) => number * 2)), how: 'done' }),
      inWords: (document) => `a doubler of ${inWords(document)}`,
    });
    await expectForDrawn({
      examples: documents,
      count: 150,
      ask: (examples) => askCollector(examples.map(chunks)),
      fault: (seen, { list }) => faultOfSaved(seen, list),
      inWords: (document) => `a collector of ${inWords(document)}`,
    });
  });

  test('A line that is no whole number is refused by a TypeError that names it.', async () => {
    const documents = badLines.flatMap((line) => [
      { line, chunks: ['1\n', '2\n', `${line}\n`, '3\n'] },
      { line, chunks: [`1\n2\n${line}\n3\n`] },
      // A last line that is empty is none.
      ...(line === '' ? [] : [{ line, chunks: [`1\n2\n${line}`] }]),
    ]);

    const doubled = await askDoubler(documents.map(({ chunks }) => chunks));
    const collected = await askCollector(documents.map(({ chunks }) => chunks));
    const written = await (
      await stage()
    ).evaluate(async (kata, _args, { stage: { ending, notingSave } }) => {
      const write = async (stream: import('node:stream').Writable) => {
        const failed = ending(new Promise((_, reject) => stream.once('error', reject)));
        if ('resume' in stream) (stream as import('node:stream').Duplex).resume();
        try {
          stream.write(Buffer.from('1\n2x\n'));
        } catch (error) {
          return `write() itself threw: ${String(error)}`;
        }
        return await failed;
      };
      return {
        doubler: await write(new kata.Doubler()),
        collector: await write(new kata.Collector(notingSave().save)),
      };
    });

    for (const [index, { line, chunks }] of documents.entries()) {
      const what = chunks.map((chunk) => JSON.stringify(chunk)).join(' + ');
      expectRefused(doubled[index]!.how, line, `a doubler of ${what}`);
      expectRefused(collected[index]!.how, line, `a collector of ${what}`);
      const saved = collected[index]!.saved.join(', ');
      expectThat('1, 2'.startsWith(saved), `a collector of ${what} saved ${saved}`);
    }
    for (const name of ['doubler', 'collector'] as const)
      expectRefused(written[name] as Ending, '2x', `a ${name} that was written "1\\n2x\\n" to`);
  });

  test('An error anywhere ends the whole pipeline with that error, and closes the source.', async () => {
    const places = ['generator', 'doubler', 'collector', 'source', 'save', 'save, before its promise'] as const;

    for (const place of places) {
      const seen = await (
        await stage()
      ).evaluate(async (kata, at, { stage: { countedSource, flow, heldSave, turns } }) => {
        const options = { highWaterMark: 64 };
        const planned = new Error('planned');
        const source = countedSource();
        const { next } = source[Symbol.iterator]();
        const failing = { next: () => (source.pulled < 500 ? next() : raise()) };
        const raise = () => {
          throw planned;
        };
        const held = heldSave();
        const streams = {
          generator: new kata.NumberGenerator(at === 'source' ? { [Symbol.iterator]: () => failing } : source, options),
          doubler: new kata.Doubler(options),
          collector: new kata.Collector(at === 'save, before its promise' ? raise : held.save, options),
        };
        const all = Object.values(streams);
        const flowing = flow(all, planned);
        const isOfStream = at === 'generator' || at === 'doubler' || at === 'collector';
        if (isOfStream || at === 'save') await held.begun();
        let { calls } = held;
        if (isOfStream) streams[at].destroy(planned);
        if (at === 'save') held.release(planned);
        await turns(5);
        // A save that is under way comes to its end; a source that fails does so when some have.
        let isOver = false;
        flowing.then(() => (isOver = true)).catch(() => {});
        for (; !isOver; held.release()) await turns(5);
        const how = await flowing;
        if (at === 'source') calls = held.calls;
        const { pulled } = source;
        await turns(50);
        return {
          how,
          open: all.filter((one) => !one.destroyed).map((one) => one.constructor.name),
          returns: source.returns,
          later: { saves: held.calls - calls, pulled: source.pulled - pulled },
        };
      }, place);

      const what = `pipeline of generator, doubler and collector; the error came from the ${place}`;
      expect(seen.how, `${what}; the pipeline`).toBe('failed as planned');
      expect(seen.open, `${what}; streams that are not destroyed`).toEqual([]);
      if (place !== 'source') expectThat(seen.returns > 0, `${what}; the source's iterator was not told to return`);
      expect(seen.later, `${what}; after that`).toEqual({ saves: 0, pulled: 0 });
    }
  });

  test('After it is destroyed, none of them does anything more.', async () => {
    const generator = await (
      await stage()
    ).evaluate(async (kata, _args, { stage: { countedSource, ending, turns } }) => {
      const source = countedSource();
      const stream = new kata.NumberGenerator(source, { highWaterMark: 64 });
      const events: string[] = [];
      await ending(
        new Promise<void>((resolve) => {
          stream.on('data', () => {
            stream.pause();
            resolve();
          });
        }),
      );
      stream.destroy();
      const { pulled } = source;
      for (const name of ['data', 'end', 'error', 'close']) stream.on(name, () => events.push(name));
      await turns(50);
      return { events, pulled: source.pulled - pulled, returns: source.returns };
    });
    const unread = await (
      await stage()
    ).evaluate(async (kata, _args, { stage: { countedSource, turns } }) => {
      const source = countedSource();
      const stream = new kata.NumberGenerator(source, { highWaterMark: 64 });
      const events: string[] = [];
      for (const name of ['end', 'error', 'close']) stream.on(name, () => events.push(name));
      stream.destroy();
      await turns(50);
      const { pulled, iterators, returns } = source;
      return { events, pulled, iterators, returns };
    });
    const doubler = await (
      await stage()
    ).evaluate(async (kata, _args, { stage: { turns } }) => {
      const stream = new kata.Doubler();
      const events: string[] = [];
      stream.write(Buffer.from('1\n2'));
      await turns(5);
      stream.destroy();
      for (const name of ['data', 'end', 'finish', 'error', 'close']) stream.on(name, () => events.push(name));
      await turns(50);
      return { events };
    });
    const collectors = [];
    for (const how of ['well', 'by an error'] as const) {
      collectors.push(
        await (
          await stage()
        ).evaluate(async (kata, end, { stage: { heldSave, turns } }) => {
          const held = heldSave();
          const stream = new kata.Collector(held.save);
          const events: string[] = [];
          stream.write(Buffer.from('7\n'.repeat(1050)));
          stream.write(Buffer.from('8\n'));
          const began = await held.begun();
          stream.destroy();
          const { calls } = held;
          for (const name of ['finish', 'error', 'close']) stream.on(name, () => events.push(name));
          await turns(20);
          held.release(end === 'well' ? undefined : new Error('too late'));
          await turns(50);
          return { began, events, saves: held.calls - calls };
        }, how),
      );
    }
    const waiting = await (
      await stage()
    ).evaluate(async (kata, _args, { stage: { notingSave, turns } }) => {
      const { save, saved } = notingSave();
      const stream = new kata.Collector(save);
      stream.write(Buffer.from('1\n2'));
      await turns(5);
      const before = saved.length;
      stream.destroy();
      await turns(50);
      return saved.length - before;
    });

    expect(generator, 'a generator after destroy(): events, numbers taken, calls of the iterator’s return').toEqual({
      events: ['close'],
      pulled: 0,
      returns: 1,
    });
    expect(
      unread,
      'a generator that was destroyed before anybody read: events, numbers taken, iterators that it had asked for, calls of their return',
    ).toEqual({ events: ['close'], pulled: 0, iterators: unread.iterators, returns: unread.iterators });
    expect(doubler.events, 'a doubler after destroy(), with half a line in hand: events').toEqual(['close']);
    for (const [index, how] of ['well', 'by an error'].entries())
      expect(
        collectors[index],
        `a collector was destroyed during a save of 1,050 numbers, which then ended ${how}: events and saves after destroy()`,
      ).toEqual({ began: true, events: ['close'], saves: 0 });
    expect(
      waiting,
      'a collector was destroyed with the lines "1" and half a second one; numbers saved after that',
    ).toBe(0);
  });
});

describe('stretch', () => {
  test('In object mode a chunk is a number, and nothing else.', async () => {
    await expectForDrawn({
      examples: numbers,
      count: 60,
      ask: async (examples) =>
        await (
          await stage()
        ).evaluate(async (kata, lists, { stage: { countedSource, flow, notingSave } }) => {
          const options = { objectMode: true, highWaterMark: 3 };
          const seen: (Saved & { given: string; doubled: string })[] = [];
          const note = (into: string[]) =>
            async function* (chunks: AsyncIterable<unknown>) {
              for await (const chunk of chunks) {
                into.push(`${typeof chunk} ${String(chunk)}`);
                yield chunk;
              }
            };
          for (const list of lists) {
            const { save, saved, sizes } = notingSave();
            const [given, doubled]: [string[], string[]] = [[], []];
            const how = await flow([
              new kata.NumberGenerator(countedSource(list), options),
              note(given),
              new kata.Doubler(options),
              note(doubled),
              new kata.Collector(save, options),
            ]);
            const text = (chunks: string[]) => chunks.join(', ');
            seen.push({ given: text(given), doubled: text(doubled), saved: [...saved], sizes: [...sizes], how });
            if (how === 'still waiting') break;
          }
          return seen;
        }, examples),
      fault: (seen, list) => {
        const twice = list.map((number) => number * 2);
        const asNumbers = (all: readonly number[]) => all.map((number) => `number ${number}`).join(', ');
        if (seen.given !== asNumbers(list)) return `the generator gave ${seen.given || 'nothing'}`;
        if (seen.doubled !== asNumbers(twice)) return `the doubler gave ${seen.doubled || 'nothing'}`;
        return faultOfSaved(seen, twice);
      },
      inWords: (list) => `in object mode, [${list.join(', ')}]`,
    });

    const process = await stage();
    const highWaterMark = 8;
    const pulled = await process.evaluate(async (kata, mark, { stage: { countedSource, ending, turns } }) => {
      const source = countedSource();
      const generator = new kata.NumberGenerator(source, { objectMode: true, highWaterMark: mark });
      await ending(new Promise((resolve) => generator.once('readable', resolve).read(0)));
      await turns(20);
      generator.destroy();
      return source.pulled;
    }, highWaterMark);
    expectThat(
      pulled <= 2 * highWaterMark,
      `high-water mark ${highWaterMark} numbers, nobody reads; the generator took ${amount(pulled)} from its source (limit ${2 * highWaterMark})`,
    );

    for (const [bad, inWords] of [
      [1.5, '1.5'],
      [Number.NaN, 'NaN'],
      ['5', '5'],
    ] as const) {
      const refused = await process.evaluate(async (kata, chunk, { stage: { chunks, flow, notingSave, stream } }) => {
        const options = { objectMode: true };
        const { save } = notingSave();
        const sink = () =>
          new stream.Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback() });
        return {
          doubler: await flow([chunks([1, chunk, 2]), new kata.Doubler(options), sink()]),
          collector: await flow([chunks([1, chunk, 2]), new kata.Collector(save, options)]),
        };
      }, bad);
      const what = `of the number 1 and the ${typeof bad} ${inWords} in object mode`;
      expectRefused(refused.doubler, inWords, `a doubler ${what}`);
      expectRefused(refused.collector, inWords, `a collector ${what}`);
    }
  });

  test('The collector saves one batch after the other, and finishes when the last one is saved.', async () => {
    for (const last of ['well', 'by an error'] as const) {
      const seen = await (
        await stage()
      ).evaluate(async (kata, end, { stage: { heldSave, turns } }) => {
        const held = heldSave();
        const stream = new kata.Collector(held.save);
        const events: string[] = [];
        for (const name of ['finish', 'error', 'close']) stream.on(name, () => events.push(name));
        stream.write(Buffer.from('7\n'.repeat(250)));
        for (let count = 0; count < 10; count++) stream.write(Buffer.from('7\n'.repeat(10)));
        stream.end();
        const early: string[] = [];
        while (held.given < 350 && (await held.begun())) {
          await turns(20);
          early.push(...events);
          if (held.given < 350) held.release();
        }
        await turns(20);
        early.push(...events);
        held.release(end === 'well' ? undefined : new Error('disk full'));
        await turns(50);
        return { given: held.given, mostAtOnce: held.mostAtOnce, early, events };
      }, last);

      const what = '350 numbers to a collector, 250 of them in one chunk, each save held up for a while';
      expect(seen.given, `${what}; numbers given to save`).toBe(350);
      expect(seen.mostAtOnce, `${what}; saves under way at once`).toBe(1);
      expect(seen.early, `${what}; events before the last save ended`).toEqual([]);
      expect(seen.events, `${what}; events after the last one ended ${last}`).toEqual(
        last === 'well' ? ['finish', 'close'] : ['error', 'close'],
      );
    }
  });
});

interface Document {
  readonly list: readonly number[];
  readonly isEnded: boolean;
  readonly cuts: readonly number[];
}

interface Seen {
  text: string;
  readonly how: Ending;
}

interface Saved {
  readonly saved: readonly number[];
  readonly sizes: readonly number[];
  readonly how: Ending;
}

/** The module in a process with the judge's stage in it. */
const { running: stage } = useSubject<typeof Kata, Kept>('custom-streams', async (subject) => {
  await subject.evaluate(setStreamStage);
  await subject.evaluate(setStage);
});

/** What a doubler gives for each of these lists of chunks, and how it ends. */
async function askDoubler(documents: readonly (readonly string[])[]): Promise<Seen[]> {
  return await (
    await stage()
  ).evaluate(async (kata, lists, { stage: { chunks, flow, stream } }) => {
    const seen: Seen[] = [];
    for (const list of lists) {
      let text = '';
      const sink = new stream.Writable({
        write(chunk, _encoding, callback) {
          text += String(chunk);
          callback();
        },
      });
      const source = chunks(list.map((chunk) => Buffer.from(chunk)));
      const how = await flow([source, new kata.Doubler(), sink]);
      seen.push({ text, how });
      if (how === 'still waiting') break;
    }
    return seen;
  }, documents);
}

/** What a collector saves of each of these lists of chunks, and how it ends. */
async function askCollector(documents: readonly (readonly string[])[]): Promise<Saved[]> {
  return await (
    await stage()
  ).evaluate(async (kata, lists, { stage: { chunks, flow, notingSave } }) => {
    const seen: Saved[] = [];
    for (const list of lists) {
      const { save, saved, sizes } = notingSave();
      const source = chunks(list.map((chunk) => Buffer.from(chunk)));
      const how = await flow([source, new kata.Collector(save)]);
      seen.push({ saved: [...saved], sizes: [...sizes], how });
      if (how === 'still waiting') break;
    }
    return seen;
  }, documents);
}

function lines(list: readonly number[]): string {
  return list.map((number) => `${number}\n`).join('');
}

function difference(seen: Seen, expected: Seen): string | undefined {
  if (seen.how !== expected.how) return `it ${inPast(seen.how)}, after it gave ${JSON.stringify(seen.text)}`;
  if (seen.text === expected.text) return undefined;
  return `it gave ${JSON.stringify(seen.text)} instead of ${JSON.stringify(expected.text)}`;
}

function faultOfSaved({ saved, sizes, how }: Saved, expected: readonly number[]): string | undefined {
  if (how !== 'done') return `it ${inPast(how)}, and ${inShort(saved)} were saved`;
  if (saved.join() !== expected.join()) return `${inShort(saved)} saved instead of ${inShort(expected)}`;
  const wrong = sizes.find((size) => size < 1 || size > batchLimit);
  return wrong === undefined ? undefined : `${wrong} numbers were saved at once (at least 1, at most ${batchLimit})`;
}

function expectRefused(how: Ending, line: string, what: string): void {
  const isRefused = how.startsWith('failed: TypeError: ') && how.slice('failed: TypeError: '.length).includes(line);
  expectThat(
    isRefused,
    `${what} ${inPast(how)}; it should fail by a TypeError whose message has ${JSON.stringify(line)} in it`,
  );
}

function inShort(list: readonly number[]): string {
  const shown = list.length > 20 ? [...list.slice(0, 8), '…', ...list.slice(-3)] : list;
  return `${list.length === 1 ? '1 number' : `${list.length} numbers`} [${shown.join(', ')}]`;
}

function amount(pulled: number): string {
  return pulled >= 20_000 ? `${pulled} numbers, where the judge stopped it,` : `${pulled} numbers`;
}
