import { randomBytes, scryptSync } from 'node:crypto';
import { mkdir, open, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { expectForEach } from '../../helpers/judging/drawn/drawn.ts';
import { fillDisk, noFullDisk } from '../../helpers/instruments/disk/full-disk.ts';
import {
  atRest,
  bytesWritten,
  cpuMs,
  noBytesWritten,
  openDescriptors,
  peakBytes,
} from '../../helpers/instruments/gauges/gauges.ts';
import { SparseFile } from '../../helpers/instruments/sparse-file/sparse-file.ts';
import { prepareSubjects } from '../../helpers/judging/subject/start-subject.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { makeFolder, useWorkspace } from '../../helpers/judging/subject/use-workspace.ts';
import type { ScryptCost } from '../../katas/file-encryption/file-encryption.ts';
import { type Change, changes, pieceChanges, smallChanges } from './changes.ts';
import { openFiles } from './inside.ts';
import {
  type Outcome,
  aside,
  call,
  cheap,
  decrypt,
  encrypt,
  encryptionOf,
  end,
  expectDone,
  expectFailed,
  largeLimitMs,
  layout,
  memoryLimit,
  newFolder,
  newProvider,
  password,
  running,
} from './stage.ts';

const megabyte = 1024 * 1024;
/** What is written before a change near the beginning of a large file is noticed: one piece, however large. */
const largeWriteLimit = 16 * megabyte;
/** What is written before a change in the first piece is noticed: little more than what the process says to the judge. */
const smallWriteLimit = 4 * 1024;
const large = { bytes: 300 * megabyte + 7, words: '300 MB' };
/** The dearest that has to be taken. */
const dearest: ScryptCost = { N: 2 ** 17, r: 8, p: 1 };
/** Half as dear, nearly all of it by p: who does not hand it to scrypt spends a sixteenth. */
const dearByP: ScryptCost = { N: 2 ** 12, r: 8, p: 16 };

await useWorkspace();
prepareSubjects('file-encryption');

describe('core', () => {
  beforeAll(() => {
    largeRoundTrip.begin();
    guesses.begin();
  });

  test('A file comes back byte for byte, from 0 bytes to 300 MB.', async () => {
    const folder = await newFolder();
    for (const bytes of [0, 1, 15, 16, 17, 1000, 65_535, 65_536, 65_537, 300_001, megabyte])
      await expectRoundTrip(folder, randomBytes(bytes));
    const { pieceBytes } = await layout();
    if (pieceBytes !== undefined)
      for (const bytes of [pieceBytes - 1, pieceBytes, pieceBytes + 1, 2 * pieceBytes])
        await expectRoundTrip(folder, randomBytes(bytes));

    const { encrypted, decrypted, differsAt } = await largeRoundTrip.done();
    expectDone(encrypted, `encryption of ${large.words}`);
    expectDone(decrypted, `decryption of ${large.words}`);
    expect(differsAt, `${large.words}, encrypted and decrypted; the first byte that differs`).toBe(undefined);
  });

  test('An output shows nothing of its file, and has nothing in common with any other output.', async () => {
    const content = randomBytes(300_001);
    const one = await encryptionOf(content);
    const other = await encryptionOf(content);
    const zeros = await encryptionOf(Buffer.alloc(4 * megabyte));

    const shared = shareOfEqualBytes(one.subarray(16), other.subarray(16));
    expectThat(
      shared <= 0.05,
      `a file of ${content.length} bytes was encrypted twice with one password; ${percent(shared)} of the bytes of the outputs are the same in the same place (limit 5 %)`,
    );
    const shown = samples(content, 1000).find((sample) => one.includes(sample));
    expectThat(shown === undefined, '16 bytes of the file stand in its output');
    // Where one nonce serves for two pieces, equal text becomes equal bytes.
    const twice = samples(zeros, 128 * 1024 + 1).find((sample) => zeros.indexOf(sample) !== zeros.lastIndexOf(sample));
    expectThat(
      twice === undefined,
      `${inWords(4 * megabyte)} of zeros were encrypted; 16 bytes of the output come again at another place of it`,
    );
    // Where nonces are counted in a byte or two, they come again in a larger file.
    const { againBehindBytes } = await largeRoundTrip.done();
    expectThat(
      againBehindBytes === undefined,
      `${large.words} that are zeros for the most part were encrypted; 16 bytes of the output come again ${inWords(againBehindBytes ?? 0)} further on`,
    );
  });
});

describe('robust', () => {
  test('Memory stays flat on a file of 300 MB.', async () => {
    const { encrypted, decrypted, encryptionBytes, decryptionBytes } = await largeRoundTrip.done();

    expectDone(encrypted, `encryption of ${large.words}`);
    expectAtMost(encryptionBytes, memoryLimit, `encryption of ${large.words}; at its peak the process held`);
    expectDone(decrypted, `decryption of ${large.words}`);
    expectAtMost(decryptionBytes, memoryLimit, `decryption of ${large.words}; at its peak the process held`);
  });

  test('A file that was changed, cut or extended is refused by its name, and leaves no output.', async () => {
    const shape = await layout();
    const lengths = shape.pieceBytes === undefined ? 300_001 : 3 * shape.pieceBytes + 100;
    const [tiny, small] = [await encryptionOf(Buffer.from('x')), await encryptionOf(randomBytes(5000))];
    const [long, another] = [await encryptionOf(randomBytes(lengths)), await encryptionOf(randomBytes(lengths))];
    const whole = await encryptionOf(randomBytes(2 * (shape.pieceBytes ?? 50_000)));
    const provider = await newProvider(dearestMs());
    const openedMs: number[] = [];
    for (const original of [tiny, small, long, another, whole]) openedMs.push(await provider.expectOpened(original));
    const every = oneOf(Math.min(...openedMs));
    const some = (list: Change[]) => list.filter((_, index) => index % every === 0);

    for (const [original, list] of [
      [tiny, some(smallChanges(tiny))],
      [long, some(pieceChanges(long, shape, another))],
      [whole, some(pieceChanges(whole, shape, another))],
    ] as const) {
      if (every === 1 && (await provider.refusesAll(original, list))) continue;
      for (const change of list) await provider.expectRefused(original, change);
    }
    const [base, donor] = long.length < 500_000 ? [long, another] : [small, await encryptionOf(randomBytes(5000))];
    await expectForEach(
      changes(base, shape, donor),
      150 / every,
      (change) => provider.expectRefused(base, change),
      () => provider.isSpent,
      async (drawn) => every === 1 && (await provider.refusesAll(base, drawn)),
    );
  });

  test('Only its own password opens a file, and a wrong one leaves no output.', async () => {
    const long = 'p'.repeat(100);
    const pairs: [right: string, wrong: string[]][] = [
      [password, ['Correct horse battery staple', `${password} `, password.slice(0, -1), ' ', 'x']],
      [long, [`${long.slice(0, 89)}x${long.slice(90)}`, long.slice(0, 32), `${long}p`]],
      ['pässwörd', ['password', 'p\u01e4sswörd', 'pässwörd'.toUpperCase()]],
      ['秘密の言葉', ['秘密の言語', '?????']],
      [' ', ['  ', '\t']],
    ];
    const content = randomBytes(1000);

    for (const [right, wrongs] of pairs) {
      const folder = await newFolder();
      const [input, output, back] = [join(folder, 'in'), join(folder, 'in.enc'), join(folder, 'back')];
      await writeFile(input, content);
      expectDone(await encrypt(input, output, right), `encryption with the password ${JSON.stringify(right)}`);
      for (const wrong of wrongs) {
        const what = `encrypted with ${JSON.stringify(right)}, decryption with ${JSON.stringify(wrong)}`;
        expectFailed(await decrypt(output, back, wrong), what);
        expect((await readdir(folder)).sort(), `${what}; files in the folder`).toEqual(['in', 'in.enc']);
      }
      expectDone(await decrypt(output, back, right), `decryption with the right password ${JSON.stringify(right)}`);
      expectThat((await readFile(back)).equals(content), `${JSON.stringify(right)} opened the file, with other bytes`);
    }
  });

  test('A failure in the middle leaves no output and no open file.', async ({ skip }) => {
    if (noFullDisk !== undefined) skip(noFullDisk);
    const content = randomBytes(2 * megabyte);
    const encrypted = await encryptionOf(content);
    const folders: string[] = [];

    for (const [name, given, outputBytes] of [
      ['encryptFile', content, encrypted.length],
      ['decryptFile', encrypted, content.length],
    ] as const) {
      for (const failure of failures(outputBytes)) {
        const folder = await newFolder();
        folders.push(folder);
        const [input, output] = [join(folder, 'in'), join(folder, 'out')];
        if (failure.input === 'file') await writeFile(input, given);
        if (failure.input === 'folder') await mkdir(input);
        if (failure.output === 'folder') await mkdir(output);
        const before = await readdir(folder);
        const subject = await running();
        const filesBefore = await subject.run(openFiles);

        const what = `${name}: ${failure.words}; it`;
        await using _disk = failure.roomBytes === undefined ? undefined : await fillDisk(subject, failure.roomBytes);
        expectFailed(await call(subject, name, input, output), what);
        expect(await readdir(folder), `${what} failed; files in the folder`).toEqual(before);
        expectThat(
          await until(async () => (await subject.run(openFiles)) <= filesBefore),
          `${what} failed; 5 s later the process still has a file open that was not open before`,
        );
        if (failure.input !== 'nothing')
          expectThat(
            await until(async () => (await openDescriptors(subject, input)).length === 0),
            `${what} failed; 5 s later the process still has the input open`,
          );
      }
    }
    await atRest(await running());
    for (const folder of folders)
      expect(
        (await readdir(folder)).filter((name) => name !== 'in' && name !== 'out'),
        'files that came later',
      ).toEqual([]);
  });
});

describe('stretch', () => {
  test('Decrypt writes no byte that it has not authenticated.', async ({ skip }) => {
    if (noBytesWritten !== undefined) skip(noBytesWritten);
    const folder = await newFolder();
    const { path } = await SparseFile.create(join(folder, 'in'), 32 * megabyte);
    const [output, small, back] = [join(folder, 'in.enc'), join(folder, 'small.enc'), join(folder, 'back')];
    expectDone(await encrypt(path, output), `encryption of ${inWords(32 * megabyte)}`);
    await writeFile(small, await encryptionOf(randomBytes(300_001)));
    expectDone(await decrypt(small, back), 'decryption of 300001 bytes');
    await rm(back);

    await changeByte(output, megabyte);
    const largeWritten = await writtenDuring(async () =>
      expectFailed(
        await decrypt(output, back),
        `byte ${megabyte} of ${inWords(32 * megabyte)} was changed; decryption`,
      ),
    );
    await changeByte(small, 1000);
    const smallWritten = await writtenDuring(async () =>
      expectFailed(await decrypt(small, back), 'byte 1000 of 300001 was changed; decryption'),
    );

    expectAtMost(
      largeWritten,
      largeWriteLimit,
      `byte ${megabyte} of ${inWords(32 * megabyte)} was changed; before decrypt refused the file, it wrote`,
    );
    expectAtMost(
      smallWritten,
      smallWriteLimit,
      'byte 1000 of 300001 was changed; before decrypt refused the file, it wrote',
    );
  });

  test('A guess at the password costs what the head of the file says.', async () => {
    const folder = await newFolder();
    const { byDefault, spent } = await guesses.done();
    const { N, r, p } = headOf(byDefault);
    expect(byDefault.toString('latin1', 0, 4), 'the first four letters of an encrypted file').toBe('KENC');
    expectThat(
      N >= 2 ** 14 &&
        Number.isInteger(Math.log2(N)) &&
        r >= 8 &&
        p >= 1 &&
        128 * N * r <= 128 * megabyte &&
        N * r * p <= 2 ** 20,
      `an encryption without a cost; its head says N ${N}, r ${r}, p ${p}`,
    );
    for (const cost of [
      { N: 4096, r: 8, p: 1 },
      { N: 2048, r: 4, p: 3 },
      { N: 1024, r: 1, p: 4 },
    ]) {
      const encrypted = await encryptionOf(Buffer.from('x'), cost);
      expect(headOf(encrypted), 'encrypted with a cost of one’s own; what the head says').toEqual(cost);
      await expectRoundTrip(folder, Buffer.from('x'), cost);
    }

    for (const { cost, word, share } of spent)
      expectThat(
        share >= 1 / 3,
        `the head says N ${cost.N}, r ${cost.r}, p ${cost.p}; for this a ${word} password took ${percent(Math.max(0, share))} of the CPU time of scrypt with these numbers (at least 33 %)`,
      );
  });

  test('A head that asks for too much is refused before it has cost anything.', async () => {
    onTestFinished(end);
    await end();
    const encrypted = await encryptionOf(randomBytes(1000));
    const provider = await newProvider(dearestMs());
    const every = oneOf(await provider.expectOpened(encrypted));

    for (const [N, r, p] of greedyHeads) await provider.expectRefused(encrypted, { kind: 'head', N, r, p }, false);
    const number = fc.constantFrom(
      0,
      1,
      2,
      3,
      8,
      1000,
      2 ** 10,
      2 ** 17,
      2 ** 18,
      2 ** 24,
      2 ** 30,
      2 ** 31,
      2 ** 32 - 1,
    );
    const heads = fc.record({ kind: fc.constant('head' as const), N: number, r: number, p: number }).filter(isTooMuch);
    await expectForEach(
      heads,
      150 / every,
      (change) => provider.expectRefused(encrypted, change, false),
      () => provider.isSpent,
      async (drawn) => every === 1 && (await provider.refusesAll(encrypted, drawn, false)),
    );
  });

  test('A failure leaves an older output as it was, and a success replaces it.', async () => {
    const folder = await newFolder();
    const [input, output] = [join(folder, 'in'), join(folder, 'out')];
    const older = randomBytes(500_000);
    const content = randomBytes(300_001);
    const encrypted = await encryptionOf(content);
    const changed = Buffer.from(encrypted);
    changed[changed.length - 20]! ^= 1;
    const expectOlder = async (outcome: Outcome, what: string) => {
      expectFailed(outcome, what);
      expect((await readdir(folder)).sort(), `${what}; files in the folder`).toEqual(['in', 'out']);
      expectThat((await readFile(output)).equals(older), `${what}; the older output is no longer what it was`);
    };

    await writeFile(output, older);
    await writeFile(input, encrypted);
    await expectOlder(await decrypt(input, output, 'wrong'), 'decryption with a wrong password');
    await writeFile(input, changed);
    await expectOlder(await decrypt(input, output), 'decryption of a changed file');
    for (const missingBytes of noFullDisk === undefined ? [200_000, 5] : []) {
      const full = `over an older output, and the disk ran full ${missingBytes} bytes before the end`;
      await writeFile(input, content);
      const encryption = await whileFull(encrypted.length - missingBytes, () => encrypt(input, output));
      await expectOlder(encryption, `encryption ${full}`);
      await writeFile(input, encrypted);
      const decryption = await whileFull(content.length - missingBytes, () => decrypt(input, output));
      await expectOlder(decryption, `decryption ${full}`);
    }

    await writeFile(input, encrypted);
    expectDone(await decrypt(input, output), 'decryption over an older output');
    expectThat(
      (await readFile(output)).equals(content),
      'a longer output was there before; the new one is not the file',
    );
    await writeFile(input, content);
    await writeFile(output, older);
    expectDone(await encrypt(input, output), 'encryption over an older output');
    expectThat(
      (await stat(output)).size === encrypted.length,
      `a longer output was there before; the new one has ${(await stat(output)).size} bytes instead of ${encrypted.length}`,
    );
  });
});

async function whileFull(roomBytes: number, work: () => Promise<Outcome>): Promise<Outcome> {
  await using _disk = await fillDisk(await running(), roomBytes);
  return await work();
}

/** A larger head is refused; what is a little more than the limits is nobody's business. */
const greedyHeads: [N: number, r: number, p: number][] = [
  [2 ** 14, 8, 64],
  [2 ** 17, 8, 4],
  [2 ** 19, 8, 1],
  [2, 2 ** 20, 1],
  [2 ** 10, 8, 2 ** 20],
  [2 ** 31, 8, 1],
  [2 ** 10, 0, 2 ** 17],
  [2 ** 10, 2 ** 32 - 1, 1],
  [2 ** 10, 8, 2 ** 32 - 1],
  [1000, 8, 1],
  [0, 0, 0],
];

/** Beyond twice the limits, or nothing that scrypt could take. */
function isTooMuch({ N, r, p }: { N: number; r: number; p: number }): boolean {
  const isPossible = N > 1 && Number.isInteger(Math.log2(N)) && r > 0 && p > 0;
  return !isPossible || 128 * N * r >= 256 * megabyte || N * r * p >= 2 ** 21;
}

/** What an operation may meet with, and what it must not leave behind. */
interface Failure {
  readonly words: string;
  readonly input: 'file' | 'folder' | 'nothing';
  readonly output?: 'folder';
  readonly roomBytes?: number;
}

function failures(outputBytes: number): Failure[] {
  return [
    { words: 'the disk ran full after 1 MB', input: 'file', roomBytes: megabyte },
    { words: 'the disk was full', input: 'file', roomBytes: 0 },
    { words: 'the disk ran full 5 bytes before the end', input: 'file', roomBytes: outputBytes - 5 },
    { words: 'there was no input', input: 'nothing' },
    { words: 'the input was a folder', input: 'folder' },
    { words: 'the output was a folder', input: 'file', output: 'folder' },
  ];
}

/** The large file, which three promises are about: there and back. */
const largeRoundTrip = aside(
  async (subject) => {
    const folder = await makeFolder('large');
    const [input, output, back] = [join(folder, 'in'), join(folder, 'in.enc'), join(folder, 'back')];
    const file = await SparseFile.create(input, large.bytes);
    const before = await peakBytes(subject);
    const encrypted = await call(subject, 'encryptFile', input, output, { patienceMs: largeLimitMs });
    const encryptionBytes = (await peakBytes(subject)) - before;
    const [decrypted, againBehindBytes] = await Promise.all([
      call(subject, 'decryptFile', output, back, { patienceMs: largeLimitMs }),
      encrypted.how === 'done' ? comesAgainBehind(output, 600_000) : undefined,
    ]);
    const decryptionBytes = (await peakBytes(subject)) - before;
    await rm(output, { force: true });
    const differsAt = decrypted.how === 'done' ? await file.differsFrom(back) : undefined;
    await rm(back, { force: true });
    return { encrypted, encryptionBytes, againBehindBytes, decrypted, decryptionBytes, differsAt };
  },
  { limitMs: largeLimitMs },
);

async function expectRoundTrip(folder: string, content: Buffer, cost: ScryptCost = cheap): Promise<void> {
  const [input, output, back] = [join(folder, 'in'), join(folder, 'in.enc'), join(folder, 'back')];
  await writeFile(input, content);
  expectDone(await encrypt(input, output, password, cost), `encryption of ${content.length} bytes`);
  expectDone(await decrypt(output, back), `${content.length} bytes were encrypted; decryption`);
  const came = await readFile(back);
  const what = `${content.length} bytes were encrypted and decrypted`;
  expect(came.length, `${what}; how many came back`).toBe(content.length);
  expectThat(came.equals(content), `${what}, and came back as others`);
  expectThat((await readFile(input)).equals(content), `${what}; the input itself was changed`);
}

/** How many of the bytes are the same in the same place, from 0 to 1. */
function shareOfEqualBytes(one: Buffer, other: Buffer): number {
  const equal = one.reduce((count, byte, index) => count + Number(byte === other[index]), 0);
  return equal / Math.max(1, one.length);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** How many bytes behind this place of the file the 16 bytes that stand there come again; undefined where they do not. */
async function comesAgainBehind(path: string, place: number): Promise<number | undefined> {
  const sample = Buffer.alloc(16);
  const chunk = Buffer.alloc(megabyte + sample.length - 1);
  await using file = await open(path);
  await file.read(sample, 0, sample.length, place);
  for (let from = place + 1; ; from += megabyte) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, from);
    const found = chunk.subarray(0, bytesRead).indexOf(sample);
    if (found !== -1) return from + found - place;
    if (bytesRead < chunk.length) return undefined;
  }
}

