import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import {
  type Ending,
  type StreamStage,
  cutAt,
  inPast,
  setStreamStage,
} from '../../helpers/instruments/stream-stage/stream-stage.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/stream-utils/stream-utils.ts';

const megabyte = 1024 * 1024;
/** How much may be pulled from a source for a reader that takes none of it: chunks of 1 KB, or items. */
const pullLimit = 1000;
/** Where the judge ends a source that has no end. */
const endlessLimit = 10_000;
/** An input without a delimiter. The cost of the whole is compared with that of its quarter, in one run. */
const longLineBytes = 50 * megabyte;
/** Four times the input costs four times as much where cost is linear, and sixteen times as much where it is quadratic. */
const costLimit = 5;
/**
 * What garbage collection may add, in costs of joining and decoding the input once. Beside busy loops modules whose cost is
 * linear came to 2.1 at most, those whose cost is quadratic to 18 and more.
 */
const plainLimit = 6;

/** No mark inside of a document, but a character like any other. */
const byteOrderMark = '\ufeff';
/** Texts of the characters that matter to their delimiters, cut anywhere. */
const asciiTexts = documents(['a', 'b', ' ', '\n'], ['\n']);
const manyTexts = documents(
  ['a', 'b', '-', '\r', '\n', 'é', '€', '🙂', byteOrderMark],
  ['\n', '\r\n', '--', '€', 'aba', '🙂', 'aab', '-\n-'],
);

describe('core', () => {
  test('toBuffer and toText give the whole document, however it is cut.', async () => {
    await expectForDrawn({
      examples: asciiTexts,
      count: 100,
      ask: (examples) => askForAll(examples.map(cut)),
      fault: (seen, { text }) => faultOfAll(seen, text),
      inWords: (document) => `the chunks ${inShort(document)}`,
    });
  });

  test('split gives the same lines, however the document is cut.', async () => {
    await expectForDrawn({
      examples: asciiTexts.map((document) => ({ ...document, text: `${document.text}\n` })),
      count: 150,
      ask: askSplit,
      fault: faultOfLines,
      inWords: (document) => `split('\\n') of ${inShort(document)}`,
    });
  });

  test('batch gives arrays of the size that was asked for.', async () => {
    await expectForDrawn({
      examples: fc.record({ size: fc.integer({ min: 1, max: 9 }), batches: fc.nat({ max: 6 }) }),
      count: 40,
      ask: (examples) => askBatch(examples.map(({ size, batches }) => ({ size, count: size * batches }))),
      fault: (seen, { size, batches }) => faultOfBatches(seen, size, size * batches),
      inWords: ({ size, batches }) => `batch(${size}) of ${size * batches} items`,
    });
  });

  test('What is left at the end is given, too: the last line, the last batch.', async () => {
    await expectForDrawn({
      examples: asciiTexts,
      count: 150,
      ask: askSplit,
      fault: faultOfLines,
      inWords: (document) => `split('\\n') of ${inShort(document)}`,
    });
    await expectForDrawn({
      examples: fc.record({ size: fc.integer({ min: 1, max: 9 }), count: fc.nat({ max: 60 }) }),
      count: 60,
      ask: askBatch,
      fault: (seen, { size, count }) => faultOfBatches(seen, size, count),
      inWords: ({ size, count }) => `batch(${size}) of ${count} items`,
    });
  });
});

