import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, deflateRawSync, gzipSync } from 'node:zlib';
import type fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectForEach } from '../../helpers/judging/drawn/drawn.ts';
import { atRest, bytesRead, noBytesRead, openDescriptors, peakBytes } from '../../helpers/instruments/gauges/gauges.ts';
import { prepareSubjects } from '../../helpers/judging/subject/start-subject.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { useWorkspace } from '../../helpers/judging/subject/use-workspace.ts';
import type * as Kata from '../../katas/large-dataset/large-dataset.ts';
import {
  type Line,
  type Log,
  anyLogs,
  emptyLine,
  goodLogs,
  largeBytes,
  largeReport,
  largeText,
  lineOf,
  logOf,
  malformedLines,
  reportOf,
  triangular,
  writeLarge,
  writeLargeGzip,
} from './logs.ts';

const megabyte = 1024 * 1024;
/** What the process may hold at its peak beyond what it held before. */
const memoryLimit = 128 * megabyte;
/** The most that may be decoded, split and parsed between two turns of the event loop, as CPU time. */
const turnLimit = 64 * megabyte;
/** What may be read for a digest that is aborted soon after its begin. */
const readLimit = 16 * megabyte;
const largeBlocks = 300;
/** For what never comes. */
const limitMs = 20_000;
const largeLimitMs = 90_000;

const workspace = await useWorkspace();
prepareSubjects('large-dataset');
const { running, aside } = useSubject<typeof Kata, Kept>('large-dataset');

describe('core', () => {
  beforeAll(() => {
    largeLog.begin();
    largeGzip.begin();
  });

  test('Entries, bytes, hours and paths are counted right, wherever a chunk ends.', async () => {
    const counts = ({ entries, bytes, perHour }: Kata.Report) => ({ entries, bytes, perHour });
    await expectForAll(goodLogs, counts);

    // Next to nothing but characters of two, three and four bytes: whatever the size of a chunk is, one ends inside of one.
    const paths = ['/straße/', '/日本語/', '/🦊🦊🦊/'].map((path) => path.repeat(40));
    const lines = Array.from({ length: 6000 }, (_, index) =>
      lineOf({ time: '2026-11-22T03:14:15.926Z', path: paths[[0, 1, 0, 2, 1, 0][index % 6]!]!, bytes: index }),
    );
    const log = logOf(lines, ['\r\n', '\n']);
    const { report } = await digest(log.content);
    expect(report, `a log of ${inWords(log.content.length)} in which most characters have two to four bytes`).toEqual(
      reportOf(lines),
    );
    const { outcome, words } = await largeLog.done();
    expectReport(outcome, largeReport(largeBlocks), words);
  });

  test('The ten paths that come most often are told in their order, whatever they are called.', async () => {
    const names = ['/b', '/a', '/B', '/é', '/z', '/10', '/9', '/🦊', '/\uff5e', '/', '', '/c'];
    const likeNames = ['/a', '/A', '/a ', ' /a', '/a/', '/a?', '/%61', '/\u00e9', '/e\u0301'];
    const oddNames = ['__proto__', 'constructor', '/orders', 'toString', '7', '12'];
    const cases: [words: string, paths: string[]][] = [
      ['no entry', []],
      ['three paths', ['/c', '/a', '/b', '/a', '/c', '/a']],
      ['twelve paths, each once', names],
      ['twelve paths, some more often', [...names, ...names.slice(5), '/c', '/c', '/z']],
      ['paths that differ by next to nothing', [...likeNames, ...likeNames.slice(0, 4)]],
      ['paths that are called like parts of an object', [...oddNames, ...oddNames.slice(0, 3), '__proto__']],
    ];

    for (const [words, paths] of cases) {
      const lines = paths.map((path) => lineOf({ time: '2026-11-22T03:14:15.926Z', path, bytes: 1 }));
      const { report } = await digest(logOf(lines).content);
      expect(report?.topPaths, `a log with ${words}; topPaths`).toEqual(reportOf(lines).topPaths);
    }
    await expectForAll(goodLogs, ({ topPaths }) => topPaths);
  });
});

