/*
breaks: [6, 7]
why: A file is a gzip if its name says so: one that was renamed is read as text, and a log that is called .gz as a damaged gzip.
ask: Who gives files their names, and what may be relied on?
*/
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type Readable, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

interface Options {
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

export async function digestLog(path: string, options: Options = {}) {
  const hours = new Map<string, number>();
  const paths = new Map<string, number>();
  const firstLines: number[] = [];
  let [number, entries, bytes, malformed, told] = [0, 0, 0, 0, 0];
  try {
    options.signal?.throwIfAborted();
    const { size } = await stat(path);
    const isGzip = path.endsWith('.gz');
    const file = createReadStream(path);
    const input: Readable = isGzip ? pipeline(file, createGunzip(), () => undefined) : file;
    let failure: Error | undefined;
    const lines = createInterface({ input, crlfDelay: Infinity });
    input.on('error', (error: Error) => {
      failure ??= error;
      lines.close();
    });
    const abort = () => input.destroy(options.signal!.reason as Error);
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) abort();
    try {
      for await (const line of lines) {
        if (failure) break;
        number += 1;
        if (line === '') continue;
        const entry = parse(line);
        if (entry) {
          entries += 1;
          bytes += entry.bytes;
          add(hours, entry.time.substring(0, 13));
          add(paths, entry.path);
        } else if (++malformed <= 10) firstLines.push(number);
        const share = file.bytesRead / size;
        if (share > told && share < 1) options.onProgress?.((told = share));
      }
    } finally {
      options.signal?.removeEventListener('abort', abort);
      input.destroy();
      file.destroy();
    }
    if (failure) throw failure;
    options.signal?.throwIfAborted();
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    throw new Error(`Cannot digest ${path}`, { cause: error });
  }
  options.onProgress?.(1);
  const sorted = Array.from(paths, ([name, count]) => ({ path: name, count })).sort((a, b) =>
    a.count === b.count ? (a.path < b.path ? -1 : 1) : b.count - a.count,
  );
  return {
    entries,
    bytes,
    perHour: Object.fromEntries(hours),
    topPaths: sorted.slice(0, 10),
    malformed: { count: malformed, firstLines },
  };
}

function parse(line: string): { time: string; path: string; bytes: number } | null {
  try {
    const value = JSON.parse(line);
    const fits =
      typeof value?.path === 'string' &&
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value.time) &&
      Number.isInteger(value.bytes) &&
      value.bytes >= 0;
    return fits ? value : null;
  } catch {
    return null;
  }
}

function add(counts: Map<string, number>, key: string) {
  counts.set(key, 1 + (counts.get(key) ?? 0));
}
