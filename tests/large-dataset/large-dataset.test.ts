import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { constants, deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { noBytesRead } from '../../helpers/instruments/gauges/gauges.ts';
import { expectAtLeast, expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/large-dataset/large-dataset.ts';
import type { AbortAt } from './inside.ts';
import {
  type Line,
  anyLogs,
  emptyLine,
  goodLogs,
  largeBytes,
  largeReport,
  largeText,
  lineOf,
  logOf,
  malformedLines,
  packedLog,
  reportOf,
  seeded,
  shuffled,
  triangular,
} from './logs.ts';
import { type Digester, expectDone, expectReport, largeBlocks, test, turnLimit } from './stage.ts';

const megabyte = 1024 * 1024;
/** What the process may hold at its peak beyond what it held before. */
const memoryLimit = 128 * megabyte;
/** What may be read for a digest that is aborted soon after it has begun. */
const readLimit = 16 * megabyte;
/** What may be read for a digest that was aborted before it began: the judge's own orders, and nothing of the log. */
const nothingLimit = 16 * 1024;

/** What a small gzip holds that is unpacked for long. */
const unpackedBytes = 16 * megabyte;

describe('core', () => {
  test('Entries, bytes, hours and paths must be counted correctly, wherever a chunk ends.', async ({
    digester,
    largeLog,
  }) => {
    const counts = ({ entries, bytes, perHour }: Kata.Report) => ({ entries, bytes, perHour });
    await digester.expectForAll(goodLogs, counts);

    // Next to nothing but characters of two, three and four bytes: whatever the size of a chunk is, one ends inside of one.
    const paths = ['/straße/', '/日本語/', '/🦊🦊🦊/'].map((path) => path.repeat(40) + seeded.path);
    const lines = Array.from({ length: 6000 }, (_, index) =>
      lineOf({ ...seeded, path: paths[[0, 1, 0, 2, 1, 0][index % 6]!]!, bytes: index }),
    );
    const log = logOf(lines, ['\r\n', '\n']);
    const { report } = await digester.digest(log.content);
    expect(report, `a log of ${inWords(log.content.length)} in which most characters have two to four bytes`).toEqual(
      reportOf(lines),
    );
    await expectOwnReports(digester);
    expectReport(largeLog.outcome, largeReport(largeBlocks), largeLog.words);
  });

  test('The ten most frequent paths must be listed in order, whatever they are called.', async ({ digester }) => {
    // The order follows the seed, and with it which of them come more often.
    const names = shuffled(['/b', '/a', '/B', '/é', '/z', '/10', '/9', '/🦊', '/\uff5e', '/', '', '/c']);
    const likeNames = shuffled(['/a', '/A', '/a ', ' /a', '/a/', '/a?', '/%61', '/\u00e9', '/e\u0301']);
    const oddNames = shuffled(['__proto__', 'constructor', '/orders', 'toString', '7', '12']);
    const cases: [words: string, paths: string[]][] = [
      ['no entry', []],
      ['three paths', ['/c', seeded.path, '/b', seeded.path, '/c', seeded.path]],
      ['twelve paths, each once', names],
      ['paths within and beyond U+FFFF, each once', ['/\uff5e', '/🦊', '/\ue000']],
      ['twelve paths, some more often', [...names, ...names.slice(5), '/c', '/c', '/z']],
      ['paths that differ by next to nothing', [...likeNames, ...likeNames.slice(0, 4)]],
      ['30,000 paths, each twice, and twelve of them once more', manyPaths(30_000)],
      ['paths that are called like parts of an object', [...oddNames, ...oddNames.slice(0, 3), '__proto__']],
    ];

    for (const [words, paths] of cases) {
      const lines = paths.map((path) => lineOf({ ...seeded, path }));
      const { report } = await digester.digest(logOf(lines).content);
      expect(report?.topPaths, `a log with ${words}; topPaths`).toEqual(reportOf(lines).topPaths);
    }
    await digester.expectForAll(goodLogs, ({ topPaths }) => topPaths);
  });
});

describe('robust', () => {
  test('Memory must stay flat on a log of 300 MB.', async ({ largeLog, largeGzip }) => {
    for (const { words, outcome, grownBytes } of [largeLog, largeGzip]) {
      expectDone(outcome, words);
      expectAtMost(
        grownBytes,
        memoryLimit,
        `${words}, after one of 36 MB; the most that the process held at any time went up by`,
      );
    }
  });

  test('Other work must get its turn while a log is being digested.', async ({ largeLog, largeGzip }) => {
    for (const { words, outcome, busiestBytes } of [largeLog, largeGzip]) {
      expectDone(outcome, words);
      expectAtMost(
        busiestBytes,
        turnLimit,
        `${words}; in one turn of the event loop, while nobody else could be served, the process used as much CPU time as it takes to parse about`,
      );
    }
  });

  test('Malformed lines must be counted, and the first ten listed by number.', async ({ digester }) => {
    const good = lineOf(seeded);
    for (const line of malformedLines) {
      const lines = [good, line, good];
      const { report } = await digester.digest(logOf(lines).content);
      expect(
        report && { malformed: report.malformed, entries: report.entries },
        `the second of three lines is ${line.text}`,
      ).toEqual({ malformed: { count: 1, firstLines: [2] }, entries: 2 });
    }
    const every = [emptyLine, ...malformedLines, emptyLine, good, ...malformedLines];
    const { report } = await digester.digest(logOf(every, ['\r\n', '\n'], false).content);
    expect(report?.malformed, `a log of ${every.length} lines, some of them empty; malformed`).toEqual(
      reportOf(every).malformed,
    );
    // From the second line on each odd byte is a \r: a chunk of any even size ends between it and its \n.
    const hollow = [{ text: 'cut', is: 'malformed' } as const, ...Array.from({ length: 600_000 }, () => emptyLine)];
    const cut = await digester.digest(logOf(hollow, ['\r\n']).content);
    expect(
      cut.report?.malformed,
      `a log of the line "cut" and ${hollow.length - 1} empty lines, all of which end with \\r\\n; malformed`,
    ).toEqual(reportOf(hollow).malformed);
    await digester.expectForAll(anyLogs, ({ malformed, entries }) => ({ malformed, entries }));
  });

  test('A gzip file must be recognized by its first bytes, not by its name.', async ({ digester, largeGzip }) => {
    const lines: Line[] = Array.from({ length: 2926 }, (_, index) =>
      lineOf({
        ...seeded,
        path: `${seeded.path}${'日本語'.repeat(9)}/${triangular(index)}`,
        bytes: seeded.bytes + index,
      }),
    );
    const { content } = logOf(lines);
    const cases: [words: string, name: string, content: Buffer, lines: Line[]][] = [
      ['a gzip with the name a.log', 'a.log', gzipSync(content), lines],
      ['a log with the name b.gz', 'b.gz', content, lines],
      [
        'a gzip with a file name in its header, as gzip(1) makes them',
        'a.log',
        namedGzip(content, 'access.log'),
        lines,
      ],
      ['an empty log in a gzip', 'c', gzipSync(''), []],
      ['an empty file with the name d.gz', 'd.gz', Buffer.alloc(0), []],
      ['a file of one byte, a newline', 'e', Buffer.from('\n'), []],
    ];

    for (const [words, name, bytes, expected] of cases) {
      const outcome = await digester.digest(bytes, name);
      expectReport(outcome, reportOf(expected), words);
    }
    const halfAGzip = await digester.digest(Buffer.concat([Buffer.from('\x1f\n'), content]), 'f');
    expect(halfAGzip.report?.entries, 'a log that begins with the byte 1f, and then a newline; entries').toBe(
      lines.length,
    );
    expectReport(largeGzip.outcome, largeReport(largeBlocks), largeGzip.words);
  });

  test('An unreadable log must be rejected with an error that names it, and must be closed.', async ({
    digester,
    workspace,
  }) => {
    const compressed = gzipSync(largeText(1), { level: 1 });
    const damaged = Buffer.from(compressed);
    const middle = compressed.length >> 1;
    damaged.fill(0x55, middle, middle + 8);
    const cases: [words: string, content: Buffer | 'missing' | 'folder'][] = [
      ['there is no such file', 'missing'],
      ['it is a folder', 'folder'],
      ['a gzip that was cut in its middle', compressed.subarray(0, middle)],
      ['a gzip without its last four bytes', compressed.subarray(0, -4)],
      ['a gzip of three bytes', compressed.subarray(0, 3)],
      ['a gzip that was damaged in its middle', damaged],
      ['a gzip of 4 MB that was damaged near its begin', damagedEarly()],
    ];

    for (const [index, [words, content]] of cases.entries()) {
      // What a caller writes need not be the shortest name.
      const path = `${workspace}/./unreadable-${index}.log`;
      if (content === 'folder') await mkdir(path);
      else if (content !== 'missing') await writeFile(path, content);
      const outcome = await digester.digestFile(path);
      expect(outcome.how, `${words}; digestLog`).toBe('failed');
      expectThat(
        outcome.message.includes(path),
        `${words}; digestLog failed with "${outcome.message}", which does not name the log`,
      );
      if (content !== 'missing') await digester.expectClosed(path, words);
    }
  });
});

describe('stretch', () => {
  test('An abort must stop the reading at once and close the file.', async ({ digester, largeLog, skip }) => {
    if (noBytesRead !== undefined) skip(noBytesRead);
    const { path, words } = largeLog;
    const expectAborted = async (abortAt: AbortAt, limit: (share: number) => number, when: string) => {
      const { how, name, read, shares } = await digester.abort(path, abortAt);
      const what = `digestion of ${words} was aborted ${when}`;
      expect({ how, name }, what).toEqual({ how: 'failed', name: 'AbortError' });
      const share = shares.find((told) => told > 0) ?? 1;
      expectAtMost(read, limit(share), `${what}; the process read`);
      await digester.expectClosed(path, what);
    };

    const small = await digester.digest(logOf([lineOf(seeded)]).content);
    expectReport(small, reportOf([lineOf(seeded)]), 'a log of one line, without a signal');
    const calm = await digester.digestFile(join(dirname(path), 'access.log'), 'never');
    expectReport(calm, reportOf([lineOf(seeded)]), 'a log of one line, with a signal that is never aborted');
    const reason = 'shutting down';
    await expectAborted({ turns: 20, reason }, () => readLimit, 'soon after its begin, with an error as reason');
    await expectAborted({ turns: 1 }, () => readLimit, 'while the file was being opened');
    await expectAborted({ turns: 0, reason }, () => nothingLimit, 'before it began, with an error as reason');

    // All of it is read long before its text is counted.
    const packed = join(dirname(path), 'packed.gz');
    await writeFile(packed, packedLog(unpackedBytes));
    const late = await digester.digestFile(packed, 'no more is read');
    const what = `digestion of a small gzip of ${inWords(unpackedBytes)} was aborted when it had been read and was still being unpacked`;
    // Whoever is done by then has nothing to abort.
    if (late.wasAborted)
      expect({ how: late.how, name: late.name }, what).toEqual({ how: 'failed', name: 'AbortError' });
    await digester.expectClosed(packed, what);

    // By the first progress the log is being read for certain. A module without progress breaks promise 9 and is not judged here.
    if (!largeLog.outcome.shares.some((share) => share > 0 && share < 1)) return;
    await expectAborted(
      { share: 0 },
      (share) => share * largeBytes(largeBlocks) + readLimit,
      'in the turn after the first progress',
    );
  });

  test('Progress must never go back, must follow the bytes read, and must end at 1.', async ({
    digester,
    workspace,
    patientDigester,
    largeLog,
    largeGzip,
  }) => {
    const cases = [
      largeLog,
      largeGzip,
      { words: 'a log of one line', outcome: await digester.digest(logOf([lineOf(seeded)]).content) },
      { words: 'an empty log', outcome: await digester.digest(Buffer.alloc(0)) },
      { words: 'an empty log in a gzip', outcome: await digester.digest(gzipSync('')) },
    ];
    for (const { words, outcome } of cases) {
      expectDone(outcome, words);
      const { shares } = outcome;
      const odd = shares.find((share) => !(share >= 0 && share <= 1));
      expectThat(odd === undefined, `${words}; onProgress was called with ${String(odd)}`);
      const back = shares.findIndex((share, index) => index > 0 && share < shares[index - 1]!);
      expectThat(back === -1, `${words}; progress went back from ${shares[back - 1]} to ${shares[back]}`);
      expect(shares.at(-1), `${words}; the last progress`).toBe(1);
    }
    for (const { words, outcome } of [largeLog, largeGzip])
      expectAtLeast(new Set(outcome.shares).size, 5, `${words}; different progress numbers:`, 'numbers');

    if (noBytesRead !== undefined) return;
    // A third of this log packs to nothing, so the share of the text is far ahead of the share of the file.
    const late = await patientDigester.abort(largeGzip.path, { share: 0.9 });
    const { size } = await stat(largeGzip.path);
    expectAtLeast(
      late.read,
      0.6 * size,
      `${largeGzip.words}, whose file has ${inWords(size)}; when progress first told 0.9, the process had read`,
    );
    const broken = join(workspace, 'damaged-early.gz');
    await writeFile(broken, damagedEarly());
    const unfinished: [path: string, abortAt: AbortAt, what: string][] = [
      [largeLog.path, { share: 0 }, `digestion of ${largeLog.words} was aborted in the turn after the first progress`],
      [broken, 'never', 'digestion of a gzip of 4 MB that was damaged near its begin failed'],
    ];
    for (const [path, abortAt, what] of unfinished) {
      const { read, shares } = await patientDigester.abort(path, abortAt);
      const share = Math.max(0, ...shares);
      expectAtLeast(
        read,
        (share - 0.3) * (await stat(path)).size,
        `${what}; progress told ${share} at the most, and the process had read`,
      );
    }
  });
});

/** Logs of a few megabytes, all of them other ones: in each of them many chunks end while the others are read. */
async function expectOwnReports(digester: Digester): Promise<void> {
  const logs = Array.from({ length: 4 }, (_, log) =>
    Array.from({ length: 4000 }, (_unused, index) =>
      lineOf(
        { ...seeded, path: `${seeded.path}/${log}/${triangular(index)}`, bytes: seeded.bytes + log },
        { agent: '日'.repeat(130 + log) },
      ),
    ),
  );
  const contents = logs.map((lines) => logOf(lines).content);
  const outcomes = await digester.digestTogether(contents);
  for (const [log, outcome] of outcomes.entries()) {
    const what = `a log of ${inWords(contents[log]!.length)}, one of four that were digested at the same time`;
    expectReport(outcome, reportOf(logs[log]!), what);
  }
}

/** A gzip whose second block is of a kind that there is not, so whoever reads on finds that out long before the file ends. */
function damagedEarly(): Buffer {
  return Buffer.concat([
    gzipSync('').subarray(0, 10),
    deflateRawSync('{}\n', { finishFlush: constants.Z_SYNC_FLUSH }),
    Buffer.alloc(4 * megabyte, 0x07),
  ]);
}

/** So many paths, all of them twice, twelve of them once more. Their places tell nothing. */
function manyPaths(count: number): string[] {
  const paths = shuffled(Array.from({ length: count }, (_, at) => `/${at}`));
  return [...paths, ...paths, ...shuffled(paths).slice(0, 12)];
}

/** A gzip whose header has the flag FNAME and a name, as in RFC 1952. */
function namedGzip(content: Buffer, name: string): Buffer {
  const plain = gzipSync(content);
  const header = Buffer.from(plain.subarray(0, 10));
  header[3] = 0x08;
  return Buffer.concat([header, Buffer.from(`${name}\0`), plain.subarray(10)]);
}