describe('robust', () => {
  test('A character or a delimiter that is cut stays whole.', async () => {
    await expectForDrawn({
      examples: manyTexts,
      count: 200,
      ask: (examples) => askForAll(examples.map(cut)),
      fault: (seen, { text }) => faultOfAll(seen, text),
      inWords: (document) => `the chunks ${inShort(document)}`,
    });
    await expectForDrawn({
      examples: manyTexts,
      count: 100,
      ask: (examples) => askForAll(examples.map(({ text }) => [...text])),
      fault: (seen, { text }) => faultOfAll(seen, text),
      inWords: ({ text }) => `chunks that are strings, ${quoted([...text])}`,
    });
    await expectForDrawn({
      examples: manyTexts,
      count: 300,
      ask: askSplit,
      fault: faultOfLines,
      inWords: (document) => `split(${JSON.stringify(document.delimiter)}) of ${inShort(document)}`,
    });
    // Seldom drawn: a delimiter that begins inside of what only began like it, and a mark at the beginning of a line.
    for (const [text, delimiter] of [
      ['aaab-aaaab-aab', 'aab'],
      ['one\r\r\ntwo\r', '\r\n'],
      ['one---two-', '--'],
      ['--\n-\n-\n-', '-\n-'],
      ['one\n\ufefftwo\n', '\n'],
    ] as const) {
      const inputs = [...everyCut(text), [...Buffer.from(text)].map((byte) => Uint8Array.of(byte))];
      const seen = await askSplitOf(inputs.map((chunks) => ({ chunks, delimiter })));
      for (const [index, one] of seen.entries())
        expect(
          one,
          `split(${JSON.stringify(delimiter)}) of ${quoted(text)}, cut ${index < inputs.length - 1 ? `before byte ${index}` : 'between all bytes'}`,
        ).toEqual({ lines: linesOf(text, delimiter), how: 'done' });
    }
  });

  test('A reader that pauses makes the source pause, behind split and behind batch.', async () => {
    for (const tool of ['split', 'batch', 'batch, maxWaitMs of an hour'] as const) {
      const seen = await (
        await stage()
      ).evaluate(
        async (kata, { name, limit }, { streams: { flow, stream, turns } }) => {
          const tested =
            name === 'split' ? kata.split() : kata.batch(10, name === 'batch' ? {} : { maxWaitMs: 3_600_000 });
          const kilobyte = Buffer.from(`${'x'.repeat(63)}\n`.repeat(16));
          let [pulled, read] = [0, 0];
          const source = new stream.Readable({
            objectMode: true,
            highWaterMark: 1,
            read() {
              setImmediate(() => this.push(pulled++ < limit ? (name === 'split' ? kilobyte : pulled) : null));
            },
          });
          let letGo: (() => void) | undefined;
          const sink = new stream.Writable({
            objectMode: true,
            highWaterMark: 1,
            write(_chunk, _encoding, callback) {
              read++;
              if (read % 20 === 0) letGo = callback;
              else callback();
            },
          });
          const flowing = flow([source, tested, sink]);
          const looks: { read: number; before: number; after: number }[] = [];
          // It gets the turns that it needs for 20 lines or batches, and then many in which nothing may come.
          for (let look = 1; look <= 5; look++) {
            for (let turn = 0; turn < 20_000 && read < 20 * look; turn++) await turns(1);
            // All buffers on the way may fill meanwhile.
            let before: number;
            do {
              before = pulled;
              await turns(50);
            } while (pulled !== before && pulled < limit);
            looks.push({ read, before, after: pulled });
            if (read < 20 * look || pulled >= limit) break;
            letGo?.();
          }
          source.destroy();
          await flowing;
          return looks;
        },
        { name: tool, limit: endlessLimit },
      );

      const [unit, perUnit] = tool === 'split' ? ['chunks of 1 KB', 1 / 16] : ['items', 10];
      for (const [index, { read, after }] of seen.entries()) {
        const what = `${tool}; the reader paused after ${read} ${tool === 'split' ? 'lines' : 'batches'}`;
        expectThat(
          after - read * perUnit <= pullLimit,
          `${what}; ${after} ${unit} were pulled from the source (limit ${pullLimit + Math.ceil(read * perUnit)})`,
        );
        expect(read, `${what}; it had asked for`).toBe(20 * (index + 1));
      }
      expect(seen.length, `${tool}; pauses of the reader, of 5`).toBe(5);
    }
  });

  test('A line of more than maxLineBytes is refused with a RangeError, before its end is seen.', async () => {
    const maxLineBytes = 10;
    const fits = ['ééééé\r\n', '0123456789\r\n', '\r\nx\r\n', 'éé\réé-\r\nééééé'];
    const exceeds = ['ok\r\néééééx\r\nok\r\n', '0123456789x\r\n', 'ok\r\néééééx', '0123456789\rx\r\n', 'ok\r\nééééé\r'];
    const limited = (text: string) => everyCut(text).map((chunks) => ({ chunks, delimiter: '\r\n', maxLineBytes }));

    for (const text of fits) {
      const seen = await askSplitOf(limited(text));
      for (const [index, { lines, how }] of seen.entries())
        expect(
          { lines, how },
          `split('\\r\\n', { maxLineBytes: 10 }) of ${JSON.stringify(text)}, cut before byte ${index}`,
        ).toEqual({ lines: linesOf(text, '\r\n'), how: 'done' });
    }
    for (const text of exceeds) {
      const seen = await askSplitOf(limited(text));
      for (const [index, { how }] of seen.entries())
        expectRefused(
          how,
          `split('\\r\\n', { maxLineBytes: 10 }) of ${JSON.stringify(text)}, cut before byte ${index},`,
          10,
        );
    }
    const endless = await (
      await stage()
    ).evaluate(async (kata, limit, { streams: { flow, stream } }) => {
      const kilobyte = Buffer.alloc(1024, 'x');
      let pulled = 0;
      const source = new stream.Readable({
        read() {
          setImmediate(() => this.push(pulled++ < limit ? kilobyte : null));
        },
      });
      const sink = new stream.Writable({ objectMode: true, write: (_line, _encoding, callback) => callback() });
      return { how: await flow([source, kata.split('\n', { maxLineBytes: 10_000 }), sink]), pulled };
    }, endlessLimit);
    const what = "split('\\n', { maxLineBytes: 10000 }) of a line without an end";
    expectThat(
      endless.pulled <= pullLimit,
      `${what} took ${endless.pulled} KB of it and ${inPast(endless.how)} (limit ${pullLimit} KB)`,
    );
    expectRefused(endless.how, what, 10_000);
  });

  test('An error of the source reaches the caller, and so does an end that comes too early.', async () => {
    for (const early of ['an error', 'no error'] as const) {
      const seen = await (
        await stage()
      ).evaluate(async (kata, why, { streams: { ending, stream } }) => {
        const planned = why === 'an error' ? new Error('planned') : undefined;
        const broken = () => {
          let given = 0;
          return new stream.Readable({
            objectMode: true,
            read() {
              setImmediate(() => (given++ < 2 ? this.push(Buffer.from('half a li')) : this.destroy(planned)));
            },
          });
        };
        const sources = [broken(), broken()] as const;
        return {
          toBuffer: await ending(kata.toBuffer(sources[0]), planned),
          toText: await ending(kata.toText(sources[1]), planned),
        };
      }, early);

      for (const [name, how] of Object.entries(seen)) {
        const what = `${name} of a source that was destroyed with ${early} after two chunks`;
        if (early === 'an error') expect(how, what).toBe('failed as planned');
        else expectThat(how.startsWith('failed'), `${what} ${inPast(how)}; it should fail`);
      }
    }
    for (const place of ['source', 'reader'] as const) {
      const seen = await (
        await stage()
      ).evaluate(async (kata, at, { streams: { flow, stream, turns } }) => {
        const planned = new Error('planned');
        let pulled = 0;
        const source = new stream.Readable({
          objectMode: true,
          read() {
            setImmediate(() =>
              pulled++ === 50 && at === 'source' ? this.destroy(planned) : this.push(Buffer.from('a line\n')),
            );
          },
        });
        const sink = new stream.Writable({
          objectMode: true,
          write: (_batch, _encoding, callback) => callback(at === 'reader' ? planned : null),
        });
        const all = { source, split: kata.split(), batch: kata.batch(3, { maxWaitMs: 3_600_000 }), reader: sink };
        const how = await flow(Object.values(all), planned);
        await turns(20);
        return { how, open: Object.entries(all).flatMap(([name, one]) => (one.destroyed ? [] : [name])) };
      }, place);

      const what = `pipeline of source, split, batch and reader; the error came from the ${place}`;
      expect(seen, `${what}; how it ended, and what of it is not destroyed`).toEqual({
        how: 'failed as planned',
        open: [],
      });
    }
  });

  test('More than maxBytes is refused with a RangeError, and the source destroyed.', async () => {
    const maxBytes = 1000;
    const seen = await (
      await stage()
    ).evaluate(
      async (kata, args, { streams: { chunks, ending, stream, turns } }) => {
        const all: { name: string; what: string; how: Ending; pulled: number; isOpen: boolean }[] = [];
        for (const name of ['toBuffer', 'toText'] as const) {
          for (const [what, list] of [
            ['500 times é', Array.from({ length: 500 }, () => Buffer.from('é'))],
            ['501 times é', Array.from({ length: 501 }, () => Buffer.from('é'))],
            ['one chunk of 1,001 bytes', [Buffer.alloc(1001, 'x')]],
            ['501 times é, as strings', Array.from({ length: 501 }, () => 'é')],
          ] as const) {
            const source = chunks(list);
            const how = await ending(kata[name](source, { maxBytes: args.maxBytes }));
            await turns(5);
            all.push({ name, what, how, pulled: 0, isOpen: !source.destroyed });
          }
          let pulled = 0;
          const endless = new stream.Readable({
            read() {
              setImmediate(() => this.push(pulled++ < args.limit ? Buffer.alloc(1024, 'x') : null));
            },
          });
          const how = await ending(kata[name](endless, { maxBytes: args.maxBytes }));
          await turns(5);
          all.push({ name, what: 'a stream without an end', how, pulled, isOpen: !endless.destroyed });
        }
        return all;
      },
      { maxBytes, limit: endlessLimit },
    );

    for (const { name, what, how, pulled, isOpen } of seen) {
      const words = `${name} of ${what}, with maxBytes 1000,`;
      expectThat(pulled <= pullLimit, `${words} took ${pulled} KB (limit ${pullLimit} KB)`);
      if (what === '500 times é') expect(how, words).toBe('done');
      else expectRefused(how, words, maxBytes);
      expectThat(!isOpen, `${words} has left its source open`);
    }
  });
});

