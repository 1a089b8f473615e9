/*
breaks: [6, 10]
why: Nobody looks at how many bytes a write has taken. When the disk is full, the last one is cut short without an error, and a cut file counts as done.
ask: What does handle.write() come back with, and when is it less than what was given?
*/
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What scrypt is to spend on a password, as RFC 7914 has it. */
export interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/*
 * A file is its head (magic, N, r, p, salt) and pieces of AES-256-GCM, each followed by its tag. The key belongs to this
 * file alone, since it depends on the salt; the nonce is the number of the piece, and whether it is the last. All pieces
 * but the last are full, and the last never is: it may be empty.
 */
const magic = Buffer.from('KENC');
const saltBytes = 32;
const headBytes = 16 + saltBytes;
const pieceBytes = 64 * 1024;
const tagBytes = 16;
const algorithm = 'aes-256-gcm';
const defaultCost: ScryptCost = { N: 2 ** 16, r: 8, p: 1 };

/** Encrypts the file `input` into the file `output`. */
export async function encryptFile(
  input: string,
  output: string,
  password: string,
  cost: ScryptCost = defaultCost,
): Promise<void> {
  if (!isPayable(cost)) throw new RangeError(`These numbers for scrypt are beyond the limits: ${JSON.stringify(cost)}`);
  const head = Buffer.alloc(headBytes);
  magic.copy(head);
  head.writeUInt32BE(cost.N, 4);
  head.writeUInt32BE(cost.r, 8);
  head.writeUInt32BE(cost.p, 12);
  randomBytes(saltBytes).copy(head, 16);

  await transfer(input, output, async (source, target) => {
    const piece = Buffer.alloc(pieceBytes);
    let length = await fill(source, piece); // tells a folder before anything is paid
    const key = await keyOf(password, head);
    await (await target()).write(head);
    for (let index = 0; ; index++) {
      const last = length < pieceBytes;
      const cipher = createCipheriv(algorithm, key, nonce(index, last), { authTagLength: tagBytes });
      cipher.setAAD(head);
      const sealed = cipher.update(piece.subarray(0, length));
      cipher.final();
      await (await target()).write(Buffer.concat([sealed, cipher.getAuthTag()]));
      if (last) return;
      length = await fill(source, piece);
    }
  });
}

/** Decrypts into the file `output` what `encryptFile` has made. */
export async function decryptFile(input: string, output: string, password: string): Promise<void> {
  const refuse = (why: string, cause?: unknown) => new Error(`${input} cannot be decrypted: ${why}`, { cause });

  await transfer(input, output, async (source, target) => {
    const head = Buffer.alloc(headBytes);
    if ((await fill(source, head)) < headBytes || !head.subarray(0, 4).equals(magic)) {
      throw refuse('it is not an encrypted file');
    }
    if (!isPayable(costIn(head))) throw refuse('it asks for too much, or for what scrypt cannot do');
    const piece = Buffer.alloc(pieceBytes + tagBytes);
    let length = await fill(source, piece);
    if (length < tagBytes) throw refuse('it is too short');
    const key = await keyOf(password, head).catch((error) => {
      throw refuse('scrypt does not take its numbers', error);
    });
    for (let index = 0; ; index++) {
      const last = length < piece.length;
      if (length < tagBytes) throw refuse('it has been cut');
      const decipher = createDecipheriv(algorithm, key, nonce(index, last), { authTagLength: tagBytes });
      decipher.setAAD(head);
      decipher.setAuthTag(piece.subarray(length - tagBytes, length));
      const text = decipher.update(piece.subarray(0, length - tagBytes));
      try {
        decipher.final();
      } catch (error) {
        throw refuse('the password is wrong, or the file has been changed', error);
      }
      await (await target()).write(text);
      if (last) return;
      length = await fill(source, piece);
    }
  });
}

function nonce(index: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(index, 7);
  bytes[11] = last ? 1 : 0;
  return bytes;
}

function costIn(head: Buffer): ScryptCost {
  return { N: head.readUInt32BE(4), r: head.readUInt32BE(8), p: head.readUInt32BE(12) };
}

/** Whether scrypt can take the numbers, and they are within 128 MB and 2^20 steps. */
function isPayable({ N, r, p }: ScryptCost): boolean {
  return (
    [N, r, p].every((n) => Number.isInteger(n) && n >= 1 && n <= 2 ** 20) &&
    N >= 2 &&
    (N & (N - 1)) === 0 &&
    N * r <= 2 ** 20 &&
    N * r * p <= 2 ** 20
  );
}

function keyOf(password: string, head: Buffer): Promise<Buffer> {
  const { N, r, p } = costIn(head);
  // UTF-16, and as it is: no two strings have the same bytes, also where a surrogate is alone.
  const secret = Buffer.from(password, 'utf16le');
  return new Promise((resolve, reject) => {
    scrypt(secret, head.subarray(16, headBytes), 32, { N, r, p, maxmem: 160 * 2 ** 20 }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/** Calls `work` with the input and with a way to open a file that becomes the output only if all goes well. */
async function transfer(
  input: string,
  output: string,
  work: (source: FileHandle, target: () => Promise<FileHandle>) => Promise<void>,
): Promise<void> {
  if ((await stat(output).catch(() => undefined))?.isDirectory()) throw new Error(`${output} is a folder`);
  const temporary = join(dirname(output), `.kenc-${randomBytes(12).toString('hex')}`);
  let target: FileHandle | undefined;
  try {
    const source = await open(input, 'r');
    try {
      await work(source, async () => (target ??= await open(temporary, 'wx')));
    } finally {
      await source.close();
    }
    await target!.sync();
    const written = target!;
    await written.close();
    await rename(temporary, output);
  } catch (error) {
    if (target) {
      await target.close().catch(() => {});
      await rm(temporary, { force: true });
    }
    throw error;
  }
}

/** Reads until the buffer is full or the file is at its end. */
async function fill(source: FileHandle, buffer: Buffer): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await source.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}
