/*
breaks: [7]
why: pipe() does not forward errors. When the gunzip fails, nobody destroys the file stream, and the file stays open.
ask: The gzip turns out to be damaged. Who closes the file?
*/
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';

/** The report on one log. */
export interface Report {
  /** The number of entries. */
  entries: number;
  /** The sum of their `bytes`. */
  bytes: number;
  /** The number of entries in each hour, such as `{ '2026-11-22T03': 17 }`. */
  perHour: Record<string, number>;
  /** The ten most frequent paths, and how often each occurs. */
  topPaths: { path: string; count: number }[];
  /** How many lines are malformed, and the numbers of the first ten of them. */
  malformed: { count: number; firstLines: number[] };
}

export interface DigestOptions {
  /** Is called with the share of the log that has been read, from 0 to 1. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

/** Digests a log with one entry per line. */
export async function digestLog(path: string, { onProgress, signal }: DigestOptions = {}): Promise<Report> {
  const tally = new Tally();
  try {
    signal?.throwIfAborted();
    const { gzip, size } = await look(path);
    signal?.throwIfAborted();

    const source = createReadStream(path, { signal });
    let text: AsyncIterable<Buffer> = source;
    if (gzip) {
      const gunzip = createGunzip();
      source.on('error', (error) => gunzip.destroy(error)); // pipe() does not forward errors
      text = source.pipe(gunzip);
    }
    const lines = new Lines((line) => tally.add(line));
    for await (const chunk of text) {
      lines.write(chunk);
      onProgress?.(Math.min(1, source.bytesRead / size));
    }
    lines.end();
  } catch (error) {
    if (signal?.aborted) throw abortError(signal);
    throw new Error(`Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  onProgress?.(1);
  return tally.report();
}

async function look(path: string): Promise<{ gzip: boolean; size: number }> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return { gzip: bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b, size: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

/** Cuts text into lines, no matter where the chunks end. */
class Lines {
  #decoder = new StringDecoder('utf8');
  #begun: string[] = [];

  constructor(each: (line: string) => void) {
    this.#each = each;
  }

  #each: (line: string) => void;

  write(chunk: Buffer): void {
    const text = this.#decoder.write(chunk);
    let from = 0;
    for (let to = text.indexOf('\n'); to !== -1; to = text.indexOf('\n', from)) {
      this.#begun.push(text.slice(from, to));
      this.#each(this.#begun.length === 1 ? this.#begun[0]! : this.#begun.join(''));
      this.#begun = [];
      from = to + 1;
    }
    if (from < text.length) this.#begun.push(text.slice(from));
  }

  end(): void {
    const last = this.#begun.join('') + this.#decoder.end();
    if (last !== '') this.#each(last);
  }
}

const timeForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Counts lines. */
class Tally {
  #line = 0;
  #entries = 0;
  #bytes = 0;
  #hours = new Map<string, number>();
  #paths = new Map<string, number>();
  #malformed = 0;
  #firstLines: number[] = [];

  add(line: string): void {
    this.#line++;
    if (line === '' || line === '\r') return;
    const entry = parse(line);
    if (entry === undefined) {
      this.#malformed++;
      if (this.#firstLines.length < 10) this.#firstLines.push(this.#line);
      return;
    }
    this.#entries++;
    this.#bytes += entry.bytes;
    const hour = entry.time.slice(0, 13);
    this.#hours.set(hour, (this.#hours.get(hour) ?? 0) + 1);
    this.#paths.set(entry.path, (this.#paths.get(entry.path) ?? 0) + 1);
  }

  report(): Report {
    const topPaths = Array.from(this.#paths, ([path, count]) => ({ path, count }))
      .sort((one, other) => other.count - one.count || (one.path < other.path ? -1 : 1))
      .slice(0, 10);
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      perHour: Object.fromEntries(this.#hours),
      topPaths,
      malformed: { count: this.#malformed, firstLines: this.#firstLines },
    };
  }
}

function parse(line: string): { time: string; path: string; bytes: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { time, path, bytes } = value as Record<string, unknown>;
  if (typeof time !== 'string' || !timeForm.test(time)) return undefined;
  if (typeof path !== 'string') return undefined;
  if (typeof bytes !== 'number' || !Number.isInteger(bytes) || bytes < 0) return undefined;
  return { time, path, bytes };
}

function abortError(signal: AbortSignal): Error {
  const { reason } = signal;
  if (reason instanceof Error && reason.name === 'AbortError') return reason;
  const error = new Error('The digest was aborted', { cause: reason });
  error.name = 'AbortError';
  return error;
}
