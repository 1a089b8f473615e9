import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type { Ending } from '../../helpers/instruments/stream-stage/stream-stage.ts';
import { expectAnswers } from '../../helpers/judging/drawn/expect-answers.ts';
import { expectAtMost } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/stream-utils/stream-utils.ts';
import {
  ascii,
  type Document,
  documents,
  documentsOfStrings,
  everyCut,
  inWords,
  linesOf,
  unicode,
} from './documents.ts';
import {
  batchAll,
  costOf,
  countTimers,
  failInPipeline,
  fillAfterPause,
  pullWithPauses,
  readBroken,
  readDuringAnother,
  readWhole,
  readWithLimit,
  splitAll,
  splitEndlessLine,
  waitForFullBatch,
  waitForTime,
  writeWhileReaderPauses,
} from './inside.ts';

/** How much may be pulled from a source ahead of its reader, or beyond a limit: chunks of 1 KB, or items. */
const pullLimit = 1000;
/** How much more one document may cost than sixteen that are as long together. */
const costLimit = 4;

const test = judge<typeof Kata>('stream-utils');

describe('core', () => {
  test('toBuffer and toText must return the whole document, however it is cut.', async ({ subject }) => {
    await expectAnswers({
      examples: documents(ascii),
      count: 100,
      ask: (examples) => subject.run(readWhole, examples),
      expected: whole,
      inWords,
    });
    const text = 'one line, and another one';
    for (const tool of ['toBuffer', 'toText'] as const) {
      const seen = await subject.run(readDuringAnother, { tool, text });
      const what = `${tool} of "${text}", byte by byte, while another call had read half a character and waited`;
      expect(seen, what).toEqual({ read: text, how: 'done' });
    }
  });

  test('split must give the same lines, however the document is cut.', async ({ subject }) => {
    await expectAnswers({
      examples: documents(ascii, { endsWithDelimiter: true }),
      count: 150,
      ask: (examples) => subject.run(splitAll, examples),
      expected: lines,
      inWords,
    });
  });

  test('batch must give arrays of the requested size, with all items in order and unchanged.', async ({ subject }) => {
    await expectAnswers({
      examples: itemLists({ onlyFullBatches: true }),
      count: 60,
      ask: (examples) => subject.run(batchAll, examples),
      expected: batches,
      inWords: JSON.stringify,
    });
  });

  test('split must give the last line, and batch the last items, when the input ends.', async ({ subject }) => {
    await expectAnswers({
      examples: documents(ascii),
      count: 150,
      ask: (examples) => subject.run(splitAll, examples),
      expected: lines,
      inWords,
    });
    await expectAnswers({
      examples: itemLists({ onlyFullBatches: false }),
      count: 60,
      ask: (examples) => subject.run(batchAll, examples),
      expected: batches,
      inWords: JSON.stringify,
    });
  });
});

