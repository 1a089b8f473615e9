import { createCipheriv, createDecipheriv, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';

interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

interface Keys {
  readonly cipher: Buffer;
  readonly mac: Buffer;
}

const pieceBytes = 32_768;
const sealedBytes = 16 + pieceBytes + 16 + 32;
const zero = Buffer.alloc(1);
const one = Buffer.alloc(1, 1);

/** CBC with an IV for each piece, and tags of which each covers the one before: a chain from the head to the last. */
export async function encryptFile(
  input: string,
  output: string,
  password: string,
  cost: ScryptCost = { N: 16_384, r: 8, p: 5 },
): Promise<void> {
  const head = Buffer.concat([Buffer.from('KENC'), ...[cost.N, cost.r, cost.p].map(uint32), randomBytes(16)]);
  const keys = await keysOf(password, head);
  await between(input, output, async (source, target) => {
    await writeAll(target, head);
    let tag: Buffer = head;
    for (let position = 0, isLast = false; !isLast; position += pieceBytes) {
      const read = await readAll(source, position, pieceBytes + 1);
      isLast = read.length <= pieceBytes;
      const iv = randomBytes(16);
      const cipher = createCipheriv('aes-256-cbc', keys.cipher, iv);
      const text = Buffer.concat([iv, cipher.update(read.subarray(0, pieceBytes)), cipher.final()]);
      tag = tagOf(keys, tag, text, isLast);
      await writeAll(target, Buffer.concat([text, tag]));
    }
  });
}

export async function decryptFile(input: string, output: string, password: string): Promise<void> {
  await between(input, output, async (source, target) => {
    const head = await readAll(source, 0, 32);
    const keys = await keysOf(password, head).catch((error: Error) => Promise.reject(refusal(input, error.message)));
    let tag: Buffer = head;
    for (let position = 32, isLast = false; !isLast; position += sealedBytes) {
      const read = await readAll(source, position, sealedBytes + 1);
      isLast = read.length <= sealedBytes;
      const piece = read.subarray(0, sealedBytes);
      if (piece.length < 64) throw refusal(input, 'it ends too early');
      const text = piece.subarray(0, -32);
      tag = tagOf(keys, tag, text, isLast);
      if (!timingSafeEqual(tag, piece.subarray(-32))) throw refusal(input, 'a tag is wrong');
      const decipher = createDecipheriv('aes-256-cbc', keys.cipher, text.subarray(0, 16));
      await writeAll(target, Buffer.concat([decipher.update(text.subarray(16)), decipher.final()]));
    }
  });
}

function refusal(input: string, why: string): Error {
  return new Error(`${input} is refused: ${why}`);
}

function tagOf({ mac }: Keys, before: Buffer, text: Buffer, isLast: boolean): Buffer {
  return createHmac('sha256', mac)
    .update(isLast ? one : zero)
    .update(before)
    .update(text)
    .digest();
}

async function keysOf(password: string, head: Buffer): Promise<Keys> {
  if (head.length < 32 || head.toString('latin1', 0, 4) !== 'KENC') throw new Error('the head is none');
  const [N, r, p] = [head.readUInt32BE(4), head.readUInt32BE(8), head.readUInt32BE(12)];
  if (N * r * p > 2 ** 20 || Math.min(N, r, p) < 1)
    throw new Error(`N ${N}, r ${r}, p ${p} is more than this machine gives`);
  return await new Promise((resolve, reject) => {
    scrypt(password, head.subarray(16), 64, { N, r, p, maxmem: 2 ** 28 }, (error, key) => {
      if (error) reject(error);
      else resolve({ cipher: key.subarray(0, 32), mac: key.subarray(32) });
    });
  });
}

async function between(
  input: string,
  output: string,
  work: (source: FileHandle, target: FileHandle) => Promise<void>,
): Promise<void> {
  const source = await open(input);
  const name = `${output}.tmp`;
  let isMade = false;
  try {
    const target = await open(name, 'wx');
    isMade = true;
    try {
      await work(source, target);
    } finally {
      await target.close();
    }
    await rename(name, output);
    isMade = false;
  } finally {
    await source.close();
    if (isMade) await unlink(name);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

async function readAll(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let done = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, position + done);
    if (bytesRead === 0) return buffer.subarray(0, done);
    done += bytesRead;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done)).bytesWritten;
}