/** 16 bytes from here and there. */
function samples(bytes: Buffer, apart: number): Buffer[] {
  const count = Math.floor((bytes.length - 4096 - 16) / apart);
  return Array.from({ length: count }, (_, index) => bytes.subarray(4096 + index * apart, 4112 + index * apart));
}

function headOf(file: Buffer): ScryptCost {
  expectThat(file.length >= 16, `an encrypted file has ${file.length} bytes, so it has no head`);
  return { N: file.readUInt32BE(4), r: file.readUInt32BE(8), p: file.readUInt32BE(12) };
}

/** CPU time of scrypt on this machine, reckoned from that with these numbers, which are a quarter of it. */
function fourTimesMs({ N, r, p }: ScryptCost): number {
  const before = process.threadCpuUsage();
  scryptSync(password, 'salt', 32, { N, r, p, maxmem: 256 * N * r });
  const { user, system } = process.threadCpuUsage(before);
  return (4 * (user + system)) / 1000;
}

const dearestMs = lazily(() => fourTimesMs({ ...dearest, N: dearest.N / 4 }));
const dearByPMs = lazily(() => fourTimesMs({ ...dearByP, p: dearByP.p / 4 }));

/**
 * Of how many files one is handed back: a module that spends more than a cheap head asks for would keep everybody waiting
 * for minutes. Of 310 ms that the dearest would cost, a right one showed 0, one that always spends what is usual 30 to 40.
 */
