/*
breaks: [12]
why: The text so far is searched from its beginning each time.
ask: Where can a delimiter be that was not there a chunk ago?
*/
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

export function split(delimiter = '\n', { maxLineBytes = Infinity }: { maxLineBytes?: number } = {}): Duplex {
  const mark = Buffer.from(delimiter);
  const decoder = new StringDecoder();
  let text = '';
  const fits = (line: string) => {
    if (Buffer.byteLength(line) > maxLineBytes) throw new RangeError(`a line of more than ${maxLineBytes} bytes`);
    return line;
  };

  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, callback) {
      try {
        text += decoder.write(chunk);
        const lines = text.split(delimiter);
        text = lines.pop()!;
        for (const line of lines) this.push(fits(line));
        if (text.length > maxLineBytes + mark.length) fits(text);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    flush(callback) {
      try {
        text += decoder.end();
        if (text !== '') this.push(fits(text));
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
