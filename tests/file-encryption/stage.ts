import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { peakBytes } from '../../helpers/instruments/gauges/gauges.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { SparseFile } from '../../helpers/instruments/sparse-file/sparse-file.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/file-encryption/file-encryption.ts';
import { type Change, type Layout, apply, inPlainWords } from './changes.ts';
import { type Call, type Ending, type Outcome, callAtOnce, callOnce, openFiles } from './inside.ts';
import { comesAgainAfter } from './likeness.ts';

export const megabyte = 1024 * 1024;
/** What the process may hold at its peak beyond what it held before. */
export const memoryLimit = 200 * megabyte;
export const password = 'correct horse battery staple';
/** About the cheapest numbers that must work; tests that are not about scrypt use them. */
const cheap: Kata.ScryptCost = { N: 1024, r: 1, p: 1 };

const largeLimitMs = 90_000;
const largeFileBytes = 300 * megabyte + 7;
/** A longer piece is not looked for. */
const longestPiece = 2 * megabyte;

/** What a call is about beyond its two files. */
interface Terms extends Pick<Call, 'holdsBack' | 'keys' | 'drawsAlike'> {
  readonly password?: string;
  readonly cost?: Kata.ScryptCost | 'by default';
}

/** The large file, and what was seen while it was encrypted in one process and decrypted in another. */
export interface LargeFile {
  readonly words: string;
  readonly encrypted: Outcome;
  readonly decrypted: Outcome;
  /** How much more memory the first process held at its peak than before. */
  readonly encryptionBytes: number;
  /** The same of the second process. */
  readonly decryptionBytes: number;
  /** The first byte that came back wrong; undefined when all are right. */
  readonly differsAt: number | undefined;
  /** After how many bytes 16 bytes of the output come again; undefined when they don't. */
  readonly comesAgainAfter: number | undefined;
}

/** The judge's `test`. */
export const test = judge<typeof Kata>('file-encryption', { spares: 1 })
  .extend('large', { scope: 'file' }, async ({ workspace, subjects }): Promise<LargeFile> => {
    await using encrypting = await subjects.fresh({ limitMs: largeLimitMs });
    await using decrypting = await subjects.fresh({ limitMs: largeLimitMs });
    return await observeLargeFile(new Files(encrypting, workspace), new Files(decrypting, workspace));
  })
  .extend('layout', { scope: 'file' }, async ({ workspace, subjects }): Promise<Layout> => {
    return await findLayout(new Files(await subjects.running(), workspace));
  })
  .extend('files', ({ subject, workspace }) => new Files(subject, workspace))
  .extend('provider', async ({ fresh, workspace }) => await Provider.start(new Files(await fresh(), workspace)));

/** A folder, and the paths of two files in it. */
interface Places {
  readonly folder: string;
  readonly input: string;
  readonly output: string;
}

/** The module in one process, and files for it. */
export class Files {
  readonly subject: Subject<typeof Kata>;
  readonly #workspace: string;

  constructor(subject: Subject<typeof Kata>, workspace: string) {
    this.subject = subject;
    this.#workspace = workspace;
  }