describe('robust', () => {
  test('Memory stays flat on a log of 300 MB.', async () => {
    for (const { words, outcome, grownBytes } of await largeOutcomes()) {
      expectDone(outcome, words);
      expectAtMost(grownBytes, memoryLimit, `${words}; at its peak the process held`);
    }
  });

  test('Others are served while a log is being digested.', async () => {
    for (const { words, outcome, busiestBytes } of await largeOutcomes()) {
      expectDone(outcome, words);
      expectAtMost(
        busiestBytes,
        turnLimit,
        `${words}; in one turn of the event loop, while nobody else could be served, the process used as much CPU time as it takes to parse about`,
      );
    }
  });

  test('Malformed lines are counted, and the first ten are told by their numbers.', async () => {
    const good = lineOf({ time: '2026-11-22T03:14:15.926Z', path: '/orders', bytes: 17 });
    for (const line of malformedLines) {
      const lines = [good, line, good];
      const { report } = await digest(logOf(lines).content);
      expect(
        report && { malformed: report.malformed, entries: report.entries },
        `the second of three lines is ${line.text}`,
      ).toEqual({ malformed: { count: 1, firstLines: [2] }, entries: 2 });
    }
    const every = [emptyLine, ...malformedLines, emptyLine, good, ...malformedLines];
    const { report } = await digest(logOf(every, ['\r\n', '\n'], false).content);
    expect(report?.malformed, `a log of ${every.length} lines, some of them empty; malformed`).toEqual(
      reportOf(every).malformed,
    );
    await expectForAll(anyLogs, ({ malformed, entries }) => ({ malformed, entries }));
  });

  test('A gzip file is known by its first bytes and not by its name.', async () => {
    const lines: Line[] = Array.from({ length: 2926 }, (_, index) =>
      lineOf({
        time: '2026-11-22T03:14:15.926Z',
        path: `/${'日本語'.repeat(9)}/${triangular(index)}`,
        bytes: index,
      }),
    );
    const { content } = logOf(lines);
    const cases: [words: string, name: string, content: Buffer, lines: Line[]][] = [
      ['a gzip with the name a.log', 'a.log', gzipSync(content), lines],
      ['a log with the name b.gz', 'b.gz', content, lines],
      ['an empty log in a gzip', 'c', gzipSync(''), []],
      ['an empty file with the name d.gz', 'd.gz', Buffer.alloc(0), []],
      ['a file of one byte, a newline', 'e', Buffer.from('\n'), []],
    ];

    for (const [words, name, bytes, expected] of cases) {
      const outcome = await digest(bytes, name);
      expectReport(outcome, reportOf(expected), words);
    }
    const halfAGzip = await digest(Buffer.concat([Buffer.from('\x1f\n'), content]), 'f');
    expect(halfAGzip.report?.entries, 'a log that begins with the byte 1f, and then a newline; entries').toBe(
      lines.length,
    );
    const { outcome, words } = await largeGzip.done();
    expectReport(outcome, largeReport(largeBlocks), words);
  });

  test('A log that cannot be read to its end is refused by its name, and left closed.', async () => {
    const compressed = gzipSync(largeText(1), { level: 1 });
    const damaged = Buffer.from(compressed);
    const middle = compressed.length >> 1;
    damaged.fill(0x55, middle, middle + 8);
    // Its second block is of a kind that there is not, so whoever reads on finds that out long before the file ends.
    const damagedEarly = Buffer.concat([
      compressed.subarray(0, 10),
      deflateRawSync('{}\n', { finishFlush: constants.Z_SYNC_FLUSH }),
      Buffer.alloc(4 * megabyte, 0x07),
    ]);
    const cases: [words: string, content: Buffer | 'missing' | 'folder'][] = [
      ['there is no such file', 'missing'],
      ['it is a folder', 'folder'],
      ['a gzip that was cut in its middle', compressed.subarray(0, middle)],
      ['a gzip without its last four bytes', compressed.subarray(0, -4)],
      ['a gzip of three bytes', compressed.subarray(0, 3)],
      ['a gzip that was damaged in its middle', damaged],
      ['a gzip of 4 MB that was damaged near its begin', damagedEarly],
    ];

    for (const [index, [words, content]] of cases.entries()) {
      const path = join(workspace, `unreadable-${index}.log`);
      if (content === 'folder') await mkdir(path);
      else if (content !== 'missing') await writeFile(path, content);
      const outcome = await digestFile(await running(), path);
      expect(outcome.how, `${words}; digestLog`).toBe('failed');
      expectThat(
        outcome.message.includes(path),
        `${words}; digestLog failed with "${outcome.message}", which does not name the log`,
      );
      if (content !== 'missing') await expectClosed(path, words);
    }
  });
});

