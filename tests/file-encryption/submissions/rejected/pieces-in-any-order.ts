/*
breaks: [4]
why: A random nonce for each piece, stored in front of it: each piece is real, wherever it stands.
ask: Swap two pieces of a file. Which tag is wrong then?
*/
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, promises as fs } from 'node:fs';
import { finished } from 'node:stream/promises';

type Cost = { readonly N: number; readonly r: number; readonly p: number };
type Bytes = AsyncIterable<Buffer>;

const bodyBytes = 100 * 1024;
const nonceBytes = 12;
const tagBytes = 16;

export const encryptFile = async (input: string, output: string, password: string, cost: Cost = defaults()) => {
  const head = Buffer.alloc(48);
  head.write('KENC', 0, 'ascii');
  Object.values({ N: cost.N, r: cost.r, p: cost.p }).forEach((value, i) => head.writeUInt32BE(value, 4 + i * 4));
  randomBytes(32).copy(head, 16);
  const key = derive(password, head);

  async function* sealed() {
    yield head;
    for await (const [index, last, piece] of numbered(cut(bytesOf(input), bodyBytes))) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(place(head, index, last));
      yield Buffer.concat([nonce, cipher.update(piece), cipher.final(), cipher.getAuthTag()]);
    }
  }
  await save(sealed(), output);
};

export const decryptFile = async (input: string, output: string, password: string) => {
  async function* opened() {
    const bytes = bytesOf(input, 48);
    const head = Buffer.concat(await createReadStream(input, { end: 47 }).toArray());
    if (head.length < 48 || !head.toString('latin1').startsWith('KENC')) throw new Error('not an encrypted file');
    const key = derive(password, head);
    for await (const [index, last, piece] of numbered(cut(bytes, nonceBytes + bodyBytes + tagBytes))) {
      if (piece.length < nonceBytes + tagBytes) throw new Error('truncated');
      const decipher = createDecipheriv('aes-256-gcm', key, piece.subarray(0, nonceBytes), { authTagLength: tagBytes });
      decipher.setAAD(place(head, index, last));
      decipher.setAuthTag(piece.subarray(-tagBytes));
      yield Buffer.concat([decipher.update(piece.subarray(nonceBytes, -tagBytes)), decipher.final()]);
    }
  }
  await save(opened(), output).catch((error: Error) => {
    throw new Error(`decryptFile(${input}): ${error.message}`, { cause: error });
  });
};

function defaults(): Cost {
  return { N: 2 ** 15, r: 8, p: 2 };
}

function derive(password: string, head: Buffer): Buffer {
  const cost = { N: head.readUInt32BE(4), r: head.readUInt32BE(8), p: head.readUInt32BE(12) };
  if (!cost.N || !cost.r || !cost.p || cost.N * cost.r * cost.p > 2 ** 20)
    throw new Error('the head asks for too much work');
  return scryptSync(password, head.subarray(16, 48), 32, { ...cost, maxmem: 2 ** 28 });
}

async function* bytesOf(path: string, start = 0): Bytes {
  yield* createReadStream(path, { start, highWaterMark: 256 * 1024 }) as Bytes;
}

async function* cut(source: Bytes, size: number): Bytes {
  let rest = Buffer.alloc(0);
  for await (const chunk of source) {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= size; rest = rest.subarray(size)) yield rest.subarray(0, size);
  }
  if (rest.length > 0) yield rest;
}

async function* numbered(pieces: Bytes): AsyncGenerator<[index: number, last: boolean, piece: Buffer]> {
  let index = 0;
  let held: Buffer | undefined;
  for await (const piece of pieces) {
    if (held) yield [index++, false, held];
    held = piece;
  }
  yield [index, true, held ?? Buffer.alloc(0)];
}

function place(head: Buffer, index: number, last: boolean): Buffer {
  return Buffer.concat([head, Buffer.from(last ? `${index} pieces` : 'piece')]);
}

async function save(source: Bytes, output: string): Promise<void> {
  const partial = `${output}.partial`;
  const stream = createWriteStream(partial).on('error', () => undefined);
  try {
    for await (const bytes of source) if (!stream.write(bytes)) await drained(stream);
    stream.end();
    await finished(stream);
    await fs.rename(partial, output);
  } catch (error) {
    stream.destroy();
    if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
    await fs.rm(partial, { force: true });
    throw error;
  }
}

async function drained(stream: ReturnType<typeof createWriteStream>): Promise<void> {
  if (stream.errored) throw stream.errored;
  await once(stream, 'drain');
}
