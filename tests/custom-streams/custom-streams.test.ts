import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { cutAt, type Ending } from '../../helpers/instruments/stream-stage/stream-stage.ts';
import { expectAnswers } from '../../helpers/judging/drawn/expect-answers.ts';
import { expectAtMost } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/custom-streams/custom-streams.ts';
import {
  collectAll,
  destroyBusyCollector,
  destroyCollector,
  destroyDoubler,
  destroyFilledCollector,
  destroyGenerator,
  doubleAll,
  failInPipeline,
  finishWithHeldSaves,
  generateAll,
  giveBadObject,
  holdUpSaves,
  pipeAll,
  pipeObjects,
  readFromTimeToTime,
  writeBadLine,
} from './inside.ts';

/** How much a generator may take ahead of its reader, in high-water marks. */
const aheadLimit = 2.5;
/** How many numbers may be on their way through a pipeline whose streams hold 64 bytes each. */
const onTheWayLimit = 1000;
const badLines = ['', '  ', '12x', '1.5', '1.0', '5.', '-', '1 2', ' 7', '7 ', 'two', '0x10'];
/** Numbers that fill one or two saves, and one more. Their last line has no newline. */
const fullSaves = [100, 101, 200, 201].map((length) => Array.from({ length }, (_, index) => index + 1));

/** Whole numbers with few digits and with many, zero and negative ones among them. */
const numbers = fc.array(fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer()), { maxLength: 40 });
/** Enough numbers for several saves. */
const manyNumbers = fc.array(fc.integer({ min: -99, max: 99 }), { maxLength: 350, size: 'max' });
/** Lines that are cut anywhere; the last one may have no newline. */
const cutLines = fc
  .record({ list: numbers, isEnded: fc.boolean(), cuts: fc.array(fc.nat({ max: 300 }), { maxLength: 8 }) })
  .map(({ list, isEnded, cuts }) => ({ list, chunks: cutAt(isEnded ? textOf(list) : list.join('\n'), cuts) }));

const test = judge<typeof Kata>('custom-streams');

describe('core', () => {
  test('The generator must give every number of its source as a line of text, and then end.', async ({ subject }) => {
    await expectAnswers({
      examples: numbers,
      count: 100,
      ask: (lists) => subject.run(generateAll, lists),
      expected: (list) => text(list),
      inWords: (list) => `a generator of ${inShort(list)}`,
    });
  });

  test('The doubler must give twice each number.', async ({ subject }) => {
    await expectAnswers({
      examples: numbers,
      count: 100,
      ask: (lists) => subject.run(doubleAll, lists.map(oneLinePerChunk)),
      expected: (list) => text(twice(list)),
      inWords: (list) => `a doubler of ${inShort(list)}, one line a chunk`,
    });
  });

  test('The collector must save every number once and in order, including the last ones.', async ({ subject }) => {
    await expectAnswers({
      examples: manyNumbers,
      count: 60,
      ask: (lists) => subject.run(collectAll, lists.map(oneLinePerChunk)),
      expected: (list) => saved(list),
      inWords: (list) => `a collector of ${inShort(list)}, one line a chunk`,
    });
  });

  test('A pipeline of the three must save every number before it is done.', async ({ subject }) => {
    await expectAnswers({
      examples: manyNumbers,
      count: 60,
      ask: (lists) => subject.run(pipeAll, lists),
      expected: (list) => saved(twice(list)),
      inWords: (list) => `generator, doubler and collector with ${inShort(list)}`,
    });
  });
});

