import { open, type FileHandle } from 'node:fs/promises';
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

const blockSize = 32 * 1024;
const newline = 0x0a;
const carriageReturn = 0x0d;
const form = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3])(?::[0-5]\d){2}\.\d{3}Z$/;

type Sink = (bytes: Buffer) => void;

/** Receives the bytes. A plain log goes straight to the line cutter, a gzip goes through a Gunzip. */
interface Inlet {
  /** Resolves as soon as the block may be reused. */
  write(block: Buffer): Promise<void> | void;
  end(): Promise<void> | void;
  destroy(): void;
}

/** Digests a log with one entry per line. */
export async function digestLog(path: string, options: DigestOptions = {}): Promise<Report> {
  const { onProgress, signal } = options;
  const aborted = (): Error => Object.assign(new Error(`Aborted: ${path}`), { name: 'AbortError' });
  if (signal?.aborted) throw aborted();

  const report: Report = {
    entries: 0,
    bytes: 0,
    perHour: {},
    topPaths: [],
    malformed: { count: 0, firstLines: [] },
  };
  const counts = new Map<string, number>();
  const cutter = lineCutter((text, number) => {
    if (!count(text, report, counts)) {
      report.malformed.count++;
      if (report.malformed.firstLines.length < 10) report.malformed.firstLines.push(number);
    }
  });

  let file: FileHandle | undefined;
  let inlet: Inlet | undefined;
  const stop = (): void => inlet?.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    file = await open(path, 'r');
    if (signal?.aborted) throw aborted();
    const { size } = await file.stat();
    const block = Buffer.allocUnsafeSlow(blockSize);
    for (let position = 0; ;) {
      if (signal?.aborted) throw aborted();
      const filled = await fill(file, block, position);
      if (signal?.aborted) throw aborted();
      const bytes = block.subarray(0, filled);
      inlet ??= isGzip(bytes) ? throughGunzip(cutter.write) : { write: cutter.write, end() {}, destroy() {} };
      if (filled > 0) await inlet.write(bytes);
      position += filled;
      if (filled < blockSize) break;
      if (signal?.aborted) throw aborted();
      onProgress?.(Math.min(1, position / size));
    }
    await inlet.end();
    cutter.end();
  } catch (error) {
    if (signal?.aborted) throw aborted();
    throw new Error(`${path} cannot be read to its end: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    inlet?.destroy();
    await file?.close();
  }

  report.topPaths = [...counts]
    .sort(([onePath, one], [otherPath, other]) => {
      if (one !== other) return other - one;
      return onePath < otherPath ? -1 : 1;
    })
    .slice(0, 10)
    .map(([name, times]) => ({ path: name, count: times }));
  onProgress?.(1);
  return report;
}

/** Reads until the block is full or the file ends. */
async function fill(file: FileHandle, block: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < block.length) {
    const { bytesRead } = await file.read(block, filled, block.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

function isGzip(bytes: Buffer): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function throughGunzip(sink: Sink): Inlet {
  const gunzip = createGunzip({ chunkSize: blockSize });
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  gunzip.on('data', sink);
  gunzip.on('end', ended.resolve);
  gunzip.on('error', ended.reject);
  gunzip.on('close', () => ended.reject(new Error('closed before the end')));
  return {
    write: (block) =>
      Promise.race([
        ended.promise,
        new Promise<void>((resolve, reject) => {
          gunzip.write(block, (error) => (error ? reject(error) : resolve()));
        }),
      ]),
    end() {
      gunzip.end();
      return ended.promise;
    },
    destroy: () => void gunzip.destroy(),
  };
}

/** Cuts bytes at newlines and decodes each line when it is complete. */
function lineCutter(each: (text: string, number: number) => void): { write: Sink; end: () => void } {
  let rest = Buffer.allocUnsafeSlow(blockSize);
  let kept = 0;
  let number = 0;

  function keep(bytes: Buffer, from: number, to: number): void {
    const needed = kept + to - from;
    if (needed > rest.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, rest.length * 2));
      rest.copy(larger, 0, 0, kept);
      rest = larger;
    }
    bytes.copy(rest, kept, from, to);
    kept = needed;
  }

  function line(bytes: Buffer, from: number, to: number): void {
    number++;
    const end = to > from && bytes[to - 1] === carriageReturn ? to - 1 : to;
    if (end > from) each(bytes.toString('utf8', from, end), number);
  }

  return {
    write(bytes) {
      let from = 0;
      for (;;) {
        const to = bytes.indexOf(newline, from);
        if (to === -1) break;
        if (kept > 0) {
          keep(bytes, from, to);
          line(rest, 0, kept);
          kept = 0;
        } else line(bytes, from, to);
        from = to + 1;
      }
      if (from < bytes.length) keep(bytes, from, bytes.length);
    },
    end() {
      if (kept > 0) line(rest, 0, kept);
      kept = 0;
    },
  };
}

/** Counts the line if it is an entry, and returns whether it is. */
function count(text: string, report: Report, counts: Map<string, number>): boolean {
  let entry: { time?: unknown; path?: unknown; bytes?: unknown } | null;
  try {
    entry = JSON.parse(text);
  } catch {
    return false;
  }
  const { time, path, bytes } = entry ?? {};
  if (typeof time !== 'string' || !form.test(time)) return false;
  if (typeof path !== 'string' || !Number.isInteger(bytes) || (bytes as number) < 0) return false;
  const hour = time.slice(0, 13);
  report.entries++;
  report.bytes += bytes as number;
  report.perHour[hour] = (report.perHour[hour] ?? 0) + 1;
  counts.set(path, (counts.get(path) ?? 0) + 1);
  return true;
}
