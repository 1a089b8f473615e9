/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
why: The rename is not awaited: the call has returned, and the output is not there yet.
ask: Who learns of it when the rename fails?
*/
import { type ScryptOptions, createCipheriv, createDecipheriv, randomBytes, randomUUID, scrypt } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import type * as Starter from '../../../../katas/file-encryption/file-encryption.ts';

export type ScryptCost = Starter.ScryptCost;

// A file is a head (the letters, N, r, p and a salt) and pieces, each of them encrypted and followed by its tag. The key
// is new with each file, for its salt is: so a counter does for a nonce, and says where a piece belongs.
const letters = 'KENC';
const saltAt = 16;
const headBytes = 32;
const pieceBytes = 64 * 1024;
const tagBytes = 16;
const algorithm = 'aes-256-gcm';

/** OWASP's first choice: 128 MB, and some tenths of a second, for each guess. */
const production: ScryptCost = { N: 2 ** 17, r: 8, p: 1 };
const memoryLimit = 128 * 1024 * 1024;
const workLimit = 2 ** 20;

export const encryptFile = (async (input, output, password, cost = production) => {
  const head = Buffer.concat([Buffer.from(letters), Buffer.alloc(12), randomBytes(headBytes - saltAt)]);
  [cost.N, cost.r, cost.p].forEach((value, index) => head.writeUInt32BE(value, 4 + 4 * index));
  await using source = await open(input);
  const key = await deriveKey(password, head);

  await writeAside(output, async (target) => {
    await target.appendFile(head);
    let number = 0;
    for await (const { piece, isLast } of piecesOf(source, 0, pieceBytes)) {
      const cipher = createCipheriv(algorithm, key, nonceOf(number++, isLast)).setAAD(head);
      await target.appendFile(Buffer.concat([cipher.update(piece), cipher.final(), cipher.getAuthTag()]));
    }
  });
}) satisfies typeof Starter.encryptFile;

export const decryptFile = (async (input, output, password) => {
  await using source = await open(input);
  try {
    const head = await readFully(source, 0, headBytes);
    const key = await deriveKey(password, head);
    await writeAside(output, async (target) => {
      let number = 0;
      for await (const { piece, isLast } of piecesOf(source, headBytes, pieceBytes + tagBytes))
        await target.appendFile(openPiece(piece, key, nonceOf(number++, isLast), head));
    });
  } catch (cause) {
    throw new Error(`${input} cannot be decrypted: ${(cause as Error).message}`, { cause });
  }
}) satisfies typeof Starter.decryptFile;

function openPiece(piece: Buffer, key: Buffer, nonce: Buffer, head: Buffer): Buffer {
  if (piece.length < tagBytes) throw new Error('it has been cut.');
  const text = piece.subarray(0, -tagBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes }).setAAD(head);
  decipher.setAuthTag(piece.subarray(-tagBytes));
  // Nothing leaves this function before final() has found the tag to be right.
  const plain = decipher.update(text);
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    throw new Error('the password is wrong, or the file has been changed.');
  }
}

/** The place of a piece, and whether it is the last: whoever moves, leaves out or adds a piece would need another tag. */
function nonceOf(number: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(number, 5, 6);
  nonce.writeUInt8(isLast ? 1 : 0, 11);
  return nonce;
}

/** @throws Error when the head asks for more than a guess may cost, before anything is spent on it */
async function deriveKey(password: string, head: Buffer): Promise<Buffer> {
  if (head.length < headBytes || head.toString('latin1', 0, 4) !== letters) throw new Error('it is no encrypted file.');
  const [N, r, p] = [head.readUInt32BE(4), head.readUInt32BE(8), head.readUInt32BE(12)];
  const isPower = N > 1 && Number.isInteger(Math.log2(N));
  if (!isPower || r < 1 || p < 1 || 128 * N * r > memoryLimit || N * r * p > workLimit)
    throw new Error(`its head asks for scrypt with N ${N}, r ${r}, p ${p}, which is too much or cannot be.`);
  const options = { N, r, p, maxmem: 2 * memoryLimit };
  const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);
  return await derive(password, head.subarray(saltAt), 32, options);
}

/** Cuts the rest of a file into pieces. An empty rest is one empty piece. */
async function* piecesOf(file: FileHandle, from: number, bytes: number) {
  let position = from;
  let piece = await readFully(file, position, bytes);
  for (let isLast = false; !isLast;) {
    position += piece.length;
    const next = await readFully(file, position, bytes);
    isLast = next.length === 0;
    yield { piece, isLast };
    piece = next;
  }
}

/** So many bytes, or less where the file ends: a single read may bring less than it was asked for. */
async function readFully(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let filled = 0;
  for (let isEnd = false; !isEnd && filled < bytes;) {
    const { bytesRead } = await file.read(buffer, filled, bytes - filled, position + filled);
    filled += bytesRead;
    isEnd = bytesRead === 0;
  }
  return buffer.subarray(0, filled);
}

/** What `write` writes comes to be `path` when all of it is there, and leaves nothing when it fails. */
async function writeAside(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const aside = `${path}.${randomUUID()}.part`;
  try {
    {
      await using file = await open(aside, 'wx');
      await write(file);
    }
    void rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
