import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { fillDisk, noFullDisk } from '../../helpers/instruments/disk/full-disk.ts';
import { bytesWritten, noBytesWritten } from '../../helpers/instruments/gauges/gauges.ts';
import { SparseFile } from '../../helpers/instruments/sparse-file/sparse-file.ts';
import { expectForEach } from '../../helpers/judging/drawn/drawn.ts';
import { expectAtMost, expectThat, inWords } from '../../helpers/judging/verdict/expect-that.ts';
import type { ScryptCost } from '../../katas/file-encryption/file-encryption.ts';
import { type Change, changes, pieceChanges, smallChanges } from './changes.ts';
import type { Outcome } from './inside.ts';
import { haveRunInCommon, percentEqual, samplesOf } from './likeness.ts';
import { type Files, expectDone, expectFailed, megabyte, memoryLimit, password, readOutput, test } from './stage.ts';

/** What may be written before a change near the beginning of a large file is noticed: one piece, however large. */
const largeWriteLimit = 16 * megabyte;
/** What may be written before a change in the first piece is noticed: what the process says to the judge, and little more. */
const smallWriteLimit = 4 * 1024;

describe('core', () => {
  test('A file must come back byte for byte, from 0 bytes to 300 MB.', async ({ files, layout, large }) => {
    const { pieceBytes } = layout;
    const edges = pieceBytes === undefined ? [] : [pieceBytes - 1, pieceBytes, pieceBytes + 1, 2 * pieceBytes];
    for (const bytes of [0, 1, 15, 16, 17, 1000, 65_535, 65_536, 65_537, 300_001, megabyte, ...edges]) {
      const content = randomBytes(bytes);
      const back = await files.decrypted(await files.encrypted(content));
      expectDone(back, `${bytes} bytes were encrypted; decryption`);
      expectThat(back.output!.equals(content), `${bytes} bytes were encrypted and decrypted, and came back changed`);
    }

    await expectApart(files);

    expectDone(large.encrypted, `encryption of ${large.words}`);
    expectDone(large.decrypted, `decryption of ${large.words}`);
    expect(large.differsAt, `${large.words} were encrypted and decrypted; the first byte that differs`).toBe(undefined);
  });

  test('An output must show nothing of its file and have nothing in common with any other output.', async ({
    files,
    large,
  }) => {
    const content = randomBytes(300_001);
    const [one, other] = [await files.encrypted(content), await files.encrypted(content)];
    const zeros = await files.encrypted(Buffer.alloc(4 * megabyte));

    // By chance, one byte in 256 is the same. The first 16 bytes are public.
    expectAtMost(
      percentEqual(one.subarray(16), other.subarray(16)),
      5,
      `a file of ${content.length} bytes was encrypted twice with one password; bytes of the two outputs that are the same at the same place:`,
      '%',
    );
    const short = content.subarray(0, 2000);
    const [shortOne, shortOther] = [await files.encrypted(short), await files.encrypted(short)];
    expectThat(
      !haveRunInCommon(shortOne.subarray(16), shortOther.subarray(16)),
      `a file of ${short.length} bytes was encrypted twice with one password; 16 bytes in a row are in both outputs`,
    );
    const isShown = samplesOf(content, 1000).some((sample) => one.includes(sample));
    expectThat(!isShown, '16 bytes of the file are in its output');
    // When two pieces share a nonce, equal text becomes equal bytes.
    const isTwice = samplesOf(zeros, 128 * 1024 + 1).some(
      (sample) => zeros.indexOf(sample) !== zeros.lastIndexOf(sample),
    );
    expectThat(!isTwice, `${inWords(4 * megabyte)} of zeros were encrypted; 16 bytes of the output are in it twice`);
    // A nonce that is counted in a byte or two comes again only in a large file.
    expectThat(
      large.comesAgainAfter === undefined,
      `${large.words}, most of them zeros, were encrypted; 16 bytes of the output come again ${inWords(large.comesAgainAfter ?? 0)} later`,
    );
  });
});

