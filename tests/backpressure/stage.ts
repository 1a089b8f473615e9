import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { expect } from 'vitest';
import { breakDescriptors, mendDescriptors } from '../../helpers/instruments/disk/broken-disk.ts';
import { noBytesRead } from '../../helpers/instruments/gauges/gauges.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type { Answer } from '../../helpers/instruments/readers/ask.ts';
import type { Ending, Reader } from '../../helpers/instruments/readers/reader.ts';
import { SparseFile } from '../../helpers/instruments/sparse-file/sparse-file.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';
import { inWords } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/backpressure/backpressure.ts';
import { FileService, readLimit } from './file-service.ts';

export const megabyte = 1024 * 1024;
/** Sizes follow the seed. They are odd, so that no size of chunk divides them. */
const sizes = drawOne(
  fc.record({
    small: fc.integer({ min: 150_000, max: 200_000 }).map((half) => 2 * half + 1),
    extra: fc.integer({ min: 0, max: 100_000 }).map((half) => 2 * half + 1),
  }),
);
export const smallBytes = sizes.small;

/** The judge's `test` with its files and servers. */
export const test = judge<typeof Kata>('backpressure', { spares: 1 })
  /** 256 MB and some bytes. */
  .extend('large', { scope: 'file' }, async ({ workspace }) => {
    return await SparseFile.create(join(workspace, 'large.bin'), 256 * megabyte + sizes.extra, chosenSeed());
  })
  /** 40 MB and some bytes: more than a server may read for a reader that pauses. */
  .extend('medium', { scope: 'file' }, async ({ workspace }) => {
    return await SparseFile.create(join(workspace, 'medium.bin'), 40 * megabyte + sizes.extra, chosenSeed());
  })
  /** A folder, whose first read fails. */
  .extend('folder', { scope: 'file' }, async ({ workspace }) => {
    const folder = join(workspace, 'folder');
    await mkdir(folder);
    return folder;
  })
  /** Starts a server for a file, in the process that serves from promise to promise. */
  .extend('serve', ({ subject, workspace }, { onCleanup }) => {
    const services = new AsyncDisposableStack();
    onCleanup(() => services[Symbol.asyncDispose]());
    return async (file: string) => services.use(await FileService.start(subject, file, workspace));
  });

/** Writes a small file whose bytes follow the seed and its size. */
export async function writeSmall(path: string, bytes: number): Promise<Buffer> {
  const content =
    bytes === 0
      ? Buffer.alloc(0)
      : createHash('shake256', { outputLength: bytes }).update(`${chosenSeed()} ${bytes}`).digest();
  await writeFile(path, content);
  return content;
}

/** Writes other bytes of another number into the file, and gives it a later time of change. */
export async function changeFile(path: string, bytes: number): Promise<Buffer> {
  const content = await writeSmall(path, bytes);
  const later = new Date(Date.now() + 10_000);
  await utimes(path, later, later);
  return content;
}

/** Puts another file in its place, as who writes a new one aside and renames it. */
export async function replaceFile(path: string, bytes: number): Promise<Buffer> {
  const aside = `${path}.new`;
  const content = await changeFile(aside, bytes);
  await rename(aside, path);
  return content;
}

/** The same with other bytes of the same number, which are an hour old, as who puts an older file back. */
export async function putOlderFile(path: string): Promise<Buffer> {
  const aside = `${path}.old`;
  const content = (await readFile(path)).reverse();
  await writeFile(aside, content);
  const before = new Date(Date.now() - 3_600_000);
  await utimes(aside, before, before);
  await rename(aside, path);
  return content;
}

/** Writes other bytes of the same number into the file; its time of change stays in the same second. */
export async function changeWithinTheSecond(path: string): Promise<Buffer> {
  const { mtimeMs } = await stat(path);
  const content = (await readFile(path)).reverse();
  await writeFile(path, content);
  const changed = new Date(mtimeMs % 1000 < 500 ? mtimeMs + 400 : mtimeMs - 400);
  await utimes(path, changed, changed);
  return content;
}

export interface Summary {
  readonly bytes: number;
  readonly sha256: string;
}

export function summaryOf(content: Buffer): Summary {
  return { bytes: content.length, sha256: sha256(content) };
}

