/*
breaks: [3, 4, 8]
why: The log is in memory as bytes, as text and as lines, and is worked off without a pause.
ask: How large may a log be? Who else is served meanwhile?
*/
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';

interface DigestOptions {
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

interface Entry {
  readonly time: string;
  readonly path: string;
  readonly bytes: number;
}

const firstOf = 10;

export async function digestLog(path: string, { onProgress, signal }: DigestOptions = {}) {
  const tally = new Tally();
  try {
    signal?.throwIfAborted();
    const content = await readFile(path);
    const text = (isGzip(content) ? gunzipSync(content) : content).toString();
    const lines = text.split('\n');
    for (const [index, line] of lines.entries()) {
      if (index % 1000 === 0) onProgress?.(index / lines.length);
      if (index < lines.length - 1 || line !== '') tally.add(line);
    }
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new Error(`${path} cannot be digested: ${(cause as Error).message}`, { cause });
  }
  onProgress?.(1);
  return tally.report();
}

class Tally {
  #line = 0;
  #entries = 0;
  #bytes = 0;
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

  report() {
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

function isGzip(content: Buffer): boolean {
  return content.length > 1 && content.readUInt16BE() === 0x1f8b;
}