describe('robust', () => {
  test('Memory must stay flat on a file of 300 MB.', async ({ large }) => {
    expectDone(large.encrypted, `encryption of ${large.words}`);
    expectAtMost(large.encryptionBytes, memoryLimit, `encryption of ${large.words} made the process take`);
    expectDone(large.decrypted, `decryption of ${large.words}`);
    expectAtMost(large.decryptionBytes, memoryLimit, `decryption of ${large.words} made the process take`);
  });

  test('A file that was changed, cut or extended must be refused by name and leave no output.', async ({
    files,
    layout,
    provider,
  }) => {
    const pieceBytes = layout.pieceBytes ?? 100_000;
    const encrypt = async (bytes: number) => await files.encrypted(randomBytes(bytes));
    const [tiny, twoPieces] = [await encrypt(1), await encrypt(2 * pieceBytes)];
    const [fourPieces, otherFour] = [await encrypt(3 * pieceBytes + 100), await encrypt(3 * pieceBytes + 100)];
    const [small, otherSmall] = [await encrypt(5000), await encrypt(5000)];
    const expectRefused = async (file: Buffer, change: Change) => {
      const { what, message, input } = await provider.expectRefused(file, change);
      expectThat(message.includes(input), `${what} failed with "${message}", which does not name the file`);
    };

    for (const file of [tiny, twoPieces, fourPieces, otherFour, small]) await provider.expectOpened(file);
    // Every small change to a tiny file, and every cut and exchange where the module's own pieces begin.
    for (const [file, all] of [
      [tiny, smallChanges(tiny)],
      [fourPieces, pieceChanges(fourPieces, layout, otherFour)],
      [twoPieces, pieceChanges(twoPieces, layout, otherFour)],
    ] as const)
      for (const change of all.filter((_, index) => index % provider.every === 0)) await expectRefused(file, change);

    // A zero stands for these numbers in Node's scrypt.
    const usual = { N: 2 ** 14, r: 8, p: 1 };
    const costly = await files.encrypted(randomBytes(100), { cost: usual });
    await provider.expectOpened(costly);
    for (const zero of ['N', 'r', 'p']) await expectRefused(costly, { kind: 'head', ...usual, [zero]: 0 });

    // Changes of all kinds, drawn at random. A long file would have to be copied for each.
    const [file, donor] = fourPieces.length < 500_000 ? [fourPieces, otherFour] : [small, otherSmall];
    await expectForEach(
      changes(file, layout, donor),
      150 / provider.every,
      (change) => expectRefused(file, change),
      () => provider.isSpent,
    );
    provider.expectLittleMemory();
  });

  test('Only its own password must open a file; a wrong one must leave no output.', async ({ files }) => {
    const long = 'p'.repeat(100);
    const cases: [right: string, wrong: string[]][] = [
      [password, ['Correct horse battery staple', `${password} `, password.slice(0, -1), ' ', 'x']],
      [long, [`${long.slice(0, 89)}x${long.slice(90)}`, long.slice(0, 32), `${long}p`]],
      ['pässwörd', ['password', 'p\u01e4sswörd', 'PÄSSWÖRD']],
      ['秘密の言葉', ['秘密の言語', '?????']],
      ['€'.repeat(1000), [`${'€'.repeat(999)}$`, '€'.repeat(999)]],
      [' ', ['  ', '\t']],
    ];

    for (const [right, wrongs] of cases) {
      const content = randomBytes(1000);
      const encrypted = await files.encrypted(content, { password: right });
      for (const wrong of wrongs)
        expectFailed(
          await files.decrypted(encrypted, { password: wrong }),
          `encrypted with ${JSON.stringify(right)}, decryption with ${JSON.stringify(wrong)}`,
        );
      const back = await files.decrypted(encrypted, { password: right });
      expectDone(back, `decryption with the right password ${JSON.stringify(right)}`);
      expectThat(back.output!.equals(content), `${JSON.stringify(right)} opened the file, with other bytes`);
    }
  });

  test('A failure in the middle must leave no output and no open file.', async ({ files, skip }) => {
    if (noFullDisk !== undefined) skip(noFullDisk);
    const content = randomBytes(2 * megabyte);
    const encrypted = await files.encrypted(content);
    expectDone(await files.decrypted(encrypted), 'decryption of an unchanged file');
    const openBefore = await files.openFiles();

    for (const [name, call, given, outputBytes] of [
      ['encryptFile', files.encrypt.bind(files), content, encrypted.length],
      ['decryptFile', files.decrypt.bind(files), encrypted, content.length],
    ] as const)
      for (const failure of failuresOf(outputBytes)) {
        const { folder, input, output: usual } = await files.newFolder();
        const output = failure.output === 'nowhere' ? join(folder, 'missing', 'output') : usual;
        if (failure.input === 'file') await writeFile(input, given);
        if (failure.input === 'folder') await mkdir(input);
        if (failure.output === 'folder') await mkdir(output);
        const before = await readdir(folder);

        const what = `${name}: ${failure.words}; it`;
        await using _disk =
          failure.roomBytes === undefined ? undefined : await fillDisk(files.subject, failure.roomBytes);
        const outcome = await call(input, output);
        // Nobody forbids to make the folder.
        if (failure.output !== 'nowhere' || outcome.how !== 'done') {
          expectFailed(outcome, what);
          expect(await readdir(folder), `${what} failed; files in the folder`).toEqual(before);
        }
        expectThat((await files.openFiles()) <= openBefore, `${what} failed and left a file open`);
      }
  });

  test('When a call settles, nothing must be left to do.', async ({ files }) => {
    const content = randomBytes(5000);
    const encrypted = await files.encrypted(content);
    const changed = Buffer.from(encrypted);
    changed[changed.length - 20]! ^= 1;
    const [encrypt, decrypt] = [files.encrypt.bind(files), files.decrypt.bind(files)];

    for (const { words, call, given, isFolder, isDone } of [
      { words: 'encryptFile', call: encrypt, given: content, isFolder: false, isDone: true },
      { words: 'decryptFile', call: decrypt, given: encrypted, isFolder: false, isDone: true },
      { words: 'decryptFile of a changed file', call: decrypt, given: changed, isFolder: false, isDone: false },
      { words: 'encryptFile into a folder', call: encrypt, given: content, isFolder: true, isDone: false },
      { words: 'decryptFile into a folder', call: decrypt, given: encrypted, isFolder: true, isDone: false },
    ]) {
      const { input, output } = await files.newFolder();
      await writeFile(input, given);
      if (isFolder) await mkdir(output);
      const outcome = await call(input, output, { holdsBack: 'all' });
      if (isDone) expectDone(outcome, words);
      expect(outcome.unfinished, `${words} had settled; its steps that were still under way`).toEqual([]);
    }
  });
});

