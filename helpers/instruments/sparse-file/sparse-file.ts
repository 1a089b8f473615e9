import { createHash } from 'node:crypto';
import { createReadStream, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

const mebibyte = 1024 * 1024;
const blockBytes = 4096;
const zeros = Buffer.alloc(mebibyte);

/**
 * A file of any size that costs next to no disk: zeros, which are not stored, and a block of its own at the beginning of
 * each MiB and at the very end, so that a body which is cut, doubled or out of order shows. Its content depends on its
 * size and on `seed` alone. On Windows the zeros are stored.
 */
export class SparseFile {
  readonly path: string;
  readonly bytes: number;
  readonly #seed: number;

  private constructor(path: string, bytes: number, seed: number) {
    this.path = path;
    this.bytes = bytes;
    this.#seed = seed;
  }

  /** Makes the file, or replaces it. */
  static async create(path: string, bytes: number, seed = 0): Promise<SparseFile> {
    const file = new SparseFile(path, bytes, seed);
    const handle = await open(path, 'w');
    try {
      await handle.truncate(bytes);
      for (const offset of file.#blockOffsets(0, bytes)) {
        const block = file.#block(offset);
        // Hundreds of small writes: each of them would wait longer for its thread than it takes.
        writeSync(handle.fd, block, 0, block.length, offset);
      }
    } finally {
      await handle.close();
    }
    return file;
  }

  /** The bytes from `from` up to, but without, `to`. */
  slice(from: number, to: number): Buffer {
    const slice = Buffer.alloc(Math.max(0, Math.min(to, this.bytes) - from));
    for (const offset of this.#blockOffsets(from, from + slice.length)) {
      const block = this.#block(offset);
      const begin = Math.max(offset, from);
      block.copy(slice, begin - from, begin - offset);
    }
    return slice;
  }

  /** Where `chunk`, which begins at byte `offset`, differs from the file; undefined where it does not. */
  differsAt(chunk: Uint8Array, offset: number): number | undefined {
    const end = offset + chunk.length;
    const isZeros = end <= this.bytes && chunk.length <= zeros.length && this.#blockOffsets(offset, end).next().done;
    const expected = isZeros ? zeros.subarray(0, chunk.length) : this.slice(offset, end);
    if (expected.equals(chunk)) return undefined;
    const index = chunk.findIndex((byte, at) => byte !== expected[at]);
    return offset + (index === -1 ? expected.length : index);
  }

  /** Where the file at `path` first differs from this one, be it by its end; undefined where it does not. */
  async differsFrom(path: string): Promise<number | undefined> {
    await using other = await open(path);
    const buffer = Buffer.alloc(mebibyte);
    for (let offset = 0; ;) {
      const { bytesRead } = await other.read(buffer, 0, mebibyte, offset);
      if (bytesRead === 0) return offset === this.bytes ? undefined : offset;
      // The block by itself, so that what is after it is compared with zeros that are there already.
      const [block, rest] = [
        buffer.subarray(0, Math.min(blockBytes, bytesRead)),
        buffer.subarray(blockBytes, bytesRead),
      ];
      const differsAt = this.differsAt(block, offset) ?? this.differsAt(rest, offset + block.length);
      if (differsAt !== undefined) return differsAt;
      offset += bytesRead;
    }
  }

  /** Reads the file and gives back its SHA-256 in hexadecimal. */
  async sha256(): Promise<string> {
    const hash = createHash('sha256');
    await pipeline(createReadStream(this.path, { highWaterMark: mebibyte }), hash);
    return hash.digest('hex');
  }

  /** Where the blocks begin that reach into the bytes from `from` up to, but without, `to`. */
  *#blockOffsets(from: number, to: number): Generator<number> {
    for (let offset = Math.floor(from / mebibyte) * mebibyte; offset < to; offset += mebibyte) {
      if (offset + blockBytes > from) yield offset;
    }
    const last = Math.max(0, this.bytes - blockBytes);
    if (to > last && last % mebibyte !== 0) yield last;
  }

  #block(offset: number): Buffer {
    const name = createHash('sha256').update(`${this.bytes} ${offset} ${this.#seed}`).digest();
    return Buffer.alloc(Math.min(blockBytes, this.bytes - offset), name);
  }
}
