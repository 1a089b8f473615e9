import { Duplex, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';

type Chunks = AsyncIterable<Uint8Array | string>;

/** Uses Node's own consumers, behind a step that counts bytes. */
export async function toBuffer(source: Readable, options: { maxBytes?: number } = {}): Promise<Buffer> {
  return await read(source, options, buffer);
}

export async function toText(source: Readable, options: { maxBytes?: number } = {}): Promise<string> {
  return await read(source, options, text);
}

async function read<T>(
  source: Readable,
  { maxBytes }: { maxBytes?: number },
  consume: (chunks: Readable) => Promise<T>,
) {
  let result: T | undefined;
  await pipeline(
    source,
    async function* (chunks: Chunks) {
      let left = maxBytes ?? Infinity;
      for await (const chunk of chunks) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        if ((left -= bytes.byteLength) < 0) throw new RangeError(`maxBytes is ${maxBytes}`);
        yield bytes;
      }
    },
    async (chunks: AsyncIterable<Uint8Array>) => {
      result = await consume(chunks as Readable);
    },
  );
  return result as T;
}

export function split(delimiter = '\n', { maxLineBytes = Infinity }: { maxLineBytes?: number } = {}): Duplex {
  return Duplex.from(async function* (chunks: Chunks) {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    let parts: string[] = [];
    let window = '';
    let bytes = 0;
    const check = (more: string, atEnd = true) => {
      bytes += Buffer.byteLength(more);
      if (bytes > maxLineBytes) throw new RangeError(`a line exceeds maxLineBytes, ${maxLineBytes}`);
      if (more) parts.push(more);
      if (!atEnd) return '';
      const line = parts.join('');
      parts = [];
      bytes = 0;
      return line;
    };
    for await (const chunk of chunks) {
      window += decoder.decode(chunk as Uint8Array, { stream: true });
      const lines = window.split(delimiter);
      window = lines.pop()!;
      for (const line of lines) yield check(line);
      const cut = Math.max(0, window.length - delimiter.length + 1);
      check(window.slice(0, cut), false);
      window = window.slice(cut);
    }
    const last = check(window + decoder.decode());
    if (last) yield last;
  });
}

/** Waits for the next item or for the timer, whichever comes first. */
export function batch(size: number, { maxWaitMs }: { maxWaitMs?: number } = {}): Duplex {
  const over = new AbortController();
  const stream = Duplex.from(async function* (items: AsyncIterable<unknown>) {
    const iterator = items[Symbol.asyncIterator]();
    let inHand: unknown[] = [];
    let clock: { late: Promise<'late'>; stop(): void } | undefined;
    let next = iterator.next();
    const give = () => {
      clock?.stop();
      clock = undefined;
      const given = inHand;
      inHand = [];
      return given;
    };
    try {
      for (;;) {
        const came = await (clock ? Promise.race([clock.late, next]) : next);
        if (came === 'late') {
          yield give();
          continue;
        }
        if (came.done) break;
        inHand.push(came.value);
        if (inHand.length === 1 && maxWaitMs !== undefined) clock = startClock(maxWaitMs, over.signal);
        if (inHand.length === size) yield give();
        next = iterator.next();
      }
      if (inHand.length > 0) yield give();
    } finally {
      clock?.stop();
    }
  });
  stream.once('close', () => over.abort());
  return stream;
}

function startClock(ms: number, over: AbortSignal) {
  const stopped = new AbortController();
  const late = wait(ms, 'late' as const, { signal: AbortSignal.any([stopped.signal, over]) });
  late.catch(() => {});
  return { late, stop: () => stopped.abort() };
}