describe('stretch', () => {
  test('A batch that is not full is given maxWaitMs after its first item came.', async () => {
    const seen = await (
      await stage()
    ).evaluate(async (kata, waitMs, { streams: { ending, turns } }) => {
      const follow = (stream: import('node:stream').Duplex) => {
        const events: string[] = [];
        let onEvent = () => {};
        const note = (event: string) => {
          events.push(event);
          onEvent();
        };
        stream.on('data', (items: unknown[]) => note(`batch of ${items.length}`));
        /** Waits for so many events. */
        const count = (least: number) =>
          ending(
            new Promise<void>((resolve) => {
              onEvent = () => (events.length >= least ? resolve() : undefined);
              onEvent();
            }),
          );
        return { events, note, count };
      };

      const patient = kata.batch(10, { maxWaitMs: 3_600_000 });
      const calm = follow(patient);
      for (let item = 0; item < 3; item++) patient.write(item);
      await turns(50);
      calm.note('50 turns');
      for (let item = 3; item < 10; item++) patient.write(item);
      await turns(50);
      patient.destroy();

      // Timers of one process go off in the order in which they are due, however late: that order is what is judged. Those of
      // one duration go off together, so each has one of its own.
      const begin = async (size: number, items: number, timeMs: number) => {
        for (;;) {
          const stream = kata.batch(size, { maxWaitMs: timeMs });
          const followed = follow(stream);
          const began = performance.now();
          const half = setTimeout(() => {
            setTimeout(() => followed.note('1.4 x maxWaitMs'), timeMs * 0.9);
            followed.note('0.5 x maxWaitMs: one more item');
            stream.write('later');
          }, timeMs * 0.5);
          for (let item = 0; item < items; item++) stream.write(item);
          await turns(3);
          if (performance.now() - began < timeMs / 10) return { ...followed, stream };
          // The machine stood still between our timer and the module's: they mean nothing to each other.
          clearTimeout(half);
          stream.destroy();
        }
      };
      const first = await begin(10, 1, waitMs);
      const second = await begin(3, 3, waitMs + 20);
      await first.count(3);
      await second.count(4);
      first.note('one more item');
      first.stream.write('last');
      await first.count(5);
      first.stream.destroy();
      second.stream.destroy();
      await turns(5);
      return { calm: calm.events, first: first.events, second: second.events };
    }, 300);

    expect(seen.calm, 'batch(10, { maxWaitMs: an hour }); 3 items, 50 turns of the event loop, 7 more items').toEqual([
      '50 turns',
      'batch of 10',
    ]);
    // Which of the items had arrived by then is not asked: a module may take them in a later turn.
    const kinds = seen.first.map((event) => event.replace(/ of \d+$/, ''));
    expect(kinds, 'batch(10, { maxWaitMs: 300 }); one item, and what came then').toEqual([
      '0.5 x maxWaitMs: one more item',
      'batch',
      '1.4 x maxWaitMs',
      'one more item',
      'batch',
    ]);
    expect(seen.second, 'batch(3, { maxWaitMs: 320 }); three items, and what came then').toEqual([
      'batch of 3',
      '0.5 x maxWaitMs: one more item',
      '1.4 x maxWaitMs',
      'batch of 1',
    ]);
  });

  test('No timer is left when nothing is in hand, nor after the end or destroy().', async () => {
    const seen = await (
      await stage()
    ).evaluate(async (kata, _args, { streams: { ending, turns } }, { timers }) => {
      const before = timers();
      const left: Record<string, number> = {};
      const open = () => {
        const stream = kata.batch(3, { maxWaitMs: 3_600_000 });
        const given: unknown[] = [];
        stream.on('data', (items: unknown) => given.push(items));
        return { stream, given };
      };
      const unused = open();
      await turns(20);
      left['before its first item'] = timers() - before;
      unused.stream.destroy();

      const filled = open();
      for (let item = 0; item < 3; item++) filled.stream.write(item);
      await turns(20);
      left['after a full batch'] = timers() - before;
      filled.stream.destroy();

      const ended = open();
      const over = new Promise((resolve) => ended.stream.once('end', resolve));
      ended.stream.write(1);
      ended.stream.end();
      const how = await ending(over);
      await turns(20);
      left['after its end, with one item in hand'] = timers() - before;

      const destroyed = open();
      destroyed.stream.write(1);
      await turns(20);
      destroyed.stream.destroy();
      await turns(20);
      left['after destroy(), with one item in hand'] = timers() - before;
      return { left, how, given: ended.given.length, late: destroyed.given.length };
    });

    expect({ how: seen.how, batches: seen.given }, 'batch(3, { maxWaitMs: an hour }); one item, and the end').toEqual({
      how: 'done',
      batches: 1,
    });
    expect(seen.late, 'batch(3, { maxWaitMs: an hour }); one item, and destroy(); batches').toBe(0);
    for (const [when, count] of Object.entries(seen.left))
      expectThat(
        count <= 0,
        `batch(3, { maxWaitMs: an hour }) ${when} still has ${count} timer that holds the process`,
      );
  });

  test('Cost grows with the input and no faster, also when 50 MB hold no delimiter.', async () => {
    for (const tool of ['split', 'toBuffer', 'toText'] as const) {
      const quarter = await costOf(tool, longLineBytes / 4);
      const whole = await costOf(tool, longLineBytes);
      const plain = await costOf('plain', longLineBytes);

      expectThat(quarter.isAll && whole.isAll, `${tool} of one line of 12.5 MB or of 50 MB did not give all of it`);
      const [quarterMs, wholeMs, plainMs] = [quarter, whole, plain].map(({ ms }) => Math.ceil(ms)) as [
        number,
        number,
        number,
      ];
      const limitMs = costLimit * quarterMs + plainLimit * plainMs;
      expectThat(
        wholeMs <= limitMs,
        `${tool} of one line: 12.5 MB cost ${quarterMs} ms of CPU time, 50 MB cost ${wholeMs} ms (limit ${limitMs} ms: ${costLimit} times as much, and ${plainLimit} times the ${plainMs} ms of joining and decoding 50 MB once)`,
      );
    }
  });
});