describe('stretch', () => {
  test('Decrypt must not write any byte that it has not authenticated.', async ({ files, skip }) => {
    if (noBytesWritten !== undefined) skip(noBytesWritten);
    const small = await files.newFolder();
    await writeFile(small.input, await files.encrypted(randomBytes(300_001)));
    const large = await files.newFolder();
    const { path } = await SparseFile.create(`${large.input}.plain`, 32 * megabyte);
    expectDone(await files.encrypt(path, large.input), 'encryption of 32 MB');
    expectDone(await files.decrypt(large.input, large.output), 'decryption of 32 MB');
    await rm(large.output);

    for (const { input, output, at, limit, words } of [
      { ...large, at: megabyte, limit: largeWriteLimit, words: `byte ${megabyte} of 32 MB` },
      { ...small, at: 1000, limit: smallWriteLimit, words: 'byte 1000 of 300001' },
    ]) {
      await changeByte(input, at);
      const before = await bytesWritten(files.subject);
      const outcome = await files.decrypt(input, output);
      const written = (await bytesWritten(files.subject)) - before;
      expectFailed(outcome, `${words} was changed; decryption`);
      expectAtMost(written, limit, `${words} was changed; before decrypt refused the file, it wrote`);
    }
  });

  test('A guess at the password must cost what the head of the file says.', async ({ files }) => {
    const byDefault = costOf(await files.encrypted(randomBytes(1), { cost: 'by default' }));
    const { N, r, p } = byDefault;
    expectThat(
      N >= 2 ** 14 && Number.isInteger(Math.log2(N)) && r >= 8 && p >= 1 && N * r <= 2 ** 20 && N * r * p <= 2 ** 20,
      `an encryption without a cost; its head says ${inNumbers(byDefault)}`,
    );

    const [content, otherContent] = [randomBytes(32), randomBytes(32)];
    for (const cost of costs) {
      const encrypted = await files.encrypted(content, { cost });
      expect(costOf(encrypted), 'encrypted with a cost of the caller’s; the numbers in the head').toEqual(cost);
      const said = `the head says ${inNumbers(cost)}; decryption with`;
      const right = await files.decrypted(encrypted);
      expectDone(right, `${said} the right password`);
      expectThat(right.output!.equals(content), `${said} the right password gave other bytes`);
      expectPaid(right, cost, `${said} the right password`);
      if (cost === dearest) continue;

      const rightKey = await files.decrypted(encrypted, { password: 'wrong', keys: 'of the call before' });
      const wrong = await files.decrypted(encrypted, { password: 'wrong' });
      expectPaid(wrong, cost, `${said} a wrong password`);
      // A module that runs scrypt and takes its key from elsewhere opens this file.
      const other = await files.encrypted(otherContent, { cost });
      const { output } = await files.decrypted(other, { keys: 'changed' });
      expectThat(!output?.equals(otherContent), `${said} another key than that of the password opened the file`);
      expectThat(
        rightKey.output?.equals(content) === true,
        `${said} a wrong password did not open the file although scrypt returned the key of the right one, so the password is used for something else`,
      );
    }

    // The same key and the same random bytes each time. Where the outputs of one password differ, something else is random.
    const alike = async (word: string) =>
      await files.encrypted(content, { password: word, keys: 'of the call before', drawsAlike: true });
    await files.encrypted(content, { drawsAlike: true });
    const [first, second, ofAnother] = [await alike(password), await alike(password), await alike('another password')];
    await files.encrypted(content, { drawsAlike: true });
    const last = await alike(password);
    const isAlike = first.equals(second) && first.equals(last);
    expectThat(
      !isAlike || first.equals(ofAnother),
      'a file was encrypted with two passwords; scrypt returned the same key and node:crypto the same random bytes, yet the outputs differ, so the password is used for something else',
    );
  });

  test('A head that asks for too much must be refused before it has cost anything.', async ({ files, provider }) => {
    const encrypted = await files.encrypted(randomBytes(1000));
    const expectRefused = async (change: Change) => {
      const { what, scrypts } = await provider.expectRefused(encrypted, change);
      const dear = scrypts.find(isTooMuch);
      expectThat(dear === undefined, `${what} ran scrypt with ${dear && inNumbers(dear)}`);
    };

    await provider.expectOpened(encrypted);
    for (const [N, r, p] of greedyHeads) await expectRefused({ kind: 'head', N, r, p });
    const number = fc.constantFrom(
      0,
      1,
      2,
      3,
      8,
      1000,
      ...[10, 17, 18, 24, 30, 31].map((bits) => 2 ** bits),
      2 ** 32 - 1,
    );
    const heads = fc.record({ kind: fc.constant('head' as const), N: number, r: number, p: number }).filter(isTooMuch);
    await expectForEach(heads, 150, expectRefused, () => provider.isSpent);
    provider.expectLittleMemory();
  });

  test('A failure must leave an older output as it was; a success must replace it.', async ({ files }) => {
    const { input, output } = await files.newFolder();
    const older = randomBytes(500_000);
    const content = randomBytes(300_001);
    const encrypted = await files.encrypted(content);
    const changed = Buffer.from(encrypted);
    changed[changed.length - 20]! ^= 1;
    await writeFile(output, older);
    const expectOlder = async (given: Buffer, call: () => Promise<Outcome>, what: string) => {
      await writeFile(input, given);
      expectFailed(await call(), what);
      expectThat((await readOutput(output)).equals(older), `${what} failed; the older output is no longer what it was`);
    };

    await expectOlder(encrypted, () => files.decrypt(input, output, { password: 'wrong' }), 'a wrong password');
    await expectOlder(changed, () => files.decrypt(input, output), 'decryption of a changed file');
    for (const missingBytes of noFullDisk === undefined ? [200_000, 5] : []) {
      const full = `when the disk ran full ${missingBytes} bytes before the end`;
      const [encryptedRoom, contentRoom] = [encrypted.length - missingBytes, content.length - missingBytes];
      const encrypting = () => onFullDisk(files, encryptedRoom, () => files.encrypt(input, output));
      await expectOlder(content, encrypting, `encryption ${full}`);
      const decrypting = () => onFullDisk(files, contentRoom, () => files.decrypt(input, output));
      await expectOlder(encrypted, decrypting, `decryption ${full}`);
    }

    expectDone(await files.decrypt(input, output), 'decryption over an older output');
    expectThat((await readOutput(output)).equals(content), 'the older output was longer; the new one is not the file');
    await writeFile(input, content);
    await writeFile(output, older);
    expectDone(await files.encrypt(input, output), 'encryption over an older output');
    expect((await readOutput(output)).length, 'the older output was longer; bytes of the new one').toBe(
      encrypted.length,
    );
  });
});

