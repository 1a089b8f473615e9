import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type fc from 'fast-check';
import { expect } from 'vitest';
import { atRest, bytesRead, openDescriptors, peakBytes } from '../../helpers/instruments/gauges/gauges.ts';
import { holdLoop } from '../../helpers/instruments/event-loop/hold-loop.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { expectForEach } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import type * as Kata from '../../katas/large-dataset/large-dataset.ts';
import { type AbortAt, type Outcome, digest as digestInside, digestTogether } from './inside.ts';
import { type Log, largeBytes, largeText, reportOf, writeLarge, writeLargeGzip } from './logs.ts';

const megabyte = 1024 * 1024;
/** What may be decoded, split and parsed between two turns of the event loop, as CPU time. */
export const turnLimit = 64 * megabyte;
export const largeBlocks = 300;
/** What the process digests first. */
const smallBlocks = 36;
/** For a log that is never digested. */
const largeLimitMs = 90_000;

/** A large log, and what was seen while it was digested once in a process of its own. */
export interface LargeLog {
  readonly path: string;
  readonly words: string;
  readonly outcome: Outcome;
  /** How much more memory the process held at its peak than before. */
  readonly grownBytes: number;
  /** The CPU time of the busiest turn of its event loop, as bytes that can be parsed in that time. */
  readonly busiestBytes: number;
}

/** A module, and logs for it. */
export interface Digester {
  readonly subject: Subject<typeof Kata>;
  /** Digests these bytes, in a file of this name. */
  digest(content: Buffer, name?: string): Promise<Outcome>;
  /** Digests these bytes at the same time, each in a file of its own. */
  digestTogether(contents: readonly Buffer[]): Promise<Outcome[]>;
  /** Digests a file. */
  digestFile(path: string, abortAt?: AbortAt): Promise<Outcome>;
  /**
   * Digests a file until the signal is aborted; how it ended, and how many bytes the process has read: since the abort when that came after
   * so many turns, else in all.
   */
  abort(path: string, abortAt: AbortAt): Promise<Outcome & { read: number }>;
  /** Digests what is drawn, and fails with the smallest log of which this part of the report is wrong. */
  expectForAll(logs: fc.Arbitrary<Log>, part: (report: Kata.Report) => unknown): Promise<void>;
  /** Fails when the process still has the file open 5 s later. */
  expectClosed(path: string, what: string): Promise<void>;
}

/** The judge's `test`, with two large logs that are made and digested when a promise first asks for them. */
export const test = judge<typeof Kata>('large-dataset', { spares: 1 })
  .extend('largeLog', { scope: 'file' }, async ({ workspace, subjects }): Promise<LargeLog> => {
    const path = join(workspace, 'large.log');
    const small = join(workspace, 'small.log');
    await writeLarge(path, largeBlocks);
    await writeLarge(small, smallBlocks);
    await using subject = await subjects.fresh({ limitMs: largeLimitMs, collectsEarly: true });
    return { path, words: largeWords, ...(await observeDigest(subject, path, small)) };
  })
  .extend('largeGzip', { scope: 'file' }, async ({ workspace, subjects }): Promise<LargeLog> => {
    const path = join(workspace, 'large.gz');
    const small = join(workspace, 'small.gz');
    await writeLargeGzip(path, largeBlocks);
    await writeLargeGzip(small, smallBlocks);
    await using subject = await subjects.fresh({ limitMs: largeLimitMs, collectsEarly: true });
    return { path, words: `a gzip of ${largeWords}`, ...(await observeDigest(subject, path, small)) };
  })
  .extend('digester', ({ subject, workspace }) => digesterOf(subject, workspace))
  // For those that read most of a large log.
  .extend('patientDigester', async ({ subjects, workspace }, { onCleanup }) => {
    const subject = await subjects.fresh({ limitMs: largeLimitMs });
    onCleanup(async () => await subject[Symbol.asyncDispose]());
    return digesterOf(subject, workspace);
  });

const largeWords = `a log of ${inWords(largeBytes(largeBlocks))}`;

