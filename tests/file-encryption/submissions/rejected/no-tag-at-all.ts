/*
breaks: [4, 5, 7, 10]
why: CTR without any tag: whatever comes is turned into something, with a wrong password too.
ask: How does decryptFile find out that it was given nonsense?
*/
import { createCipheriv, createDecipheriv, createHmac, randomBytes, scrypt } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

const tagBytes = 32;
const headBytes = 48;

export async function encryptFile(
  input: string,
  output: string,
  password: string,
  { N, r, p }: ScryptCost = { N: 2 ** 15, r: 8, p: 3 },
): Promise<void> {
  const head = Buffer.alloc(headBytes);
  head.write('KENC');
  head.writeUInt32BE(N, 4);
  head.writeUInt32BE(r, 8);
  head.writeUInt32BE(p, 12);
  randomBytes(32).copy(head, 16);
  const { cipherKey, macKey, iv } = await keysOf(password, head);
  const hmac = createHmac('sha256', macKey).update(head);
  await into(output, () => createReadStream(input), [
    createCipheriv('aes-256-ctr', cipherKey, iv),
    async function* authenticate(source: AsyncIterable<Buffer>) {
      yield head;
      for await (const chunk of source) {
        hmac.update(chunk);
        yield chunk;
      }
      yield hmac.digest();
    },
  ]);
}

export async function decryptFile(input: string, output: string, password: string): Promise<void> {
  const { size } = await stat(input);
  if (size < headBytes + tagBytes) throw new Error(`${input} is too short for an encrypted file`);
  const head = await bytesOf(input, 0, headBytes - 1);
  const { cipherKey, macKey, iv } = await keysOf(password, head).catch((error: Error) => {
    throw new Error(`${input}: ${error.message}`);
  });

  const hmac = createHmac('sha256', macKey).update(head);
  if (size > headBytes + tagBytes)
    await pipeline(createReadStream(input, { start: headBytes, end: size - tagBytes - 1 }), async (source) => {
      for await (const chunk of source) hmac.update(chunk as Buffer);
    });
  hmac.digest();

  const decipher = createDecipheriv('aes-256-ctr', cipherKey, iv);
  // An end before the start means the whole file to a stream, so an empty file needs an empty source.
  const body = () =>
    size === headBytes + tagBytes
      ? ([] as Buffer[])
      : createReadStream(input, { start: headBytes, end: size - tagBytes - 1 });
  await into(output, body, [decipher]);
}

async function keysOf(password: string, head: Buffer) {
  if (head.toString('latin1', 0, 4) !== 'KENC') throw new Error('no encrypted file');
  const [N, r, p] = [head.readUInt32BE(4), head.readUInt32BE(8), head.readUInt32BE(12)];
  if (N * r * p === 0 || N * r * p > 2 ** 20) throw new Error('asks for too much');
  const bytes = await new Promise<Buffer>((resolve, reject) =>
    scrypt(password, head.subarray(16), 80, { N, r, p, maxmem: 2 ** 28 }, (error, key) =>
      error ? reject(error) : resolve(key),
    ),
  );
  return { cipherKey: bytes.subarray(0, 32), macKey: bytes.subarray(32, 64), iv: bytes.subarray(64) };
}

async function bytesOf(path: string, start: number, end: number): Promise<Buffer> {
  return Buffer.concat((await createReadStream(path, { start, end }).toArray()) as Buffer[]);
}

type Step = Transform | ((source: AsyncIterable<Buffer>) => AsyncIterable<Buffer>);

/** The source is opened last: a stream that fails while nobody listens to it ends the process. */
async function into(output: string, source: () => Readable | Buffer[], steps: Step[]): Promise<void> {
  const part = `${output}.${process.pid}-${Date.now()}`;
  const target = await open(part, 'w');
  try {
    await pipeline([source(), ...steps, target.createWriteStream()] as unknown as [Readable, Transform]);
    await rename(part, output);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
