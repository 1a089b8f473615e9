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
  let rest: Buffer = Buffer.alloc(0);
  let pieces: Buffer[] = [];
  let bytes = 0;

  const keep = (piece: Buffer) => {
    bytes += piece.length;
    if (bytes > maxLineBytes) throw new RangeError(`a line of more than ${maxLineBytes} bytes`);
    pieces.push(piece);
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
        rest = Buffer.concat([rest, chunk]);
        for (let at = rest.indexOf(mark); at !== -1; at = rest.indexOf(mark)) {
          keep(rest.subarray(0, at));
          this.push(takeLine());
          rest = rest.subarray(at + mark.length);
        }
        const known = Math.max(0, rest.length - mark.length + 1);
        keep(rest.subarray(0, known));
        rest = rest.subarray(known);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    flush(callback) {
      try {
        keep(rest);
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
