/*
breaks: [5, 9]
why: Each line is decoded by a new TextDecoder, which drops U+FEFF at its beginning; and the first chunk is not counted before it is kept.
ask: What does a TextDecoder do with the first character it meets?
*/
import { type Duplex, type Readable, Transform } from 'node:stream';
import type * as Starter from '../../../../katas/stream-utils/stream-utils.ts';

/** All bytes of a stream. */
export async function toBuffer(source: Readable, { maxBytes = Infinity }: Starter.ReadOptions = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop, by an error or by a throw, destroys the source; and a source that closes early is an error.
  for await (const chunk of source) {
    const piece = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array);
    bytes += piece.length;
    if (bytes > maxBytes && chunks.length > 0) throw new RangeError(`The stream has more than ${maxBytes} bytes.`);
    chunks.push(piece);
  }
  return Buffer.concat(chunks, bytes);
}

/** The text of a stream in UTF-8. Decoded when it is whole, so that no character can be cut. */
export async function toText(source: Readable, options: Starter.ReadOptions = {}): Promise<string> {
  return (await toBuffer(source, options)).toString('utf8');
}

/** Takes bytes, and gives lines: what lies between two delimiters. */
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

/** Takes items, and gives arrays of `size` of them; of fewer when the first has waited for `maxWaitMs`, and at the end. */
export function batch(size: number, { maxWaitMs }: Starter.BatchOptions = {}): Duplex {
  let items: unknown[] = [];
  let timer: NodeJS.Timeout | undefined;
  const give = (stream: Transform) => {
    clearTimeout(timer);
    timer = undefined;
    if (items.length > 0) stream.push(items);
    items = [];
  };
  return new Transform({
    objectMode: true,
    transform(item: unknown, _encoding, callback) {
      items.push(item);
      if (items.length === size) give(this);
      // The first of a batch starts the clock, and no later one does.
      else if (items.length === 1 && maxWaitMs !== undefined) timer = setTimeout(give, maxWaitMs, this);
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

/** Looks for delimiters among bytes: in UTF-8 no character begins inside of another, so that text need not be decoded for it. */
class LineReader {
  readonly #delimiter: Buffer;
  readonly #maxLineBytes: number;
  /** The line that has not ended yet, in the pieces in which it came: joined once, when it ends. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** The last bytes that came, fewer than a delimiter has; they are in no piece yet. */
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
    // The last bytes may begin a delimiter that the next chunk ends.
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
    const line = new TextDecoder().decode(Buffer.concat(this.#pieces, this.#bytes));
    [this.#pieces, this.#bytes] = [[], 0];
    return line;
  }
}

({ toBuffer, toText, split, batch }) satisfies typeof Starter;
