import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type Readable, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

interface Options {
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

/** Cuts lines with readline. It does not report errors of its input, so this code listens to the input itself. */
export async function digestLog(path: string, options: Options = {}) {
  const hours = new Map<string, number>();
  const paths = new Map<string, number>();
  const firstLines: number[] = [];
  let [number, entries, bytes, malformed, told] = [0, 0, 0, 0, 0];
  try {
    if (options.signal?.aborted) throw abortError();
    const { size } = await stat(path);
    const isGzip = await startsLikeGzip(path);
    const file = createReadStream(path);
    const input: Readable = isGzip ? pipeline(file, createGunzip(), () => undefined) : file;
    let failure: Error | undefined;
    const lines = createInterface({ input, crlfDelay: Infinity });
    input.on('error', (error: Error) => {
      failure ??= error;
      lines.close();
    });
    const abort = () => input.destroy(abortError());
    options.signal?.addEventListener('abort', abort, { once: true });
    // The signal may have been aborted while the file was being checked. Its event does not come again.
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
    if (options.signal?.aborted) throw abortError();
  } catch (error) {
    if (options.signal?.aborted) throw abortError();
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

async function startsLikeGzip(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(2) });
    return bytesRead === 2 && buffer[0] === 31 && buffer[1] === 139;
  } finally {
    await file.close();
  }
}

function parse(line: string): { time: string; path: string; bytes: number } | null {
  try {
    const value = JSON.parse(line);
    const fits =
      typeof value?.path === 'string' &&
      typeof value.time === 'string' &&
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

function abortError(): Error {
  return new DOMException('The digest was aborted.', 'AbortError');
}