describe('robust', () => {
  test('A character or a delimiter that is cut by a chunk border must stay whole.', async ({ subject }) => {
    for (const examples of [documents(unicode), documentsOfStrings(unicode)]) {
      await expectAnswers({
        examples,
        count: 200,
        ask: (drawn) => subject.run(readWhole, drawn),
        expected: whole,
        inWords,
      });
    }
    await expectAnswers({
      examples: documents(unicode),
      count: 300,
      ask: (examples) => subject.run(splitAll, examples),
      expected: lines,
      inWords,
    });
    // Rarely drawn: a delimiter that begins inside of something that only began like it.
    for (const [text, delimiter] of [
      ['aaab-aaaab-aab', 'aab'],
      ['one\r\r\ntwo\r', '\r\n'],
      ['one---two-', '--'],
      ['--\n-\n-\n-', '-\n-'],
    ] as const) {
      const cut = everyCut(text, delimiter);
      const answers = await subject.run(splitAll, cut);
      for (const [index, document] of cut.entries()) expect(answers[index], inWords(document)).toEqual(lines(document));
    }
  });

  test('While its reader pauses, split or batch must make its source pause, too.', async ({ subject }) => {
    for (const tool of ['split', 'batch', 'batch with maxWaitMs'] as const) {
      const chunksPerRead = tool === 'split' ? 1 : 10;

      const pauses = await subject.run(pullWithPauses, { tool, pauses: 5 });

      for (const { read, pulled } of pauses) {
        const what = `${tool}: its reader paused after ${read} reads; the source gave, ahead of the reader,`;
        expectAtMost(pulled - read * chunksPerRead, pullLimit, what, 'chunks');
      }
      const reads = pauses.map(({ read }) => read);
      expect(reads, `${tool}: reads before each pause`).toEqual([20, 40, 60, 80, 100]);
    }
    // Items that come so slowly that the clock gives each of them.
    const { written } = await subject.run(writeWhileReaderPauses, { size: 10, most: 2 * pullLimit, maxWaitMs: 300 });
    expectAtMost(written, pullLimit, 'batch(10), maxWaitMs 300: its reader paused; an item per 303 ms:', 'items');
  });

  test('split must reject a line of more than maxLineBytes with a RangeError before the whole line has arrived.', async ({
    subject,
  }) => {
    const maxLineBytes = 10;
    const limited = (texts: readonly string[]) =>
      texts.flatMap((text) => everyCut(text, '\r\n')).map((document) => ({ ...document, maxLineBytes }));
    const fitting = limited(['ééééé\r\n', '0123456789\r\n', '\r\nx\r\n', 'éé\réé-\r\nééééé']);
    const tooLong = limited([
      'ok\r\néééééx\r\nok\r\n',
      '0123456789x\r\n',
      'ok\r\néééééx',
      '0123456789\rx\r\n',
      'ok\r\nééééé\r',
    ]);

    const fittingAnswers = await subject.run(splitAll, fitting);
    const tooLongAnswers = await subject.run(splitAll, tooLong);

    for (const [index, document] of fitting.entries())
      expect(fittingAnswers[index], `maxLineBytes 10, ${inWords(document)}`).toEqual(lines(document));
    for (const [index, document] of tooLong.entries())
      expect(tooLongAnswers[index]?.how, `maxLineBytes 10, ${inWords(document)}`).toMatch(rangeErrorWith(10));

    for (const pushesAtOnce of [false, true]) {
      const { how, pulledKb } = await subject.run(splitEndlessLine, { pushesAtOnce, maxLineBytes: 10_000 });

      const what = 'maxLineBytes 10000, a line without an end';
      expectAtMost(pulledKb, pullLimit, `${what}; the source gave`, 'KB');
      expect(how, what).toMatch(rangeErrorWith(10_000));
    }
  });

  test('An error of a source, or its early close, must reach the caller and destroy the whole pipeline.', async ({
    subject,
  }) => {
    for (const tool of ['toBuffer', 'toText'] as const) {
      const ofError = await subject.run(readBroken, { tool, hasError: true });
      expect(ofError, `${tool} of a source that failed after two chunks`).toBe('failed as planned');

      const ofClose = await subject.run(readBroken, { tool, hasError: false });
      expect(ofClose, `${tool} of a source that was destroyed after two chunks`).toMatch(/^failed/);
    }
    for (const failing of ['source', 'reader'] as const) {
      const seen = await subject.run(failInPipeline, failing);
      const what = `pipeline of source, split, batch and reader, after an error of the ${failing}`;
      expect(seen, what).toEqual({ how: 'failed as planned', notDestroyed: [] });
    }
  });

  test('toBuffer and toText must reject with a RangeError and destroy the source once they read more than maxBytes.', async ({
    subject,
  }) => {
    const maxBytes = 1000;
    const eAcute = new Uint8Array(Buffer.from('é'));
    const kilobyte = new Uint8Array(1024);

    for (const tool of ['toBuffer', 'toText'] as const) {
      const justFits = { tool, maxBytes, chunk: eAcute, count: 500, pushesAtOnce: false, afterwards: 'end' } as const;
      const { how: howOfFitting } = await subject.run(readWithLimit, justFits);
      expect(howOfFitting, `${tool}, maxBytes 1000, of 1000 bytes`).toBe('done');

      for (const { what, ...source } of [
        { what: '501 chunks of 2 bytes, then silence', chunk: eAcute, count: 501, pushesAtOnce: false },
        { what: '501 strings of 2 bytes, then silence', chunk: 'é', count: 501, pushesAtOnce: false },
        { what: '1 chunk of 1024 bytes, then silence', chunk: kilobyte, count: 1, pushesAtOnce: true },
        { what: '10,000 KB, each in a later turn', chunk: kilobyte, count: 10_000, pushesAtOnce: false },
        { what: '10,000 KB, pushed at once', chunk: kilobyte, count: 10_000, pushesAtOnce: true },
      ]) {
        const { how, pulledKb, isDestroyed } = await subject.run(readWithLimit, {
          tool,
          maxBytes,
          afterwards: 'stall',
          ...source,
        });

        expectAtMost(pulledKb, pullLimit, `${tool}, maxBytes 1000, of ${what}; the source gave`, 'KB');
        expect(how, `${tool}, maxBytes 1000, of ${what}`).toMatch(rangeErrorWith(maxBytes));
        expect(isDestroyed, `${tool}, maxBytes 1000, of ${what}; the source is destroyed`).toBe(true);
      }
    }
  });
});