describe('stretch', () => {
  test('An abort stops the reading at once and closes the file.', async ({ skip }) => {
    if (noBytesRead !== undefined) skip(noBytesRead);
    await largeOutcomes();

    const abort = async (afterTurns: Call['afterTurns']) => {
      const subject = await running();
      const before = await bytesRead(subject);
      const outcome = await digestFile(subject, largePath, { afterTurns });
      await atRest(subject);
      return { ...outcome, read: (await bytesRead(subject)) - before };
    };
    const expectAborted = async (
      { how, name, read }: Awaited<ReturnType<typeof abort>>,
      limit: number,
      words: string,
    ) => {
      expect({ how, name }, words).toEqual({ how: 'failed', name: 'AbortError' });
      expectAtMost(read, limit, `${words}; the process read`);
      await expectClosed(largePath, words);
    };

    const what = `digestion of ${largeWords} was`;
    await expectAborted(await abort(20), readLimit, `${what} aborted soon after its begin`);
    await expectAborted(await abort(1), readLimit, `${what} aborted while the file was being opened`);
    await expectAborted(await abort(0), megabyte, `${what} begun with a signal that had been aborted`);
    // How many turns pass while a file is opened is a matter of luck. By the first progress it is being read for certain.
    const onItsWay = await abort('progress');
    const share = onItsWay.shares.find((told) => told > 0 && told < 1);
    // A module that tells nothing on its way breaks promise 9.
    if (share === undefined) return;
    const words = `${what} aborted in the turn after it told that ${(share * 100).toFixed(1)} % was done`;
    await expectAborted(onItsWay, share * largeBytes(largeBlocks) + readLimit, words);
  });

  test('Progress never goes back, and ends at 1.', async () => {
    const small = logOf([lineOf({ time: '2026-11-22T03:14:15.926Z', path: '/', bytes: 1 })]).content;
    const cases = [
      ...(await largeOutcomes()),
      { words: 'a log of one line', outcome: await digest(small) },
      { words: 'an empty log', outcome: await digest(Buffer.alloc(0)) },
      { words: 'an empty log in a gzip', outcome: await digest(gzipSync('')) },
    ];

    for (const { words, outcome } of cases) {
      expect(outcome.how, words).toBe('done');
      const { shares } = outcome;
      const isShare = (share: unknown) => typeof share === 'number' && share >= 0 && share <= 1;
      const odd = shares.find((share) => !isShare(share));
      expectThat(odd === undefined, `${words}; onProgress was called with ${String(odd)}`);
      const back = shares.findIndex((share, index) => index > 0 && share < shares[index - 1]!);
      expectThat(back === -1, `${words}; progress went back from ${shares[back - 1]} to ${shares[back]}`);
      expect(shares.at(-1), `${words}; the last progress`).toBe(1);
    }
    for (const { words, outcome } of await largeOutcomes())
      expectThat(
        new Set(outcome.shares).size >= 5,
        `${words}; onProgress was called with ${new Set(outcome.shares).size} different numbers (at least 5)`,
      );
  });
});

/** How a call has ended. */
interface Outcome {
  readonly how: 'done' | 'failed' | 'failed, with what is no Error' | 'never settled';
  readonly report?: Kata.Report;
  readonly name: string;
  readonly message: string;
  /** What onProgress was called with. */
  readonly shares: readonly number[];
}

interface Kept {
  outcome?: Outcome | undefined;
}

interface Call {
  readonly path: string;
  /** After how many turns of the event loop the signal is aborted, or in the one after the first progress; by default there is none. */
  readonly afterTurns: number | 'progress' | undefined;
}

type DigestSubject = Subject<typeof Kata, Kept>;

afterAll(() => rm(largePath, { force: true }));

/** Digests these bytes, in a file of this name. */
async function digest(content: Buffer, name = 'access.log'): Promise<Outcome> {
  const path = join(workspace, name);
  await writeFile(path, content);
  return await digestFile(await running(), path);
}

/** Calls digestLog, and waits longer than an order to a process may take: the log may be large. */
async function digestFile(
  subject: DigestSubject,
  path: string,
  { afterTurns, patienceMs = limitMs }: { afterTurns?: Call['afterTurns']; patienceMs?: number } = {},
): Promise<Outcome> {
  let outcome = await subject.evaluate(begin, { path, afterTurns });
  await until(async () => {
    outcome ??= await subject.evaluate((_kata, _args, kept) => kept.outcome);
    return outcome !== undefined;
  }, patienceMs);
  return outcome ?? { how: 'never settled', name: '', message: '', shares: [] };
}