describe('robust', () => {
  test('The generator must not take more from its source than its reader has room for.', async ({ subject }) => {
    const options = { highWaterMark: 1024 };
    // Lines of a few bytes, and of sixteen.
    for (const first of [1, 10 ** 14]) {
      const reads = await subject.run(readFromTimeToTime, { options, reads: 10, first });

      const what = `numbers from ${first} on, high-water mark 1024 bytes`;
      for (const { takenBytes, readBytes } of reads)
        expectAtMost(
          takenBytes - readBytes,
          aheadLimit * 1024,
          `${what}; taken ahead of the reader:`,
          'bytes of lines',
        );
      expect(reads.filter(({ gives }) => gives).length, `${what}; reads that gave something, of 10`).toBe(10);
    }
  });

  test('While the collector waits for a save, the whole pipeline must wait.', async ({ subject }) => {
    const saves = await subject.run(holdUpSaves, { saves: 5 });

    for (const { taken, saved: already } of saves) {
      const what = `high-water marks 64 bytes, a save held up after ${already} numbers; taken and not saved:`;
      expectAtMost(taken - already, onTheWayLimit, what, 'numbers');
    }
    expect(saves.length, 'saves that began on an endless source, of 5').toBe(5);
  });

  test('Lines that are cut anywhere, or come many in a chunk, must give the same numbers.', async ({ subject }) => {
    await expectAnswers({
      examples: cutLines,
      count: 150,
      ask: (examples) =>
        subject.run(
          doubleAll,
          examples.map(({ chunks }) => chunks),
        ),
      expected: ({ list }) => text(twice(list)),
      inWords: ({ chunks }) => `a doubler of the chunks ${JSON.stringify(chunks)}`,
    });
    await expectAnswers({
      examples: cutLines,
      count: 150,
      ask: (examples) =>
        subject.run(
          collectAll,
          examples.map(({ chunks }) => chunks),
        ),
      expected: ({ list }) => saved(list),
      inWords: ({ chunks }) => `a collector of the chunks ${JSON.stringify(chunks)}`,
    });
    const answers = await subject.run(
      collectAll,
      fullSaves.flatMap((list) => [oneLinePerChunk(list), [textOf(list)]].map(withoutLastNewline)),
    );
    for (const [index, list] of fullSaves.entries()) {
      const what = `a collector of ${inShort(list)}, without the last newline`;
      expect(answers[2 * index], `${what}, one line a chunk`).toEqual(saved(list));
      expect(answers[2 * index + 1], `${what}, all in one chunk`).toEqual(saved(list));
    }
  });

  test('A line that is not a whole number must cause a TypeError that contains the line.', async ({ subject }) => {
    for (const line of badLines) {
      const documents = [['1\n', '2\n', `${line}\n`, '3\n'], [`1\n2\n${line}\n3\n`], [...`1\n2\n${line}\n3\n`]];
      // An empty last line is no line.
      if (line !== '') documents.push([`1\n2\n${line}`]);

      const doubled = await subject.run(doubleAll, documents);
      const collected = await subject.run(collectAll, documents);

      for (const [index, chunks] of documents.entries()) {
        const what = `the chunks ${JSON.stringify(chunks)}`;
        expect(doubled[index]?.how, `a doubler of ${what}`).toMatch(typeErrorWith(line));
        expect(collected[index]?.how, `a collector of ${what}`).toMatch(typeErrorWith(line));
        expect(collected[index]?.saved, `a collector of ${what}; saved numbers`).not.toContain(3);
      }
    }
    const written = await subject.run(writeBadLine);
    expect(written.doubler, 'a doubler after write("1\\n2x\\n")').toMatch(typeErrorWith('2x'));
    expect(written.collector, 'a collector after write("1\\n2x\\n")').toMatch(typeErrorWith('2x'));
  });

  test('An error anywhere must end the whole pipeline with that error and close the source.', async ({ subject }) => {
    for (const failing of [
      'generator',
      'doubler',
      'collector',
      'source',
      'save',
      'save, before its promise',
    ] as const) {
      const seen = await subject.run(failInPipeline, failing);

      expect(seen, `pipeline of generator, doubler and collector, after an error of the ${failing}`).toEqual({
        how: 'failed as planned',
        notDestroyed: [],
        isSourceClosed: true,
        afterwards: { taken: 0, saves: 0 },
      });
    }
  });

  test('After destroy(), a stream must only close: no number taken, given or saved.', async ({ subject }) => {
    for (const { what, ...source } of [
      { what: 'high-water mark 64 bytes', highWaterMark: 64, hasReturn: true },
      { what: 'high-water mark 4096 bytes', highWaterMark: 4096, hasReturn: true },
      { what: 'of an iterator without return(), as an array has', highWaterMark: 64, hasReturn: false },
    ]) {
      const generator = await subject.run(destroyGenerator, source);
      expect(generator, `a generator, ${what}, destroyed when it had given a chunk`).toEqual({
        hasGiven: true,
        events: ['close'],
        taken: 0,
        isSourceClosed: source.hasReturn,
      });
    }
    const doubler = await subject.run(destroyDoubler);
    expect(doubler, 'a doubler, destroyed after "1\\n2"').toEqual({ hasGiven: true, events: ['close'] });
    for (const saveFails of [false, true]) {
      const collector = await subject.run(destroyCollector, { saveFails });
      const what = `a collector, destroyed during a save, which then ${saveFails ? 'fails' : 'succeeds'}`;
      expect(collector, what).toEqual({ hasBegun: true, events: ['close'], saves: 0 });
    }
    const late = await subject.run(destroyFilledCollector);
    expect(late, 'a collector, destroyed after "1\\n2"; saves after destroy()').toBe(0);
    for (const isEnded of [false, true]) {
      const saves = await subject.run(destroyBusyCollector, { isEnded });
      const what = `a collector, destroyed at once after ${isEnded ? '50 numbers and end()' : 'a chunk of 100 numbers'}`;
      expect(saves, `${what}; saves after destroy()`).toBe(0);
    }
  });
});