interface Document {
  readonly text: string;
  readonly delimiter: string;
  readonly cuts: readonly number[];
}

interface Lines {
  readonly lines: readonly string[];
  readonly how: Ending;
}

interface All {
  readonly buffer: string;
  readonly text: string;
  readonly how: readonly [Ending, Ending];
}

interface Batches {
  readonly batches: readonly (readonly number[])[];
  readonly how: Ending;
}

/** The module in a process with the judge's stage in it. */
const { running: stage } = useSubject<typeof Kata, { streams: StreamStage }>(
  'stream-utils',
  async (subject) => await subject.evaluate(setStreamStage),
);

function documents(characters: readonly string[], delimiters: readonly string[]): fc.Arbitrary<Document> {
  return fc.constantFrom(...delimiters).chain((delimiter) =>
    fc.record({
      // The delimiter itself comes often enough to be met, and its parts come without it.
      text: fc
        .string({ unit: fc.constantFrom(...characters, delimiter), maxLength: 40 })
        // No mark at the beginning; nor behind a first character that may be cut, where Node's TextDecoder takes it for one.
        .map((text) => text.replace(/^\ufeff*([^\ufeff]?)\ufeff*/u, '$1')),
      delimiter: fc.constant(delimiter),
      cuts: fc.array(fc.nat({ max: 80 }), { maxLength: 10 }),
    }),
  );
}