describe('stretch', () => {
  test('batch must give a batch that is not full maxWaitMs after its first item.', async ({ subject }) => {
    const patient = await subject.run(waitForFullBatch);
    expect(patient, 'batch(10), maxWaitMs of an hour: 3 items, a break, 7 items').toEqual(['break', 'batch']);

    const late = await subject.run(waitForTime, { size: 10, items: ['first'], maxWaitMs: 300 });
    expect(late.events, 'batch(10), maxWaitMs 300: 1 item').toEqual([
      '0.5 × maxWaitMs: one more item',
      '0.99 × maxWaitMs',
      'batch',
      '1.01 × maxWaitMs',
      '1.4 × maxWaitMs: last item',
      'batch',
    ]);
    expect(late.given, 'batch(10), maxWaitMs 300: items in all batches').toEqual(['first', 'later', 'last']);

    // The clock of the full batch must not give the next one.
    const full = await subject.run(waitForTime, { size: 3, items: ['a', 'b', 'c'], maxWaitMs: 300 });
    expect(full.events, 'batch(3), maxWaitMs 300: 3 items').toEqual([
      'batch',
      '0.5 × maxWaitMs: one more item',
      '0.99 × maxWaitMs',
      '1.01 × maxWaitMs',
      '1.4 × maxWaitMs: last item',
      'batch',
    ]);
    expect(full.given, 'batch(3), maxWaitMs 300: items in all batches').toEqual(['a', 'b', 'c', 'later', 'last']);

    const { written, given } = await subject.run(writeWhileReaderPauses, { size: 1000, most: 40, maxWaitMs: 300 });
    const all = Array.from({ length: written }, (_, index) => index);
    expect(given, 'batch(1000), maxWaitMs 300: an item per 303 ms while its reader paused; given after that').toEqual(
      all,
    );

    const afterPause = await subject.run(fillAfterPause, { most: 20, maxWaitMs: 300 });
    for (const { ahead, singles, afterTwo, afterThree } of afterPause) {
      const what =
        `batch(3), maxWaitMs 300: while its reader paused, it got ${ahead} full batches, ` +
        `${singles === 1 ? 'an item, and after maxWaitMs' : 'two items, each followed by maxWaitMs, and'} two more; ` +
        'the reader took all; then came two items, and a third; sizes of the batches after';
      expect(afterTwo, `${what} the two`).toEqual([]);
      expect(afterThree, `${what} the third`).toEqual([3]);
    }
  });

  test('batch must keep no timer while it holds no items, after its end, or after destroy().', async ({ subject }) => {
    const states = await subject.run(countTimers);

    expect(states, 'batch(3), maxWaitMs of an hour').toEqual([
      { state: 'before its first item', timers: 0, given: [] },
      { state: 'after a full batch', timers: 0, given: [1, 2, 3] },
      { state: 'after its end', timers: 0, given: [1] },
      { state: 'after destroy() with one item', timers: 0, given: [] },
    ]);
  });

  test('CPU time must grow linearly with the input, even in 2 MB without a delimiter.', async ({ fresh }) => {
    // The limit is for a module that hangs. A slow one may take minutes.
    const subject = await fresh({ limitMs: 60_000 });
    for (const tool of ['split', 'toBuffer', 'toText'] as const) {
      const [oneMs, manyMs] = [[] as number[], [] as number[]];
      for (let round = 0; round < 3; round++) {
        const many = await subject.run(costOf, { tool, documents: 16, kilobytes: 128 });
        const one = await subject.run(costOf, { tool, documents: 1, kilobytes: 2048 });

        const returned = [many.returnedKb, one.returnedKb];
        expect(returned, `${tool}: KB returned of 16 × 128 KB and of 2048 KB`).toEqual([2048, 2048]);
        manyMs.push(many.cpuMs);
        oneMs.push(one.cpuMs);
      }
      const ratio = Math.min(...oneMs) / Math.min(...manyMs);
      expectAtMost(ratio, costLimit, `${tool}: CPU time for 2048 KB, compared with 16 × 128 KB,`, 'times');
    }
  });
});

/** Random items for batches of a random size. */
function itemLists({ onlyFullBatches }: { onlyFullBatches: boolean }) {
  const item = fc.oneof(
    fc.nat(),
    fc.constantFrom(0, '', false),
    fc.string(),
    fc.array(fc.nat()),
    fc.nat().map((id) => ({ id })),
  );
  return fc.integer({ min: 1, max: 9 }).chain((size) =>
    fc.array(item, { maxLength: 60, size: 'max' }).map((items) => ({
      size,
      items: onlyFullBatches ? items.slice(0, items.length - (items.length % size)) : items,
    })),
  );
}

function batches({ size, items }: { size: number; items: readonly unknown[] }): { batches: unknown[]; how: Ending } {
  const count = Math.ceil(items.length / size);
  return { batches: Array.from({ length: count }, (_, at) => items.slice(at * size, (at + 1) * size)), how: 'done' };
}

function whole({ text }: Document) {
  return { toBuffer: text, toText: text, how: ['done', 'done'] };
}

function lines(document: Document): { lines: string[]; how: Ending } {
  return { lines: linesOf(document), how: 'done' };
}

function rangeErrorWith(limit: number): RegExp {
  return new RegExp(`^failed: RangeError: .*${limit}`, 's');
}