export async function summaryOfFile(file: SparseFile): Promise<Summary> {
  return { bytes: file.bytes, sha256: await file.sha256() };
}

export function expectSummary({ status, body }: Answer, summary: Summary, what: string): void {
  expect({ status, summary: parse(body) }, `${what}; its summary`).toEqual({
    status: 200,
    summary: expect.objectContaining(summary),
  });
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return `no JSON: ${body.toString().slice(0, 80)}`;
  }
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** CPU time of this thread for hashing so many bytes in one go, estimated from a quarter of them. */
export function hashingMs(bytes: number): number {
  const content = Buffer.alloc(bytes / 4);
  const before = process.threadCpuUsage();
  sha256(content);
  const { user, system } = process.threadCpuUsage(before);
  return (4 * (user + system)) / 1000;
}

/** What is wrong with a body that was read at once; `the file` when nothing is. */
export function difference(body: Buffer, content: Buffer): string {
  if (body.equals(content)) return 'the file';
  if (body.length !== content.length) return `${body.length} bytes instead of ${content.length}`;
  return `other bytes, from byte ${body.findIndex((byte, index) => byte !== content[index])} on`;
}

/** How a response has ended, in words; `the file` when all of the file has come. */
export function ending({ how, bytes, differsAt }: Ending, size: number): string {
  if (differsAt !== undefined) return `other bytes, from byte ${differsAt} on`;
  if (how === 'waiting') return `${inWords(bytes)} of ${inWords(size)}, and then nothing more`;
  if (how === 'broken') return `broken off after ${inWords(bytes)} of ${inWords(size)}`;
  return bytes === size ? 'the file' : `${bytes} bytes instead of ${size}`;
}

/** Makes reads fail that a server does for one reader, whichever way it reads. */
export interface ReadError {
  /** Whether a second reader reads from descriptors of its own, so that it must not notice. */
  readonly sparesOthers: boolean;
  /** Lets later reads succeed again. */
  mend(): Promise<void>;
}

/**
 * Makes every further read for the reader fail, and says whether the other reader is spared. A server may open the file for each
 * reader, share one handle among those present, keep one for all, or open the file for each read: then the file goes away.
 * @param kept what the server keeps open while nobody reads
 * @param own what it has opened for the reader beyond that
 * @param others what it has opened for the other reader beyond that
 */
export async function failReads(
  { subject, file }: FileService,
  { kept, own, others }: Record<'kept' | 'own' | 'others', readonly number[]>,
  folder: string,
): Promise<ReadError> {
  if (own.length > 0) {
    const sparesOthers = others.length > 0;
    await breakDescriptors(subject, own, file, folder);
    // Those who share a handle are broken together; a server may keep it for later.
    return { sparesOthers, mend: async () => await mendDescriptors(subject, sparesOthers ? [] : own, file, folder) };
  }
  await breakDescriptors(subject, kept, file, folder);
  await rename(file, `${file}.away`);
  return {
    sparesOthers: false,
    async mend() {
      await rename(`${file}.away`, file);
      await mendDescriptors(subject, kept, file, folder);
    },
  };
}

const samplingMs = 10;

/** Draws the bytes read over time by the server and by its reader, until it is disposed. Nothing is judged by it. */
export function chartOfReading(taken: () => Promise<number>, reader: Reader): Disposable {
  const byServer: [number, number][] = [];
  const byReader: [number, number][] = [];
  chart({
    title: 'Bytes over time, while the reader pauses and after it has gone on',
    unit: 'MB',
    xLabel: 'ms since the reader came',
    series: [
      { name: 'read by the server', points: byServer },
      { name: 'taken by the reader', points: byReader },
    ],
    limit: { label: 'limit while the reader pauses', y: readLimit / megabyte },
  });
  const begin = performance.now();
  let isDone = false;
  const draw = async () => {
    while (!isDone) {
      const bytes = await taken();
      const at = Math.round(performance.now() - begin);
      byServer.push([at, bytes / megabyte]);
      byReader.push([at, reader.bytes / megabyte]);
      await pause(samplingMs);
    }
  };
  // Elsewhere a look is a collection of garbage in the server.
  if (noBytesRead === undefined) void draw().catch(() => undefined);
  return { [Symbol.dispose]: () => void (isDone = true) };
}
