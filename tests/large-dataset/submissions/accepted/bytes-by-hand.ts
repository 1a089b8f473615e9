import * as fs from 'node:fs';
import * as zlib from 'node:zlib';

type Options = { onProgress?: (share: number) => void; signal?: AbortSignal };
type Entry = { time: string; path: string; bytes: number };

/** Reads 128 KB at a time from one handle and cuts lines before decoding them. Feeds the gunzip by hand. */
export async function digestLog(path: string, { onProgress = () => undefined, signal }: Options = {}) {
  const counts = { entries: 0, bytes: 0, malformed: 0, line: 0 };
  const firstLines: number[] = [];
  const hours: Record<string, number> = Object.create(null);
  const paths: Record<string, number> = Object.create(null);
  let rest: Buffer = Buffer.alloc(0);

  const takeLine = (line: Buffer) => {
    counts.line++;
    const text = line.at(-1) === 13 ? line.toString('utf8', 0, line.length - 1) : line.toString('utf8');
    if (text.length === 0) return;
    const entry = entryOf(text);
    if (entry === undefined) {
      counts.malformed++;
      if (firstLines.length < 10) firstLines.push(counts.line);
    } else {
      counts.entries++;
      counts.bytes += entry.bytes;
      const hour = entry.time.slice(0, 13);
      hours[hour] = (hours[hour] ?? 0) + 1;
      // The prefix keeps a path from being a numeric key. Objects list those first.
      paths[`p${entry.path}`] = (paths[`p${entry.path}`] ?? 0) + 1;
    }
  };
  const takeBytes = (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      takeLine(rest.length > 0 ? Buffer.concat([rest, chunk.subarray(from, at)]) : chunk.subarray(from, at));
      rest = Buffer.alloc(0);
      from = at + 1;
    }
    rest = Buffer.concat([rest, chunk.subarray(from)]);
  };

  if (signal?.aborted) throw abortError();
  let file: fs.promises.FileHandle | undefined;
  try {
    file = await fs.promises.open(path, 'r');
    const { size } = await file.stat();
    let gunzip: Gunzip | undefined;
    for (let done = 0; ;) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(128 * 1024), 0, 128 * 1024, done);
      if (signal?.aborted) throw abortError();
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      if (done === 0 && chunk[0] === 0x1f && chunk[1] === 0x8b) gunzip = new Gunzip(takeBytes);
      if (gunzip) await gunzip.write(chunk);
      else takeBytes(chunk);
      done += bytesRead;
      onProgress(Math.min(done, size) / size);
    }
    await gunzip?.end();
    if (rest.length > 0) takeLine(rest);
  } catch (error) {
    if (signal?.aborted) throw abortError();
    throw new Error(`${path}: ${(error as Error).message}`);
  } finally {
    await file?.close();
  }

  onProgress(1);
  const topPaths = Object.keys(paths)
    .map((name) => ({ path: name.slice(1), count: paths[name]! }))
    .sort((a, b) => b.count - a.count || Number(a.path > b.path) - Number(a.path < b.path));
  return {
    entries: counts.entries,
    bytes: counts.bytes,
    perHour: { ...hours },
    topPaths: topPaths.slice(0, 10),
    malformed: { count: counts.malformed, firstLines },
  };
}

class Gunzip {
  readonly #stream = zlib.createGunzip();
  readonly #failed: Promise<never>;
  readonly #ended: Promise<void>;

  constructor(onBytes: (chunk: Buffer) => void) {
    this.#failed = new Promise((_, reject) => this.#stream.once('error', reject));
    this.#failed.catch(() => undefined);
    this.#ended = new Promise((resolve) => this.#stream.once('end', resolve));
    this.#stream.on('data', onBytes);
  }

  async write(chunk: Buffer): Promise<void> {
    // The callback runs when the chunk has been processed, so at most one chunk is waiting.
    await Promise.race([new Promise<void>((resolve) => this.#stream.write(chunk, () => resolve())), this.#failed]);
    if (this.#stream.errored) throw this.#stream.errored;
  }

  async end(): Promise<void> {
    this.#stream.end();
    await Promise.race([this.#ended, this.#failed]);
  }
}

function entryOf(text: string): Entry | undefined {
  try {
    const { time, path, bytes } = JSON.parse(text) as Record<string, unknown>;
    if (typeof time !== 'string' || Number.isNaN(Date.parse(time)) || time.length !== 24) return undefined;
    if (typeof path !== 'string' || typeof bytes !== 'number') return undefined;
    return bytes >= 0 && bytes % 1 === 0 ? { time, path, bytes } : undefined;
  } catch {
    return undefined;
  }
}

function abortError(): Error {
  return new DOMException('The digest was aborted.', 'AbortError');
}