function digesterOf(subject: Subject<typeof Kata>, workspace: string): Digester {
  const digestFile: Digester['digestFile'] = async (path, abortAt) => await call(subject, path, abortAt);
  const digest: Digester['digest'] = async (content, name = 'access.log') => {
    const path = join(workspace, name);
    await writeFile(path, content);
    return await digestFile(path);
  };
  return {
    subject,
    digest,
    async digestTogether(contents) {
      const paths = contents.map((_, index) => join(workspace, `together-${index}.log`));
      for (const [index, content] of contents.entries()) await writeFile(paths[index]!, content);
      return await subject.run(digestTogether, paths);
    },
    digestFile,
    async abort(path, abortAt) {
      await atRest(subject);
      let before = await bytesRead(subject);
      let outcome: Promise<Outcome>;
      if (typeof abortAt === 'object' && 'turns' in abortAt) {
        // The process stands still while we look: some read a megabyte in each turn.
        await using held = await holdLoop(subject, workspace, (pipe) => (outcome = call(subject, path, abortAt, pipe)));
        before = await bytesRead(subject);
        await held.release();
      } else outcome = digestFile(path, abortAt);
      const ended = await outcome!;
      await atRest(subject);
      return { ...ended, read: (await bytesRead(subject)) - before };
    },
    async expectForAll(logs, part) {
      const expectLog = async ({ content, lines }: Log) => {
        const what = `the log ${JSON.stringify(content.toString())}`;
        const outcome = await digest(content);
        expectDone(outcome, what);
        expect(part(outcome.report!), what).toEqual(part(reportOf(lines)));
      };
      await expectForEach(logs, 60, expectLog, () => !subject.alive);
    },
    async expectClosed(path, what) {
      const isClosed = await until(async () => (await openDescriptors(subject, path)).length === 0);
      expectThat(isClosed, `${what}; 5 s later the process still has the file open`);
    },
  };
}

function call(subject: Subject<typeof Kata>, path: string, abortAt?: AbortAt, pipe?: string): Promise<Outcome> {
  return subject.run(digestInside, {
    path,
    ...(abortAt !== undefined && { abortAt }),
    ...(pipe !== undefined && { pipe }),
  });
}

/** A process that ends is an outcome, too: each promise about this log says so. */
async function observeDigest(
  subject: Subject<typeof Kata>,
  path: string,
  small: string,
): Promise<Pick<LargeLog, 'outcome' | 'grownBytes' | 'busiestBytes'>> {
  const before = parsingMs(turnLimit);
  try {
    // V8 is in no hurry to collect: what it piles up on a small part of the log is there, too, when nothing is held.
    await call(subject, small);
    const heldBytes = await peakBytes(subject);
    let outcome: Outcome | undefined;
    const busiestMs = await subject.busiestTurnMs(async () => {
      outcome = await call(subject, path);
    });
    const grownBytes = (await peakBytes(subject)) - heldBytes;
    // A processor can be slower at one time than at another: the slower measurement counts.
    const turnMs = Math.max(before, parsingMs(turnLimit));
    return { outcome: outcome!, grownBytes, busiestBytes: (busiestMs / turnMs) * turnLimit };
  } catch (error) {
    const { name, message } = error as Error;
    return {
      outcome: { how: 'failed', name, message, shares: [], wasAborted: false },
      grownBytes: Infinity,
      busiestBytes: Infinity,
    };
  }
}

/** CPU time of this thread for decoding, splitting and parsing so much of a large log, estimated from a quarter of it. */
function parsingMs(bytes: number): number {
  const blocks = Math.round(bytes / 4 / largeBytes(1));
  const content = Buffer.from(largeText(blocks));
  const before = process.threadCpuUsage();
  let entries = 0;
  for (const line of content.toString().split('\n')) if (line.startsWith('{"agent"')) entries += JSON.parse(line).bytes;
  const { user, system } = process.threadCpuUsage(before);
  return entries > 0 ? (4 * (user + system)) / 1000 : 0;
}

export function expectDone({ how, message }: Outcome, what: string): void {
  expectThat(how === 'done', `${what} could not be digested: ${how === 'failed' ? message : how}`);
}

export function expectReport(outcome: Outcome, expected: Kata.Report, what: string): void {
  expectDone(outcome, what);
  expect(outcome.report, `${what}; its report`).toEqual(expected);
}
