import { type Duplex, type Readable, Transform } from 'node:stream';

export interface ReadOptions {
  maxBytes?: number;
}

export interface SplitOptions {
  maxLineBytes?: number;
}

export interface BatchOptions {
  maxWaitMs?: number;
}

/** All bytes of a stream. */
export async function toBuffer(source: Readable, { maxBytes = Infinity }: ReadOptions = {}): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    source.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    source.on('end', () => {
      const all = Buffer.concat(chunks);
      if (all.length > maxBytes) reject(new RangeError(`More than ${maxBytes} bytes`));
      else resolve(all);
    });
  });
}

/** The text of a stream in UTF-8. */
export async function toText(source: Readable, { maxBytes = Infinity }: ReadOptions = {}): Promise<string> {
  return await new Promise((resolve, reject) => {
    let text = '';
    source.on('data', (chunk: Uint8Array) => (text += chunk.toString()));
    source.on('end', () => {
      if (text.length > maxBytes) reject(new RangeError(`More than ${maxBytes} bytes`));
      else resolve(text);
    });
  });
}

/** Takes bytes and gives lines, without their delimiters. */
export function split(delimiter = '\n', { maxLineBytes = Infinity }: SplitOptions = {}): Duplex {
  let rest = '';
  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, callback) {
      const lines = (rest + chunk.toString()).split(delimiter);
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.length > maxLineBytes) return callback(new RangeError(`A line of more than ${maxLineBytes} bytes`));
        this.push(line);
      }
      callback();
    },
  });
}

/** Takes items and gives arrays of `size` items. */
export function batch(size: number, { maxWaitMs }: BatchOptions = {}): Duplex {
  let items: unknown[] = [];
  const stream = new Transform({
    objectMode: true,
    transform(item, _encoding, callback) {
      items.push(item);
      if (items.length >= size) give();
      callback();
    },
  });
  const give = () => {
    stream.push(items);
    items = [];
  };
  if (maxWaitMs !== undefined) setInterval(give, maxWaitMs);
  return stream;
}
