import { type Duplex, type Readable, Transform } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

interface Limit {
  maxBytes?: number;
}

export async function toBuffer(source: Readable, { maxBytes = Infinity }: Limit = {}): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > maxBytes) throw new RangeError(`more than ${maxBytes} bytes`);
    chunks.push(piece);
  }
  return Buffer.concat(chunks);
}

export async function toText(source: Readable, { maxBytes = Infinity }: Limit = {}): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of source) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > maxBytes) throw new RangeError(`more than ${maxBytes} bytes`);
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** Works character by character. This is slow, but looks at each character only once. */
export function split(delimiter = '\n', { maxLineBytes = Infinity }: { maxLineBytes?: number } = {}): Duplex {
  const decoder = new StringDecoder('utf8');
  const mark = [...delimiter];
  let line: string[] = [];
  let bytes = 0;

  function endsWithMark(): boolean {
    return line.length >= mark.length && mark.every((char, at) => line[line.length - mark.length + at] === char);
  }

  function take(stream: Transform, text: string): void {
    for (const char of text) {
      line.push(char);
      bytes += Buffer.byteLength(char);
      if (endsWithMark()) {
        line.length -= mark.length;
        bytes -= Buffer.byteLength(delimiter);
        give(stream);
      } else check(Buffer.byteLength(delimiter) - 1);
    }
  }

  /** The line may still be followed by part of a delimiter. */
  function check(spare: number): void {
    if (bytes > maxLineBytes + spare) throw new RangeError(`a line of more than ${maxLineBytes} bytes`);
  }

  function give(stream: Transform): void {
    check(0);
    stream.push(line.join(''));
    line = [];
    bytes = 0;
  }

  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, callback) {
      try {
        take(this, decoder.write(chunk));
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    flush(callback) {
      try {
        take(this, decoder.end());
        if (line.length > 0) give(this);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
  });
}

export function batch(size: number, { maxWaitMs }: { maxWaitMs?: number } = {}): Duplex {
  let items: unknown[] = [];
  let timer: NodeJS.Timeout | undefined;
  let isDue = false;

  function give(stream: Transform) {
    clearTimeout(timer);
    isDue = false;
    if (items.length > 0) stream.push(items);
    items = [];
  }

  /** Gives the batch, or leaves that to `read` while the buffer is full. */
  function giveIfRoom(stream: Transform) {
    isDue = true;
    if (stream.readableLength < stream.readableHighWaterMark) give(stream);
  }

  return new Transform({
    objectMode: true,
    read(count) {
      if (isDue) give(this);
      Transform.prototype._read.call(this, count);
    },
    transform(item, _encoding, callback) {
      if (items.push(item) === 1 && maxWaitMs !== undefined) timer = setTimeout(() => giveIfRoom(this), maxWaitMs);
      if (items.length === size) give(this);
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
