/*
breaks: [5]
why: Compares byte by byte, and after half a delimiter begins again with the byte that did not fit: in "aaab" it passes over "aab", since the second a could have been the first.
ask: In which delimiters can a match begin inside of another that fails, and which search do you know that does not go back?
*/
import { type Duplex, type Readable, Transform } from 'node:stream';

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

export function split(delimiter = '\n', { maxLineBytes = Infinity }: { maxLineBytes?: number } = {}): Duplex {
  const mark = Buffer.from(delimiter);
  /** How many of its bytes have come by now, and are in no line yet. */
  let matched = 0;
  let pieces: Buffer[] = [];
  let bytes = 0;

  const keep = (piece: Buffer) => {
    bytes += piece.length;
    if (bytes > maxLineBytes) throw new RangeError(`a line of more than ${maxLineBytes} bytes`);
    if (piece.length > 0) pieces.push(piece);
  };
  const takeLine = () => {
    const line = Buffer.concat(pieces).toString();
    pieces = [];
    bytes = 0;
    return line;
  };

  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, callback) {
      try {
        let from = 0;
        for (let at = 0; at < chunk.length; at++) {
          if (chunk[at] === mark[matched]) {
            matched++;
            if (matched < mark.length) continue;
            keep(chunk.subarray(from, Math.max(from, at + 1 - matched)));
            this.push(takeLine());
            from = at + 1;
            matched = 0;
          } else if (matched > 0) {
            keep(mark.subarray(0, Math.max(0, matched - at)));
            matched = chunk[at] === mark[0] ? 1 : 0;
          }
        }
        keep(chunk.subarray(from, Math.max(from, chunk.length - matched)));
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    flush(callback) {
      try {
        keep(mark.subarray(0, matched));
        if (bytes > 0) this.push(takeLine());
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

  function give(stream: Transform) {
    clearTimeout(timer);
    if (items.length > 0) stream.push(items);
    items = [];
  }

  return new Transform({
    objectMode: true,
    transform(item, _encoding, callback) {
      if (items.push(item) === 1 && maxWaitMs !== undefined) timer = setTimeout(() => give(this), maxWaitMs);
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
