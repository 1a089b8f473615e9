import { type Duplex, type Readable, Transform } from 'node:stream';
import type * as Starter from '../../katas/stream-utils/stream-utils.ts';

/** All bytes of a stream. */
export async function toBuffer(source: Readable, { maxBytes = Infinity }: Starter.ReadOptions = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop by a throw destroys the source, and a source that closes early makes the loop throw.
  for await (const chunk of source) {
    const piece = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array);
    bytes += piece.length;
    if (bytes > maxBytes) throw new RangeError(`The stream has more than ${maxBytes} bytes.`);
    chunks.push(piece);
  }
  return Buffer.concat(chunks, bytes);
}

/** The text of a stream in UTF-8. It is decoded when it is complete, so that no character is cut. */
export async function toText(source: Readable, options: Starter.ReadOptions = {}): Promise<string> {
  return (await toBuffer(source, options)).toString('utf8');
}

/** Takes bytes and gives lines, without their delimiters. */
export function split(delimiter = '\n', { maxLineBytes = Infinity }: Starter.SplitOptions = {}): Duplex {
  const lines = new LineReader(Buffer.from(delimiter), maxLineBytes);
  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, callback) {
      giveAll(this, () => lines.read(chunk), callback);
    },
    flush(callback) {
      giveAll(this, () => lines.end(), callback);
    },
  });
}

/** Takes items and gives arrays of `size` items, or fewer when the first item has waited for `maxWaitMs` and at the end. */
export function batch(size: number, { maxWaitMs }: Starter.BatchOptions = {}): Duplex {
  let items: unknown[] = [];
  let timer: NodeJS.Timeout | undefined;
  let isDue = false;
  const give = (stream: Transform) => {
    clearTimeout(timer);
    timer = undefined;
    isDue = false;
    const given = items;
    items = [];
    if (given.length > 0) stream.push(given);
  };
  const beDue = (stream: Transform) => {
    isDue = true;
    // A full buffer means that the reader pauses. Then the batch may grow up to its size until the reader goes on.
    if (stream.readableLength < stream.readableHighWaterMark) give(stream);
  };
  return new Transform({
    objectMode: true,
    read(count) {
      if (isDue) give(this);
      Transform.prototype._read.call(this, count);
    },
    transform(item: unknown, _encoding, callback) {
      items.push(item);
      if (items.length === size) give(this);
      // Only the first item of a batch starts the clock.
      else if (items.length === 1 && maxWaitMs !== undefined) timer = setTimeout(beDue, maxWaitMs, this);
      callback();
    },
    flush(callback) {
      give(this);
      callback();
    },
    destroy(error, callback) {
      clearTimeout(timer);
      callback(error);
    },
  });
}

function giveAll(stream: Transform, read: () => Iterable<string>, callback: (error?: Error | null) => void): void {
  try {
    for (const line of read()) stream.push(line);
    callback();
  } catch (error) {
    callback(error as Error);
  }
}

/** Searches for delimiters among bytes, without decoding: in UTF-8 no character begins inside another one. */
class LineReader {
  readonly #delimiter: Buffer;
  readonly #maxLineBytes: number;
  /** The pieces of the current line. They are joined once, when the line ends. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** The last bytes, fewer than a delimiter has. They are not in `#pieces` yet. */
  #tail: Buffer = Buffer.alloc(0);

  constructor(delimiter: Buffer, maxLineBytes: number) {
    this.#delimiter = delimiter;
    this.#maxLineBytes = maxLineBytes;
  }

  *read(chunk: Buffer): Generator<string> {
    let rest = this.#tail.length > 0 ? Buffer.concat([this.#tail, chunk]) : chunk;
    for (let end = rest.indexOf(this.#delimiter); end !== -1; end = rest.indexOf(this.#delimiter)) {
      this.#keep(rest.subarray(0, end));
      rest = rest.subarray(end + this.#delimiter.length);
      yield this.#line();
    }
    // The last bytes may be the beginning of a delimiter that the next chunk completes.
    const known = Math.max(0, rest.length - (this.#delimiter.length - 1));
    this.#keep(rest.subarray(0, known));
    this.#tail = rest.subarray(known);
  }

  *end(): Generator<string> {
    this.#keep(this.#tail);
    if (this.#bytes > 0) yield this.#line();
  }

  #keep(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxLineBytes)
      throw new RangeError(`A line has more than ${this.#maxLineBytes} bytes (maxLineBytes).`);
    if (piece.length > 0) this.#pieces.push(piece);
  }

  #line(): string {
    const line = Buffer.concat(this.#pieces, this.#bytes).toString('utf8');
    [this.#pieces, this.#bytes] = [[], 0];
    return line;
  }
}

({ toBuffer, toText, split, batch }) satisfies typeof Starter;