  /** A new folder, and the paths of two files in it. Neither of them is there yet. */
  async newFolder(): Promise<Places> {
    const folder = await mkdtemp(join(this.#workspace, 'files-'));
    // The process may belong to another user, as in a container. Nobody else gets in: the workspace is closed to them.
    await chmod(folder, 0o777);
    return { folder, input: join(folder, 'in'), output: join(folder, 'out') };
  }

  /** Calls encryptFile. */
  async encrypt(input: string, output: string, { password: word = password, cost = cheap, ...how }: Terms = {}) {
    const args: Call['args'] = cost === 'by default' ? [input, output, word] : [input, output, word, cost];
    return await this.subject.run(callOnce, { name: 'encryptFile', args, ...how });
  }

  /** Calls decryptFile. */
  async decrypt(input: string, output: string, { password: word = password, ...how }: Terms = {}) {
    return await this.subject.run(callOnce, { name: 'decryptFile', args: [input, output, word], ...how });
  }

  /** Encrypts this content, and returns the output. */
  async encrypted(content: Buffer, terms: Terms = {}): Promise<Buffer> {
    const { folder, input, output } = await this.newFolder();
    await writeFile(input, content);
    expectDone(await this.encrypt(input, output, terms), `encryption of ${content.length} bytes`);
    const bytes = await readOutput(output);
    await rm(folder, { recursive: true });
    return bytes;
  }

  /** Hands this file to decryptFile, and returns the outcome and the output, if there is one. */
  async decrypted(file: Buffer, terms: Terms = {}): Promise<Outcome & { output: Buffer | undefined }> {
    const { folder, input, output } = await this.newFolder();
    await writeFile(input, file);
    const outcome = await this.decrypt(input, output, terms);
    const bytes = outcome.how === 'done' ? await readOutput(output) : undefined;
    await rm(folder, { recursive: true, force: true });
    return { ...outcome, output: bytes };
  }

  /** Calls one function for each pair of files at once. */
  async all(name: Call['name'], pairs: readonly (readonly [input: string, output: string])[]): Promise<Ending[]> {
    const calls = pairs.map(([input, output]): Call => {
      return { name, args: name === 'encryptFile' ? [input, output, password, cheap] : [input, output, password] };
    });
    return await this.subject.run(callAtOnce, calls);
  }

  /** How many files the process has open. */
  async openFiles(): Promise<number> {
    return await this.subject.run(openFiles);
  }
}

/** No output that is read whole comes near to this; a file with a hole could be of any size. */
const largestOutputBytes = 64 * 1024 * 1024;

/** What a module has written. */
export async function readOutput(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  expectThat(size <= largestOutputBytes, `the output has ${size} bytes`);
  return await readFile(path);
}

export function expectDone({ how, message, left }: Outcome, what: string): void {
  expectThat(how === 'done', `${what} ${how}: ${message}`);
  expect(left, `${what} is done; other files that it left in the folder`).toEqual([]);
}

export function expectFailed({ how, left }: Outcome, what: string): void {
  expectThat(how !== 'done', `${what} did not fail`);
  expect(how, what).toBe('failed');
  expect(left, `${what} failed; files that it left in the folder`).toEqual([]);
}

/** Keeps encrypted files, has no password, and hands changed ones back to a process of its own. */
class Provider {
  readonly #files: Files;
  readonly #places: Places;
  readonly #heldBytes: number;
  /** 1, or 10 when the module runs a costly scrypt although a file asks for a cheap one: then one change in ten is tried. */
  every = 1;
  /** By how much the process has grown at its peak. */
  #grownBytes = 0;
  /** The process has ended or has grown too large. What it does from now on says nothing. */
  isSpent = false;

  private constructor(files: Files, places: Places, heldBytes: number) {
    this.#files = files;
    this.#places = places;
    this.#heldBytes = heldBytes;
  }

  static async start(files: Files): Promise<Provider> {
    return new Provider(files, await files.newFolder(), await peakBytes(files.subject));
  }

  /** Hands the file back as it is and fails unless it is decrypted. */
  async expectOpened(file: Buffer): Promise<void> {
    const outcome = await this.#files.decrypted(file);
    expectDone(outcome, `decryption of an unchanged file of ${file.length} bytes`);
    if (outcome.scrypts.some(({ N, r, p }) => N * r * p > 2 ** 14)) this.every = 10;
  }

  /** Fails when all changed files together made the process take too much memory. */
  expectLittleMemory(): void {
    expectAtMost(this.#grownBytes, memoryLimit, 'decryption of changed files made the process take');
  }

  /** Hands back a changed file and fails unless it is refused, leaves no output, and takes little memory. */
  async expectRefused(file: Buffer, change: Change): Promise<Refusal> {
    const what = `${inPlainWords(file, change)}; decryption`;
    const { folder, input, output } = this.#places;
    try {
      // Hundreds of small files: each would wait longer for a thread than writing it takes.
      writeFileSync(input, apply(file, change));
      const outcome = await this.#files.decrypt(input, output);
      this.#grownBytes = (await peakBytes(this.#files.subject)) - this.#heldBytes;
      this.isSpent = this.#grownBytes > memoryLimit;
      if (this.isSpent) expectAtMost(this.#grownBytes, memoryLimit, `${what} made the process take`);
      expectFailed(outcome, what);
      return { ...outcome, what, input };
    } finally {
      this.isSpent ||= !this.#files.subject.alive;
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    }
  }
}

/** What was seen when a changed file was refused. */
interface Refusal extends Outcome {
  /** The change, in words. */
  readonly what: string;
  readonly input: string;
}

/** On a disk that is slower with the output than with the input. */
const slowly = { holdsBack: 'first writes' } as const;

async function observeLargeFile(encrypting: Files, decrypting: Files): Promise<LargeFile> {
  const { folder, input, output } = await encrypting.newFolder();
  const back = join(folder, 'back');
  const file = await SparseFile.create(input, largeFileBytes);
  const [encrypted, encryptionBytes] = await grownBy(encrypting, () => encrypting.encrypt(input, output, slowly));
  const [[decrypted, decryptionBytes], distance] = await Promise.all([
    grownBy(decrypting, () => decrypting.decrypt(output, back, slowly)),
    encrypted.how === 'done' ? comesAgainAfter(output, 600_000) : undefined,
  ]);
  const differsAt = decrypted.how === 'done' ? await file.differsFrom(back) : undefined;
  await rm(folder, { recursive: true });
  const words = '300 MB';
  return { words, encrypted, decrypted, encryptionBytes, decryptionBytes, differsAt, comesAgainAfter: distance };
}

/** Calls the module, and says by how much its process has grown at its peak. */
async function grownBy({ subject }: Files, call: () => Promise<Outcome>): Promise<[Outcome, grownBytes: number]> {
  const before = await peakBytes(subject);
  const outcome = await call();
  return [outcome, (await peakBytes(subject)) - before];
}

/** What the lengths of the outputs tell about how the module builds them. */
async function findLayout(files: Files): Promise<Layout> {
  const { folder, input, output } = await files.newFolder();
  await writeFile(input, '');
  const added = async (bytes: number) => {
    await truncate(input, bytes);
    expectDone(await files.encrypt(input, output), `encryption of ${bytes} bytes`);
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
  await rm(folder, { recursive: true });
  return { headBytes: Math.max(16, least - extraBytes), pieceBytes: fits, extraBytes };
}