describe('stretch', () => {
  test('In object mode, every chunk must be a number.', async ({ subject }) => {
    await expectAnswers({
      examples: numbers,
      count: 60,
      ask: (lists) => subject.run(pipeObjects, lists),
      expected: (list) => ({ generated: typed(list), doubled: typed(twice(list)), ...saved(twice(list)) }),
      inWords: (list) => `in object mode, ${inShort(list)}`,
    });

    const options = { objectMode: true, highWaterMark: 20 };
    const reads = await subject.run(readFromTimeToTime, { options, reads: 1, first: 1 });
    for (const { taken } of reads)
      expectAtMost(
        taken,
        aheadLimit * 20,
        'in object mode, high-water mark 20; taken before anybody reads:',
        'numbers',
      );

    for (const bad of [1.5, Number.NaN, Infinity, '5']) {
      const seen = await subject.run(giveBadObject, bad);
      const what = `of the ${typeof bad} ${bad} in object mode`;
      expect(seen.doubler, `a doubler ${what}`).toMatch(typeErrorWith(String(bad)));
      expect(seen.collector, `a collector ${what}`).toMatch(typeErrorWith(String(bad)));
    }
  });

  test('The collector must run one save at a time, and finish only after the last save.', async ({ subject }) => {
    for (const lastFails of [false, true]) {
      const seen = await subject.run(finishWithHeldSaves, { lastFails });

      expect(seen, `350 numbers, 250 of them in one chunk; the last save ${lastFails ? 'fails' : 'succeeds'}`).toEqual({
        given: 350,
        mostAtOnce: 1,
        events: ['the last save ends', lastFails ? 'error' : 'finish'],
      });
    }
  });
});

function twice(list: readonly number[]): number[] {
  return list.map((number) => number * 2);
}

function textOf(list: readonly number[]): string {
  return oneLinePerChunk(list).join('');
}

function oneLinePerChunk(list: readonly number[]): string[] {
  return list.map((number) => `${number}\n`);
}

function withoutLastNewline(chunks: readonly string[]): string[] {
  return chunks.with(-1, chunks.at(-1)!.trimEnd());
}

function typed(list: readonly number[]): string[] {
  return list.map((number) => `number ${number}`);
}

/** The answer of somebody who gives these numbers as text. */
function text(list: readonly number[]): { text: string; how: Ending } {
  return { text: textOf(list), how: 'done' };
}

/** The answer of somebody who saves these numbers, at least one and at most 100 at a time. */
function saved(list: readonly number[]): {
  saved: number[];
  areSizesAllowed: boolean;
  how: Ending;
} {
  return { saved: [...list], areSizesAllowed: true, how: 'done' };
}

function typeErrorWith(line: string): RegExp {
  return new RegExp(`^failed: TypeError: .*${line.replaceAll('.', String.raw`\.`)}`, 's');
}

function inShort(list: readonly number[]): string {
  const shown = list.length > 20 ? [...list.slice(0, 8), '…', ...list.slice(-3)] : list;
  return `${list.length} numbers [${shown.join(', ')}]`;
}