/** Two files at once, in one folder: fails unless both come back. */
async function expectApart(files: Files): Promise<void> {
  const { folder } = await files.newFolder();
  const contents = [randomBytes(200_000), randomBytes(200_001)];
  const paths = (kind: string) => contents.map((_, index) => join(folder, `${kind}${index}`));
  const [inputs, outputs, backs] = [paths('in'), paths('out'), paths('back')];
  for (const [index, content] of contents.entries()) await writeFile(inputs[index]!, content);
  for (const [name, from, to] of [
    ['encryptFile', inputs, outputs],
    ['decryptFile', outputs, backs],
  ] as const) {
    const endings = await files.all(
      name,
      from.map((path, index) => [path, to[index]!]),
    );
    for (const { how, message } of endings)
      expectThat(
        how === 'done',
        `${name} was called for two files at once, with outputs in one folder; one ${how}: ${message}`,
      );
  }
  for (const [index, content] of contents.entries())
    expectThat(
      (await readOutput(backs[index]!)).equals(content),
      'two files were encrypted at once, and decrypted at once, with outputs in one folder; one came back changed',
    );
  await rm(folder, { recursive: true });
}

/** What a call may meet with. */
interface Failure {
  readonly words: string;
  readonly input: 'file' | 'folder' | 'nothing';
  readonly output?: 'folder' | 'nowhere';
  readonly roomBytes?: number;
}

