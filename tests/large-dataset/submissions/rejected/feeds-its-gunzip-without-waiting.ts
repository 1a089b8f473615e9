/*
breaks: [3]
why: The code ignores what gunzip.write() returns. When decompression is slower than the disk, the compressed data piles up in memory.
ask: What does write() return, and when may you write again?
*/
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';

export interface Report {
  entries: number;
  bytes: number;
  perHour: Record<string, number>;
  topPaths: { path: string; count: number }[];
  malformed: { count: number; firstLines: number[] };
}

export interface DigestOptions {
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

class Digest {
  entries = 0;
  bytes = 0;
  perHour: Record<string, number> = {};
  paths = new Map<string, number>();
  malformed = { count: 0, firstLines: [] as number[] };
  line = 0;
  rest: Buffer[] = [];

  push(chunk: Buffer): void {
    let from = 0;
    for (let to = chunk.indexOf(10); to !== -1; to = chunk.indexOf(10, from)) {
      const part = chunk.subarray(from, to);
      this.take(this.rest.length > 0 ? Buffer.concat([...this.rest, part]) : part);
      this.rest = [];
      from = to + 1;
    }
    if (from < chunk.length) this.rest.push(chunk.subarray(from));
  }

  end(): void {
    if (this.rest.length > 0) this.take(Buffer.concat(this.rest));
    this.rest = [];
  }

  take(line: Buffer): void {
    this.line += 1;
    if (line.length === 0 || (line.length === 1 && line[0] === 13)) return;
    try {
      const { time, path, bytes } = JSON.parse(line.toString('utf8'));
      // toISOString throws for an invalid time.
      if (typeof time !== 'string' || time.length !== 24 || new Date(time).toISOString() !== time)
        throw new TypeError('time');
      if (typeof path !== 'string') throw new TypeError('path');
      if (!Number.isSafeInteger(bytes) || bytes < 0) throw new TypeError('bytes');
      const hour = time.slice(0, time.indexOf(':'));
      this.entries += 1;
      this.bytes += bytes;
      this.perHour[hour] = (this.perHour[hour] ?? 0) + 1;
      this.paths.set(path, (this.paths.get(path) ?? 0) + 1);
    } catch {
      this.malformed.count += 1;
      if (this.malformed.firstLines.length < 10) this.malformed.firstLines.push(this.line);
    }
  }

  report(): Report {
    const { entries, bytes, perHour, malformed } = this;
    const topPaths = Array.from(this.paths, ([path, count]) => ({ path, count }))
      .sort((a, b) => b.count - a.count || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
      .slice(0, 10);
    return { entries, bytes, perHour, topPaths, malformed };
  }
}

async function sniff(path: string): Promise<{ size: number; gzip: boolean }> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return { size, gzip: bytesRead === 2 && buffer.readUInt16BE(0) === 0x1f8b };
  } finally {
    await handle.close();
  }
}

function run(path: string, size: number, gzip: boolean, { onProgress, signal }: DigestOptions): Promise<Report> {
  return new Promise((resolve, reject) => {
    const digest = new Digest();
    const file = createReadStream(path);
    const gunzip = gzip ? createGunzip() : undefined;

    const stop = (error: unknown) => {
      signal?.removeEventListener('abort', onAbort);
      file.destroy();
      gunzip?.destroy();
      reject(error);
    };
    const onAbort = () => stop(abortError());
    signal?.addEventListener('abort', onAbort, { once: true });

    let read = 0;
    file.on('data', (chunk) => {
      read += chunk.length;
      if (gunzip) gunzip.write(chunk);
      else digest.push(chunk as Buffer);
      // The final progress is reported at the end.
      if (read < size) onProgress?.(read / size);
    });
    file.on('error', stop);
    if (gunzip) {
      file.on('end', () => gunzip.end());
      gunzip.on('data', (chunk: Buffer) => digest.push(chunk));
      gunzip.on('error', stop);
    }
    (gunzip ?? file).on('end', () => {
      signal?.removeEventListener('abort', onAbort);
      digest.end();
      onProgress?.(1);
      resolve(digest.report());
    });
  });
}

export async function digestLog(path: string, options: DigestOptions = {}): Promise<Report> {
  const { signal } = options;
  try {
    if (signal?.aborted) throw abortError();
    const { size, gzip } = await sniff(path);
    if (signal?.aborted) throw abortError();
    return await run(path, size, gzip, options);
  } catch (error) {
    if (signal?.aborted) throw abortError();
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function abortError(): Error {
  return new DOMException('The digest was aborted.', 'AbortError');
}