function oneOf(openedMs: number): number {
  return openedMs > dearestMs() / 16 ? 10 : 1;
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** A file that was encrypted without a cost, and the CPU time of two passwords, in that of the scrypt that the head says. */
const guesses = aside(async (subject) => {
  const folder = await makeFolder('guesses');
  const [input, output, back] = [join(folder, 'in'), join(folder, 'in.enc'), join(folder, 'back')];
  const encryptedAt = async (cost: ScryptCost | 'by default') => {
    expectDone(await call(subject, 'encryptFile', input, output, { cost }), 'encryption of 1 byte');
    return await readFile(output);
  };
  const decryptedWith = async (word: 'right' | 'wrong', encrypted: Buffer) => {
    await writeFile(output, encrypted);
    const before = await cpuMs(subject);
    const outcome = await call(subject, 'decryptFile', output, back, { word: word === 'right' ? password : 'wrong' });
    return { outcome, usedMs: (await cpuMs(subject)) - before };
  };
  const openedMs = async (encrypted: Buffer, what: string) => {
    const { outcome, usedMs } = await decryptedWith('right', encrypted);
    expectDone(outcome, `${what}; decryption`);
    expectThat((await readFile(back, 'latin1')) === 'x', `${what}; decryption gave another one`);
    return usedMs;
  };

  await writeFile(input, 'x');
  const byDefault = await encryptedAt('by default');
  const defaultMs = await openedMs(byDefault, '1 byte was encrypted without a cost');
  const dearMs = isDeepStrictEqual(headOf(byDefault), dearest)
    ? defaultMs
    : await openedMs(await encryptedAt(dearest), '1 byte was encrypted with N 131072, r 8, p 1');
  const { usedMs: guessMs } = await decryptedWith('wrong', await encryptedAt(dearByP));
  // A module that takes no notice of the head spends the same on all of them.
  const { usedMs: cheapMs } = await decryptedWith('wrong', await encryptedAt(cheap));
  const spent = [
    { cost: dearest, word: 'right', share: (dearMs - cheapMs) / dearestMs() },
    { cost: dearByP, word: 'wrong', share: (guessMs - cheapMs) / dearByPMs() },
  ];
  return { byDefault, spent };
});

async function changeByte(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  buffer[0]! ^= 1;
  await file.write(buffer, 0, 1, at);
}

async function writtenDuring(work: () => Promise<void>): Promise<number> {
  const subject = await running();
  const before = await bytesWritten(subject);
  await work();
  return (await bytesWritten(subject)) - before;
}