/** The document's bytes, in pieces. */
function cut({ text, cuts }: Document): Uint8Array[] {
  return cutAt(new Uint8Array(Buffer.from(text)), cuts);
}

/** A text in two pieces, in all ways. */
function everyCut(text: string): Uint8Array[][] {
  const bytes = new Uint8Array(Buffer.from(text));
  return Array.from({ length: bytes.length }, (_, place) => cutAt(bytes, [place]));
}

function linesOf(text: string, delimiter: string): string[] {
  const lines = text.split(delimiter);
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

/** What toBuffer and toText give for each of these lists of chunks. */
async function askForAll(lists: readonly (readonly (Uint8Array | string)[])[]): Promise<All[]> {
  return await (
    await stage()
  ).evaluate(async (kata, all, { streams: { chunks, ending } }) => {
    const seen: All[] = [];
    for (const list of all) {
      const source = () => chunks(list.map((chunk) => (typeof chunk === 'string' ? chunk : Buffer.from(chunk))));
      let [buffer, text] = ['', ''];
      const how = [
        await ending(kata.toBuffer(source()).then((given) => (buffer = Buffer.from(given).toString('utf8')))),
        await ending(kata.toText(source()).then((given) => (text = String(given)))),
      ] as const;
      seen.push({ buffer, text, how });
      if (how.includes('still waiting')) break;
    }
    return seen;
  }, lists);
}

async function askSplit(examples: readonly Document[]): Promise<Lines[]> {
  return await askSplitOf(examples.map((document) => ({ chunks: cut(document), delimiter: document.delimiter })));
}

/** What split gives for each of these lists of chunks, and how it ends. */
async function askSplitOf(
  inputs: readonly { chunks: readonly Uint8Array[]; delimiter: string; maxLineBytes?: number }[],
): Promise<Lines[]> {
  return await (
    await stage()
  ).evaluate(async (kata, all, { streams: { chunks, flow, stream } }) => {
    const seen: Lines[] = [];
    for (const { chunks: list, delimiter, maxLineBytes } of all) {
      const lines: string[] = [];
      const sink = new stream.Writable({
        objectMode: true,
        write(line, _encoding, callback) {
          lines.push(String(line));
          callback();
        },
      });
      const tested = kata.split(delimiter, maxLineBytes === undefined ? {} : { maxLineBytes });
      const how = await flow([chunks(list.map((chunk) => Buffer.from(chunk))), tested, sink]);
      seen.push({ lines, how });
      if (how === 'still waiting') break;
    }
    return seen;
  }, inputs);
}

/** CPU time for one line of so many bytes, and whether all of it was given; `plain` is our own way to do it. */
async function costOf(tool: 'split' | 'toBuffer' | 'toText' | 'plain', bytes: number) {
  return await (
    await stage()
  ).evaluate(
    async (kata, { name, total }, { streams: { stream } }, { cpuMs }) => {
      // Without the stage's own limit: what is dear here may take its time.
      const { pipeline } = stream.promises;
      const piece = Buffer.alloc(512 * 1024, 'x');
      let left = total;
      let length = 0;
      const source = new stream.Readable({
        read() {
          this.push(left > 0 ? piece.subarray(0, left) : null);
          left -= piece.length;
        },
      });
      const parts: Buffer[] = [];
      const sink = new stream.Writable({
        objectMode: true,
        write(part: Buffer | string, _encoding, callback) {
          length += part.length;
          if (typeof part !== 'string') parts.push(part);
          callback();
        },
      });
      const began = cpuMs();
      if (name === 'split') await pipeline(source, kata.split('\r\n'), sink);
      else if (name !== 'plain') length = (await kata[name](source)).length;
      else await pipeline(source, sink);
      if (name === 'plain') length = Buffer.concat(parts).toString('utf8').length;
      return { ms: cpuMs() - began, isAll: length === total };
    },
    { name: tool, total: bytes },
  );
}

/** What batch gives for so many numbers, and how it ends. */
async function askBatch(inputs: readonly { size: number; count: number }[]): Promise<Batches[]> {
  return await (
    await stage()
  ).evaluate(async (kata, all, { streams: { chunks, flow, stream } }) => {
    const seen: Batches[] = [];
    for (const { size, count } of all) {
      const batches: number[][] = [];
      const sink = new stream.Writable({
        objectMode: true,
        write(items: number[], _encoding, callback) {
          batches.push(Array.from(items, Number));
          callback();
        },
      });
      const how = await flow([chunks(Array.from({ length: count }, (_, item) => item)), kata.batch(size), sink]);
      seen.push({ batches, how });
      if (how === 'still waiting') break;
    }
    return seen;
  }, inputs);
}

function faultOfAll({ buffer, text, how }: All, expected: string): string | undefined {
  for (const [index, name] of ['toBuffer', 'toText'].entries()) {
    if (how[index] !== 'done') return `${name} ${inPast(how[index]!)}`;
    const given = [buffer, text][index];
    if (given !== expected) return `${name} gave ${quoted(given)} instead of ${quoted(expected)}`;
  }
  return undefined;
}

function faultOfLines({ lines, how }: Lines, { text, delimiter }: Document): string | undefined {
  const expected = linesOf(text, delimiter);
  if (how !== 'done') return `it ${inPast(how)}, after the lines ${quoted(lines)}`;
  if (JSON.stringify(lines) === JSON.stringify(expected)) return undefined;
  return `it gave the lines ${quoted(lines)} instead of ${quoted(expected)}`;
}

function faultOfBatches({ batches, how }: Batches, size: number, count: number): string | undefined {
  const items = Array.from({ length: count }, (_, item) => item);
  const expected = Array.from({ length: Math.ceil(count / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
  if (how !== 'done') return `it ${inPast(how)}, after the batches ${JSON.stringify(batches)}`;
  if (JSON.stringify(batches) === JSON.stringify(expected)) return undefined;
  return `it gave ${JSON.stringify(batches)} instead of ${JSON.stringify(expected)}`;
}

function expectRefused(how: Ending, what: string, limit: number): void {
  const isRefused = how.startsWith('failed: RangeError: ') && how.includes(String(limit));
  expectThat(isRefused, `${what} ${inPast(how)}; it should fail with a RangeError whose message has ${limit} in it`);
}

/** As JSON, with what nobody would see in its place. */
function quoted(value: unknown): string {
  return JSON.stringify(value).replaceAll(byteOrderMark, String.raw`\ufeff`);
}

/** The chunks of a document; bytes that are no character by themselves are shown as numbers. */
function inShort(document: Document): string {
  return cut(document)
    .map((bytes) => {
      const text = Buffer.from(bytes).toString('utf8');
      return text.includes('\uFFFD') ? `[${Buffer.from(bytes).toString('hex')}]` : quoted(text);
    })
    .join(' + ');
}