/** In the subject: begins, and tells at once what is done soon. */
function begin(kata: typeof Kata, { path, afterTurns }: Call, kept: Kept): Promise<Outcome | undefined> {
  const shares: number[] = [];
  const controller = new AbortController();
  const abortIn = (turns: number) => (turns === 0 ? controller.abort() : void setImmediate(() => abortIn(turns - 1)));
  if (typeof afterTurns === 'number') abortIn(afterTurns);
  const work = async () =>
    await kata.digestLog(path, {
      // A log of 300 MB has some thousand chunks.
      onProgress: (share) => {
        if (shares.length < 100_000) shares.push(share);
        if (afterTurns === 'progress' && share > 0 && share < 1) setImmediate(() => controller.abort());
      },
      ...(afterTurns !== undefined && { signal: controller.signal }),
    });
  kept.outcome = undefined;
  const settled = work().then(
    (report): Outcome => ({ how: 'done', report, name: '', message: '', shares }),
    (error: unknown): Outcome =>
      error instanceof Error
        ? { how: 'failed', name: String(error.name), message: String(error.message).slice(0, 2000), shares }
        : { how: 'failed, with what is no Error', name: '', message: '', shares },
  );
  void settled.then((outcome) => (kept.outcome = outcome));
  return Promise.race([settled, new Promise<undefined>((resolve) => void setTimeout(resolve, 1000, undefined))]);
}

const largePath = join(workspace, 'large.log');
const largeWords = `a log of ${inWords(largeBytes(largeBlocks))}`;

interface LargeOutcome {
  readonly words: string;
  readonly outcome: Outcome;
  readonly grownBytes: number;
  readonly busiestBytes: number;
}

/** The large logs, which four promises are about. */
const largeLog = aside((subject) => digestLarge(subject, largePath, largeWords, writeLarge), { limitMs: largeLimitMs });
const largeGzip = aside(
  async (subject) => {
    // One after the other: a third process at work would only slow down the two.
    await largeLog.done().catch(() => undefined);
    return await digestLarge(subject, join(workspace, 'large.gz'), `a gzip of ${largeWords}`, writeLargeGzip);
  },
  { limitMs: largeLimitMs },
);

async function digestLarge(
  subject: DigestSubject,
  path: string,
  words: string,
  write: (path: string, blocks: number) => Promise<void>,
): Promise<LargeOutcome> {
  await write(path, largeBlocks);
  return { words, ...(await observeDigest(subject, path)) };
}

async function observeDigest(subject: DigestSubject, path: string): Promise<Omit<LargeOutcome, 'words'>> {
  const before = parsingMs(turnLimit);
  const heldBytes = await peakBytes(subject);
  let outcome: Outcome | undefined;
  const busiestMs = await subject.busiestTurnMs(async () => {
    outcome = await digestFile(subject, path, { patienceMs: largeLimitMs });
  });
  const grownBytes = (await peakBytes(subject)) - heldBytes;
  // The processor may be slower at one time than at another; the doubt is the module's.
  const turnMs = Math.max(before, parsingMs(turnLimit));
  return { outcome: outcome!, grownBytes, busiestBytes: (busiestMs / turnMs) * turnLimit };
}

async function largeOutcomes(): Promise<LargeOutcome[]> {
  return [await largeLog.done(), await largeGzip.done()];
}

/** CPU time of this thread for decoding, splitting and parsing so much of a large log, reckoned from a quarter of it. */
function parsingMs(bytes: number): number {
  const blocks = Math.round(bytes / 4 / largeBytes(1));
  const content = Buffer.from(largeText(blocks));
  const before = process.threadCpuUsage();
  let entries = 0;
  for (const line of content.toString().split('\n')) if (line.startsWith('{"agent"')) entries += JSON.parse(line).bytes;
  const { user, system } = process.threadCpuUsage(before);
  return entries > 0 ? (4 * (user + system)) / 1000 : 0;
}

function expectDone({ how, message }: Outcome, what: string): void {
  expectThat(how === 'done', `${what} could not be digested: ${how === 'failed' ? message : how}`);
}

function expectReport(outcome: Outcome, expected: Kata.Report, what: string): void {
  expectDone(outcome, what);
  expect(outcome.report, `${what}; its report`).toEqual(expected);
}

async function expectClosed(path: string, what: string): Promise<void> {
  const subject = await running();
  expectThat(
    await until(async () => (await openDescriptors(subject, path)).length === 0),
    `${what}; 5 s later the process still has the file open`,
  );
}

/** Digests what is drawn, and says the smallest log that is not digested right and how to have it drawn again. */
async function expectForAll(logs: fc.Arbitrary<Log>, part: (report: Kata.Report) => unknown): Promise<void> {
  let isSpent = false;
  const expectLog = async ({ content, lines }: Log) => {
    const what = `the log ${JSON.stringify(content.toString())}`;
    const subject = await running();
    const outcome = await digest(content).finally(() => (isSpent = !subject.alive));
    isSpent ||= outcome.how === 'never settled';
    expectDone(outcome, what);
    expect(part(outcome.report!), what).toEqual(part(reportOf(lines)));
  };
  await expectForEach(logs, 60, expectLog, () => isSpent);
}
