/*
breaks: [4]
why: Stops at the piece that says it is the last, and never looks whether the file ends there too.
ask: What may stand behind the last piece without anybody noticing?
*/
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';

type ScryptCost = { N: number; r: number; p: number };

const size = 1024 * 1024;
const tagLength = 16;
const lastBit = 0x80000000;

class Sealer extends Transform {
  #pending: Buffer[] = [];
  #length = 0;
  #index = 0;

  constructor(
    private readonly key: Buffer,
    private readonly head: Buffer,
  ) {
    super();
    this.push(head);
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback) {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    while (this.#length > size) {
      const all = Buffer.concat(this.#pending);
      this.#seal(all.subarray(0, size), false);
      this.#pending = [all.subarray(size)];
      this.#length -= size;
    }
    done();
  }

  override _flush(done: TransformCallback) {
    this.#seal(Buffer.concat(this.#pending), true);
    done();
  }

  #seal(piece: Buffer, last: boolean) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(piece.length + (last ? lastBit : 0));
    const cipher = crypto.createCipheriv('chacha20-poly1305', this.key, nonce(this.#index++), {
      authTagLength: tagLength,
    });
    cipher.setAAD(Buffer.concat([this.head, length]), { plaintextLength: piece.length });
    this.push(Buffer.concat([length, cipher.update(piece), cipher.final(), cipher.getAuthTag()]));
  }
}

class Opener extends Transform {
  #rest: Buffer[] = [];
  #length = 0;
  #index = 0;
  #ended = false;

  constructor(
    private readonly key: Buffer,
    private readonly head: Buffer,
  ) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback) {
    if (this.#ended) return done();
    this.#rest.push(chunk);
    this.#length += chunk.length;
    try {
      for (;;) {
        if (this.#length < 4) return done();
        if (this.#rest[0]!.length < 4) this.#rest = [Buffer.concat(this.#rest)];
        const word = this.#rest[0]!.readUInt32BE();
        const last = word >= lastBit;
        const length = last ? word - lastBit : word;
        if (this.#ended) return done();
        if (length > size) throw new Error('changed');
        const needed = 4 + length + tagLength;
        if (this.#length < needed) return done();
        const all = Buffer.concat(this.#rest);
        this.#open(all.subarray(0, 4), all.subarray(4, 4 + length), all.subarray(4 + length, needed));
        this.#ended = last;
        this.#rest = [all.subarray(needed)];
        this.#length -= needed;
      }
    } catch (error) {
      return done(error as Error);
    }
  }

  override _flush(done: TransformCallback) {
    done(this.#ended ? null : new Error('cut'));
  }

  #open(length: Buffer, text: Buffer, tag: Buffer) {
    const decipher = crypto.createDecipheriv('chacha20-poly1305', this.key, nonce(this.#index++), {
      authTagLength: tagLength,
    });
    decipher.setAAD(Buffer.concat([this.head, length]), { plaintextLength: text.length });
    decipher.setAuthTag(tag);
    const plain = Buffer.concat([decipher.update(text), decipher.final()]);
    if (plain.length > 0) this.push(plain);
  }
}

export async function encryptFile(
  input: string,
  output: string,
  password: string,
  cost: ScryptCost = { N: 2 ** 16, r: 8, p: 2 },
) {
  const head = Buffer.alloc(16 + 24);
  head.write('KENC');
  head.writeUInt32BE(cost.N, 4);
  head.writeUInt32BE(cost.r, 8);
  head.writeUInt32BE(cost.p, 12);
  crypto.randomFillSync(head, 16);
  const key = keyFor(password, head);
  await whole(output, (target) => pipeline(fs.createReadStream(input), new Sealer(key, head), target));
}

export async function decryptFile(input: string, output: string, password: string) {
  try {
    const file = await fs.promises.open(input);
    const head = Buffer.alloc(40);
    try {
      const { bytesRead } = await file.read(head, 0, 40, 0);
      if (bytesRead < 40) throw new Error('too short');
    } finally {
      await file.close();
    }
    const key = keyFor(password, head);
    await whole(output, (target) => pipeline(fs.createReadStream(input, { start: 40 }), new Opener(key, head), target));
  } catch (error) {
    throw new Error(`Cannot decrypt ${input}`, { cause: error });
  }
}

function keyFor(password: string, head: Buffer): Buffer {
  if (head.toString('ascii', 0, 4) !== 'KENC') throw new Error('not ours');
  const N = head.readUInt32BE(4);
  const r = head.readUInt32BE(8);
  const p = head.readUInt32BE(12);
  if (N > 2 ** 17 || r > 8 || p > 16 || N * r * p > 2 ** 20 || N * r * p < 1) throw new Error('too expensive');
  return crypto.scryptSync(password, head.subarray(16), 32, { N, r, p, maxmem: 200 * 1024 * 1024 });
}

function nonce(index: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(index);
  return bytes;
}

async function whole(output: string, write: (target: fs.WriteStream) => Promise<void>): Promise<void> {
  const draft = `${output}~${crypto.randomBytes(6).toString('hex')}`;
  const handle = await fs.promises.open(draft, 'wx');
  try {
    await write(handle.createWriteStream());
    await fs.promises.rename(draft, output);
  } catch (error) {
    await fs.promises.unlink(draft);
    throw error;
  }
}
