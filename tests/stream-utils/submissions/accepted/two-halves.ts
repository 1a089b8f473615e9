import { Duplex, Readable, Writable, pipeline } from 'node:stream';

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
export function toBuffer(source: Readable, { maxBytes = Infinity }: ReadOptions = {}): Promise<Buffer> {
  const encoder = new TextEncoder();
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    let count = 0;
    let carry = '';
    const sink = new Writable({
      objectMode: true,
      write(chunk: Uint8Array | string, _encoding, callback) {
        let bytes: Uint8Array;
        if (typeof chunk === 'string') {
          let text = carry + chunk;
          carry = '';
          const code = text.charCodeAt(text.length - 1);
          if (code >= 0xd8_00 && code < 0xdc_00) {
            carry = text.charAt(text.length - 1);
            text = text.substring(0, text.length - 1);
          }
          bytes = encoder.encode(text);
        } else {
          bytes = chunk;
        }
        parts.push(bytes);
        count += bytes.byteLength;
        const excess = count + 3 * carry.length > maxBytes;
        callback(excess ? new RangeError(`Limit of ${maxBytes} bytes exceeded`) : null);
      },
    });
    pipeline(source, sink, (error) => {
      if (error) {
        source.destroy();
        reject(error);
      } else resolve(Buffer.concat([...parts, encoder.encode(carry)]));
    });
  });
}

/** The text of a stream in UTF-8. */
export async function toText(source: Readable, options?: ReadOptions): Promise<string> {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await toBuffer(source, options));
}

/** Takes bytes and gives lines, without their delimiters. */
export function split(delimiter = '\n', { maxLineBytes = Infinity }: SplitOptions = {}): Duplex {
  const mark = new TextEncoder().encode(delimiter);

  // Knuth, Morris and Pratt: next[k] is the length of the longest border of the first k bytes.
  const next = new Int32Array(mark.length + 1);
  for (let at = 1, border = 0; at < mark.length; at++) {
    while (border > 0 && mark[at] !== mark[border]) border = next[border]!;
    if (mark[at] === mark[border]) border++;
    next[at + 1] = border;
  }

  return Duplex.from(async function* (source: AsyncIterable<Buffer>) {
    let line = Buffer.alloc(256);
    let length = 0; // with the bytes that may be a delimiter
    let matched = 0; // how many these are
    for await (const chunk of source) {
      for (let i = 0; i < chunk.length; i++) {
        const byte = chunk[i]!;
        if (length === line.length) line = Buffer.concat([line], 2 * length);
        line[length++] = byte;
        while (matched > 0 && mark[matched] !== byte) matched = next[matched]!;
        if (mark[matched] === byte) matched++;
        if (length - matched > maxLineBytes) throw new RangeError(`A line is longer than ${maxLineBytes} bytes`);
        if (matched === mark.length) {
          yield line.toString('utf8', 0, length - matched);
          length = 0;
          matched = 0;
          if (line.length > 1_000_000) line = Buffer.alloc(256);
        }
      }
    }
    if (length > maxLineBytes) throw new RangeError(`A line is longer than ${maxLineBytes} bytes`);
    if (length > 0) yield line.toString('utf8', 0, length);
  } as (source: AsyncIterable<Buffer>) => AsyncIterable<string>);
}

/** Takes items and gives arrays of `size` items. */
export function batch(size: number, { maxWaitMs = Infinity }: BatchOptions = {}): Duplex {
  // A writable and a readable side that share a queue of due batches, which has at most one.
  let current: unknown[] = [];
  let due: unknown[] | undefined;
  let expired = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unblock: (() => void) | undefined;
  let wanted = false;

  const disarm = () => {
    if (timer !== undefined) clearTimeout(timer);
    timer = undefined;
  };
  const arm = (deadline: number) => {
    const rest = deadline - performance.now();
    if (rest === Infinity) return;
    timer = setTimeout(() => (rest > 2e9 ? arm(deadline) : expire()), Math.min(rest, 2e9));
  };
  const expire = () => {
    timer = undefined;
    expired = true;
    close();
  };
  /** Moves the current batch into the queue, if there is room. */
  const close = () => {
    if (due || current.length === 0) return;
    disarm();
    due = current;
    current = [];
    expired = false;
    pump();
  };
  const pump = () => {
    if (!wanted || !due) return;
    wanted = false;
    const full = due;
    due = undefined;
    readable.push(full);
    if (current.length >= size || expired) close();
    const go = unblock;
    unblock = undefined;
    go?.();
  };

  const writable = new Writable({
    objectMode: true,
    highWaterMark: 4,
    write(item, _encoding, callback) {
      if (current.push(item) === 1) arm(performance.now() + maxWaitMs);
      if (current.length >= size) close();
      if (current.length >= size) unblock = callback;
      else callback();
    },
    final(callback) {
      disarm();
      const finish = () => {
        close();
        if (due) {
          unblock = finish;
          return;
        }
        readable.push(null);
        callback();
      };
      finish();
    },
    destroy(error, callback) {
      disarm();
      current = [];
      due = undefined;
      callback(error);
    },
  });
  const readable = new Readable({
    objectMode: true,
    highWaterMark: 1,
    read() {
      wanted = true;
      pump();
    },
    destroy(error, callback) {
      disarm();
      current = [];
      due = undefined;
      callback(error);
    },
  });
  return Duplex.from({ writable, readable } as unknown as AsyncIterable<unknown>);
}
