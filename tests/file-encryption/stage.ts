import { readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { cpuMs, peakBytes } from '../../helpers/instruments/gauges/gauges.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { makeFolder } from '../../helpers/judging/subject/use-workspace.ts';
import type * as Kata from '../../katas/file-encryption/file-encryption.ts';
import { type Call, type Outcome, decryptEach, lookAt } from './inside.ts';
import { type Change, type Layout, apply, inPlainWords } from './changes.ts';

const megabyte = 1024 * 1024;
/** What a process may hold at its peak beyond what it held before. */
export const memoryLimit = 200 * megabyte;
/** For what never comes, and how long one look for it lasts. */
const [limitMs, lookMs] = [20_000, 1000];
export const largeLimitMs = 90_000;

export const password = 'correct horse battery staple';
/** About the cheapest that has to be taken. */
export const cheap: Kata.ScryptCost = { N: 1024, r: 1, p: 1 };

export type Name = 'encryptFile' | 'decryptFile';
type Cost = Kata.ScryptCost | 'by default';

export type { Outcome };

/** What a call is about beyond its two files. */
interface Terms {
  readonly word?: string;
  readonly cost?: Cost;
  readonly patienceMs?: number;
  /** Asked from time to time; when it says so, nobody waits any longer. */
  readonly isTooLong?: () => Promise<boolean>;
}

type EncryptionSubject = Subject<typeof Kata>;

export const { running, end, aside } = useSubject<typeof Kata>('file-encryption');

let folders = 0;

/** An empty folder that goes with the test. */
export async function newFolder(): Promise<string> {
  const folder = await makeFolder(`folder-${++folders}`);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Encrypts as cheaply as may be, where nothing else is said. */
export async function encrypt(input: string, output: string, word = password, cost: Cost = cheap): Promise<Outcome> {
  return await call(await running(), 'encryptFile', input, output, { word, cost });
}

export async function decrypt(input: string, output: string, word = password): Promise<Outcome> {
  return await call(await running(), 'decryptFile', input, output, { word });
}

/** Calls one of the two functions, and waits longer than an order to a process may take: the file may be large. */
export async function call(
  subject: EncryptionSubject,
  name: Name,
  input: string,
  output: string,
  { word = password, cost = cheap, patienceMs = limitMs, isTooLong = () => Promise.resolve(false) }: Terms = {},
): Promise<Outcome> {
  const isCostly = name === 'encryptFile' && cost !== 'by default';
  const order: Call = { name, args: isCostly ? [input, output, word, cost] : [input, output, word] };
  // A look lasts a second, or as long as the call does: each answer is written too, and one of the promises counts what is written.
  let outcome = await subject.run(lookAt, { order, lookMs });
  for (let look = 1; look < patienceMs / lookMs && !outcome && !(await isTooLong()); look++)
    outcome = await subject.run(lookAt, { lookMs });
  return outcome ?? { how: 'never settled', message: '' };
}

export function expectDone({ how, message, unfinished }: Outcome, what: string): void {
  expectThat(how === 'done', `${what} ${how === 'never settled' ? how : `failed: ${message}`}`);
  expectThat(unfinished === undefined, `${what} had returned, but ${unfinished}`);
}

export function expectFailed({ how, unfinished }: Outcome, what: string): void {
  expectThat(how !== 'done', `${what} did not fail`);
  expect(how, what).toBe('failed');
  expectThat(unfinished === undefined, `${what} had failed, but ${unfinished}`);
}

/** The output for this content. */
export async function encryptionOf(content: Buffer, cost: Cost = cheap): Promise<Buffer> {
  const folder = await newFolder();
  const [input, output] = [join(folder, 'in'), join(folder, 'out')];
  await writeFile(input, content);
  expectDone(await encrypt(input, output, password, cost), `encryption of ${content.length} bytes`);
  return await readFile(output);
}

const longestPiece = 2 * megabyte;
let found: Promise<Layout> | undefined;

/** What the lengths of the outputs tell of how a module builds them. */
export function layout(): Promise<Layout> {
  return (found ??= findLayout().catch((error: unknown) => {
    found = undefined;
    throw error;
  }));
}

async function findLayout(): Promise<Layout> {
  const folder = await newFolder();
  const [input, output] = [join(folder, 'in'), join(folder, 'out')];
  await writeFile(input, '');
  const added = async (bytes: number) => {
    await truncate(input, bytes);
    expectDone(await encrypt(input, output), `encryption of ${bytes} bytes`);
    return (await stat(output)).size - bytes;
  };
  // A whole block: where blocks are filled up, no smaller size adds more to the first piece.
  let fits = 16;
  const least = await added(fits);
  let doesNot = 2 * fits;
  while (doesNot <= longestPiece && (await added(doesNot)) <= least) doesNot *= 2;
  if (doesNot > longestPiece) return { headBytes: least, pieceBytes: undefined, extraBytes: 0 };
  fits = doesNot / 2;
  while (doesNot - fits > 1) {
    const middle = (fits + doesNot) >> 1;
    if ((await added(middle)) > least) doesNot = middle;
    else fits = middle;
  }
  const extraBytes = (await added(2 * fits)) - (await added(fits));
  return { headBytes: Math.max(16, least - extraBytes), pieceBytes: fits, extraBytes };
}

/** Who keeps the encrypted files, has no password, and hands back what was changed. */
export interface Provider {
  /** Hands back the file as it was, and says how much CPU time that took. */
  expectOpened(file: Buffer): Promise<number>;
  /** Hands back a changed file: it is refused, at no great cost, and leaves no output. */
  expectRefused(file: Buffer, change: Change, isByName?: boolean): Promise<void>;
  /**
   * A quicker look at many changes: whether it is sure that each would be refused so. All files of a batch together cost and leave no
   * more than one may. Each has to be handed back by itself when it is not sure.
   */
  refusesAll(file: Buffer, list: readonly Change[], isByName?: boolean): Promise<boolean>;
  /** The process has ended or has grown too large, and what it does after that says nothing. */
  readonly isSpent: boolean;
}

/** How many files are handed back at once, and how much time they have; all that takes longer is looked at one by one. */
const [batchSize, batchLimitMs] = [40, 2000];

/** @param referenceMs the CPU time that no file may cost */
export async function newProvider(referenceMs: number): Promise<Provider> {
  const folder = await newFolder();
  const [input, output] = [join(folder, 'in.enc'), join(folder, 'out')];
  const subject = await running();
  const before = await peakBytes(subject);
  let isSpent = false;

  const open = async (file: Buffer) => {
    await writeFile(input, file);
    const startMs = await cpuMs(subject);
    const isTooLong = async () => (await cpuMs(subject)) - startMs > 2 * referenceMs;
    const outcome = await call(subject, 'decryptFile', input, output, { isTooLong });
    return { outcome, usedMs: (await cpuMs(subject)) - startMs };
  };
  const expectOpened = async (file: Buffer) => {
    const { outcome, usedMs } = await open(file);
    expectDone(outcome, `decryption of an unchanged file of ${file.length} bytes`);
    await rm(output, { force: true });
    return usedMs;
  };
  const judge = async (file: Buffer, change: Change, isByName: boolean) => {
    const what = `${inPlainWords(file, change)}; decryption`;
    const { outcome, usedMs } = await open(apply(file, change));
    const grownBytes = (await peakBytes(subject)) - before;

    isSpent = grownBytes > memoryLimit || usedMs > referenceMs || outcome.how === 'never settled';
    expectAtMost(grownBytes, memoryLimit, `${what} took memory of`);
    const times = `${(usedMs / referenceMs).toFixed(1)} times the CPU time of scrypt with N = 2^17, r = 8, p = 1 (limit 1)`;
    expectThat(usedMs <= referenceMs, `${what} took ${times}`);
    expectFailed(outcome, what);
    expect(await readdir(folder), `${what} failed; files in the folder`).toEqual(['in.enc']);
    if (isByName)
      expectThat(
        outcome.message.includes(input),
        `${what} failed with "${outcome.message}", which does not name the file`,
      );
  };
  const clear = async () => {
    for (const name of await readdir(folder)) await rm(join(folder, name), { force: true, recursive: true });
  };
  const refusesBatch = async (file: Buffer, list: readonly Change[], isByName: boolean) => {
    await clear();
    const inputs = list.map((_, index) => join(folder, `${index}.enc`));
    for (const [index, change] of list.entries()) await writeFile(inputs[index]!, apply(file, change));
    const startMs = await cpuMs(subject);
    const outcomes = await subject.run(decryptEach, { inputs, password, limitMs: batchLimitMs });
    const usedMs = (await cpuMs(subject)) - startMs;
    const left = await readdir(folder);
    await clear();
    return (
      usedMs <= referenceMs &&
      (await peakBytes(subject)) - before <= memoryLimit &&
      left.length === inputs.length &&
      outcomes.length === inputs.length &&
      outcomes.every(
        ({ how, message, unfinished }, index) =>
          how === 'failed' && unfinished === undefined && (!isByName || message.includes(inputs[index]!)),
      )
    );
  };
  return {
    expectOpened,
    refusesAll: async (file, list, isByName = true) => {
      for (let from = 0; from < list.length; from += batchSize)
        if (!(await refusesBatch(file, list.slice(from, from + batchSize), isByName))) return false;
      return true;
    },
    expectRefused: async (file, change, isByName = true) => {
      try {
        await judge(file, change, isByName);
      } finally {
        isSpent ||= !subject.alive;
        // What is left belongs to this file, and not to the next.
        await clear();
      }
    },
    get isSpent() {
      return isSpent;
    },
  };
}
