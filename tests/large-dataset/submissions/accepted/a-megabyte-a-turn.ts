import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import type * as Starter from '../../../../katas/large-dataset/large-dataset.ts';

interface Entry {
  readonly time: string;
  readonly path: string;
  readonly bytes: number;
}

const firstOf = 10;

export const digestLog = (async (path, options) => {
  const { onProgress, signal } = options ?? {};
  const tally = new Tally();
  try {
    if (signal?.aborted) throw abortError();
    await using file = await open(path);
    const { size } = await file.stat();
    const decoder = new TextDecoder();
    let rest = '';
    const take = (chunk: Buffer, share: number) => {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop()!;
      for (const line of lines) tally.add(line);
      onProgress?.(Math.min(1, share));
    };
    if (await isGzip(file)) {
      const source = file.createReadStream({ start: 0, autoClose: false });
      const sink = async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) take(chunk, source.bytesRead / size);
      };
      await pipeline(source, createGunzip(), sink, { ...(signal && { signal }) });
    } else {
      // In the event loop's own thread, but no more than a megabyte in one turn.
      const buffer = Buffer.alloc(1024 * 1024);
      for (let at = 0, count; (count = readSync(file.fd, buffer, 0, buffer.length, at)) > 0;) {
        take(buffer.subarray(0, count), (at += count) / size);
        await nextTurn();
        if (signal?.aborted) throw abortError();
      }
    }
    if (rest !== '') tally.add(rest);
  } catch (cause) {
    if (signal?.aborted) throw abortError();
    throw new Error(`${path} cannot be digested: ${(cause as Error).message}`, { cause });
  }
  onProgress?.(1);
  return tally.report();
}) satisfies typeof Starter.digestLog;

/** The counts so far. Nothing else of a line is kept. */
class Tally {
  #line = 0;
  #entries = 0;
  #bytes = 0;
  // A Map, not an object, because a path may be called `__proto__`.
  readonly #paths = new Map<string, number>();
  readonly #hours = new Map<string, number>();
  #malformed = 0;
  readonly #firstLines: number[] = [];

  add(line: string): void {
    this.#line += 1;
    if (line === '' || line === '\r') return;
    const entry = readEntry(line);
    if (!entry) {
      this.#malformed += 1;
      if (this.#firstLines.length < firstOf) this.#firstLines.push(this.#line);
      return;
    }
    this.#entries += 1;
    this.#bytes += entry.bytes;
    increment(this.#hours, entry.time.slice(0, 13));
    increment(this.#paths, entry.path);
  }

  report(): Starter.Report {
    const topPaths = [...this.#paths]
      .map(([path, count]) => ({ path, count }))
      .sort((one, other) => other.count - one.count || (one.path < other.path ? -1 : 1))
      .slice(0, firstOf);
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      perHour: Object.fromEntries(this.#hours),
      topPaths,
      malformed: { count: this.#malformed, firstLines: this.#firstLines },
    };
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function readEntry(line: string): Entry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { time, path, bytes } = value as Partial<Record<keyof Entry, unknown>>;
  const isTime = typeof time === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time);
  const isSize = Number.isSafeInteger(bytes) && (bytes as number) >= 0;
  return isTime && isSize && typeof path === 'string' ? { time, path, bytes: bytes as number } : undefined;
}

/** Checks the first two bytes, because the file's name proves nothing. */
async function isGzip(file: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && buffer.readUInt16BE() === 0x1f8b;
}

function abortError(): Error {
  return new DOMException('The digest was aborted.', 'AbortError');
}