function failuresOf(outputBytes: number): Failure[] {
  return [
    { words: 'the disk ran full after 1 MB', input: 'file', roomBytes: megabyte },
    { words: 'the disk was full', input: 'file', roomBytes: 0 },
    { words: 'the disk ran full 5 bytes before the end', input: 'file', roomBytes: outputBytes - 5 },
    { words: 'there was no input', input: 'nothing' },
    { words: 'the input was a folder', input: 'folder' },
    { words: 'the output was a folder', input: 'file', output: 'folder' },
    { words: 'the folder of the output was missing', input: 'file', output: 'nowhere' },
  ];
}

/** The most that must work. */
const dearest: ScryptCost = { N: 2 ** 17, r: 8, p: 1 };
const costs: ScryptCost[] = [dearest, { N: 4096, r: 8, p: 1 }, { N: 2048, r: 4, p: 3 }, { N: 1024, r: 1, p: 16 }];

/** Heads that must be refused, one for each way to ask for too much. */
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

/** Twice the limits or more, or nothing that scrypt could take. */
function isTooMuch({ N, r, p }: ScryptCost): boolean {
  const isPossible = N > 1 && Number.isInteger(Math.log2(N)) && r > 0 && p > 0;
  return !isPossible || 128 * N * r >= 256 * megabyte || N * r * p >= 2 ** 21;
}

/** The numbers in the head of an encrypted file. */
function costOf(file: Buffer): ScryptCost {
  expectThat(file.length >= 16, `an encrypted file has ${file.length} bytes, so it has no head`);
  expect(file.toString('latin1', 0, 4), 'the first four letters of an encrypted file').toBe('KENC');
  return { N: file.readUInt32BE(4), r: file.readUInt32BE(8), p: file.readUInt32BE(12) };
}

/** Fails unless scrypt ran with these numbers, and with no others. */
function expectPaid({ scrypts }: Outcome, cost: ScryptCost, what: string): void {
  expect([...new Set(scrypts.map(inNumbers))], `${what} ran scrypt with`).toEqual([inNumbers(cost)]);
}

function inNumbers({ N, r, p }: ScryptCost): string {
  return `N ${N}, r ${r}, p ${p}`;
}

async function onFullDisk(files: Files, roomBytes: number, call: () => Promise<Outcome>): Promise<Outcome> {
  await using _disk = await fillDisk(files.subject, roomBytes);
  return await call();
}

async function changeByte(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  buffer[0]! ^= 1;
  await file.write(buffer, 0, 1, at);
}
