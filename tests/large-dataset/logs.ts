import { open } from 'node:fs/promises';
import { constants, crc32, deflateRawSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { Report } from '../../katas/large-dataset/large-dataset.ts';

/** An entry as it is counted. */
interface Entry {
  readonly time: string;
  readonly path: string;
  readonly bytes: number;
}

/** One line of a log, without its end. */
export interface Line {
  readonly text: string;
  /** What it says, or that it says nothing, or nothing that can be understood. */
  readonly is: Entry | 'empty' | 'malformed';
}

/** An entry that follows the seed, so that no fixed case is made of constants. */
export const seeded: Entry = drawOne(
  fc.record({
    time: fc
      .tuple(fc.integer({ min: 10, max: 28 }), fc.integer({ min: 10, max: 23 }), fc.integer({ min: 100, max: 999 }))
      .map(([day, hour, ms]) => `2026-11-${day}T${hour}:14:15.${ms}Z`),
    path: fc.stringMatching(/^\/[a-z]{6}$/),
    bytes: fc.integer({ min: 100, max: 100_000 }),
  }),
);

/** The same texts in an order that follows the seed. */
export function shuffled(texts: string[]): string[] {
  return drawOne(fc.shuffledSubarray(texts, { minLength: texts.length }));
}

/** The line of an entry, with whatever else it carries. */
export function lineOf(entry: Entry, more: object = {}): Line {
  return { text: JSON.stringify({ ...more, ...entry }), is: entry };
}

/** What a right module makes of these lines. */
export function reportOf(lines: readonly Line[]): Report {
  const entries = lines.map(({ is }) => is).filter((is): is is Entry => typeof is === 'object');
  const malformed = lines.flatMap(({ is }, index) => (is === 'malformed' ? [index + 1] : []));
  const counted = (keys: string[]) => {
    const counts = new Map<string, number>();
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
    return [...counts];
  };
  const paths = counted(entries.map(({ path }) => path)).map(([path, count]) => ({ path, count }));
  return {
    entries: entries.length,
    bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
    perHour: Object.fromEntries(counted(entries.map(({ time }) => time.slice(0, 13)))),
    topPaths: paths.sort((one, other) => other.count - one.count || (one.path < other.path ? -1 : 1)).slice(0, 10),
    malformed: { count: malformed.length, firstLines: malformed.slice(0, 10) },
  };
}

/** A log, as it lies on the disk. */
export interface Log {
  readonly lines: readonly Line[];
  readonly content: Buffer;
}

/** The lines, with these ends in turn. */
export function logOf(lines: readonly Line[], ends: readonly string[] = ['\n'], isLastEnded = true): Log {
  const parts = lines.map(
    ({ text }, index) => text + (isLastEnded || index < lines.length - 1 ? ends[index % ends.length]! : ''),
  );
  return { lines, content: Buffer.from(parts.join('')) };
}

const hours = ['2026-11-21T23', '2026-11-22T00', '2026-11-22T03', '1999-12-31T23'];
const anyEntry = fc
  .record({
    hour: fc.constantFrom(...hours),
    path: fc.oneof(fc.constantFrom('/', '/orders', '/straße', '/日本', '/🦊'), fc.stringMatching(/^\/[a-z"\\]{1,9}$/)),
    bytes: fc.oneof(fc.nat(10), fc.nat(10_000_000), fc.constant(2 ** 40)),
    agent: fc.string({ unit: 'grapheme', maxLength: 30 }).map((agent) => agent.replace(/[\r\u2028\u2029]/g, '')),
  })
  .map(({ hour, path, bytes, agent }) => lineOf({ time: `${hour}:14:15.926Z`, path, bytes }, { agent }));

/** Lines that are no entries, each for a reason of its own. */
const malformedTexts = [
  ...cutAndGlued(JSON.stringify({ ...seeded, agent: 'curl/8.5.0' })),
  ...cutAndGlued(JSON.stringify({ agent: 'curl/8.5.0', ...seeded })),
  'no json',
  JSON.stringify(seeded).slice(0, -1),
  `${JSON.stringify(seeded)}${JSON.stringify(seeded)}`,
  'null',
  '42',
  'true',
  '"text"',
  '[]',
  '{}',
  JSON.stringify([seeded]),
  ...[
    { path: undefined },
    { path: 17 },
    { path: null },
    { path: [seeded.path] },
    { path: { toString: seeded.path } },
    { bytes: undefined },
    { bytes: '17' },
    { bytes: -1 },
    { bytes: 1.5 },
    { bytes: null },
    { bytes: true },
    { bytes: [seeded.bytes] },
    { time: undefined },
    { time: 1_763_781_255_926 },
    { time: null },
    { time: [seeded.time] },
    { time: 'yesterday' },
    { time: '2026-11-22 03:14:15' },
    { time: '2026-11-22T03:14:15Z' },
    { time: '2026-11-22T03:14:15.926534Z' },
    { time: '2026-11-22T03:14:15.926' },
    { time: '2026-11-22T03:14:15.926+00:00' },
    { time: 'at 2026-11-22T03:14:15.926Z' },
    { time: '2026-11-22T03:14:15.926Z or so' },
    { time: '+012026-11-22T03:14:15.926Z' },
    { time: '-000001-11-22T03:14:15.926Z' },
    { time: '' },
  ].map((wrong) => JSON.stringify({ ...seeded, ...wrong })),
];
export const malformedLines: readonly Line[] = malformedTexts.map((text) => ({ text, is: 'malformed' }));
export const emptyLine: Line = { text: '', is: 'empty' };

const anyEnds = fc.constantFrom(['\n'], ['\r\n'], ['\n', '\r\n', '\r\n']);

/** An entry that was cut within each of its fields, and right after it a whole one, without a newline between them. */
function cutAndGlued(text: string): string[] {
  const fields = ['"agent', '"agent":"curl', '"time":"2026', '"path":"/', '"bytes":1'];
  return fields.map((field) => text.slice(0, text.indexOf(field.replace(/\d$/, '')) + field.length) + text);
}

/** Logs of entries alone, drawn at random. */
export const goodLogs: fc.Arbitrary<Log> = fc
  .tuple(fc.array(anyEntry, { maxLength: 40 }), anyEnds, fc.boolean())
  .map(([lines, ends, isLastEnded]) => logOf(lines, ends, isLastEnded));

/** Logs with some of everything, drawn at random. */
export const anyLogs: fc.Arbitrary<Log> = fc
  .tuple(
    fc.array(
      fc.oneof(
        { arbitrary: anyEntry, weight: 3 },
        { arbitrary: fc.constantFrom(...malformedLines), weight: 2 },
        { arbitrary: fc.constant(emptyLine), weight: 1 },
      ),
      { maxLength: 60 },
    ),
    anyEnds,
    fc.boolean(),
  )
  // An end that is left out leaves no last line, where that is empty.
  .map(([lines, ends, isLastEnded]) => logOf(lines, ends, isLastEnded || lines.at(-1)?.is === 'empty'));

/** 0 once, 1 twice, 2 three times, and so on: no two come equally often. */
export function triangular(index: number): number {
  return Math.floor((Math.sqrt(8 * index + 1) - 1) / 2);
}

/** A megabyte of long lines, of which a large log is made again and again. */
const block = logOf(
  Array.from({ length: 256 }, (_, index) => {
    const time = `2026-11-22T${String(index % 24).padStart(2, '0')}:14:15.926Z`;
    const path = `${seeded.path}/${triangular(index)}`;
    return lineOf({ time, path, bytes: seeded.bytes + index }, { agent: 'Mozilla/5.0 '.repeat(335) });
  }),
);

/** What a log of so many blocks says. */
export function largeReport(blocks: number): Report {
  const { entries, bytes, perHour, topPaths, malformed } = reportOf(block.lines);
  return {
    entries: entries * blocks,
    bytes: bytes * blocks,
    perHour: Object.fromEntries(Object.entries(perHour).map(([hour, count]) => [hour, count * blocks])),
    topPaths: topPaths.map(({ path, count }) => ({ path, count: count * blocks })),
    malformed,
  };
}

/** The bytes of a large log of so many blocks. */
export function largeBytes(blocks: number): number {
  return blocks * block.content.length;
}

/** A small gzip of a large log of equal lines: it is read at once, and unpacked for long. */
export function packedLog(bytes: number): Buffer {
  const line = logOf([lineOf(seeded, { agent: ' '.repeat(4000) })]).content;
  return gzipSync(Buffer.alloc(bytes - (bytes % line.length), line));
}

/** Some of a large log, as text. */
export function largeText(blocks: number): string {
  return Buffer.concat(Array.from({ length: blocks }, () => block.content)).toString();
}

export async function writeLarge(path: string, blocks: number): Promise<void> {
  await using file = await open(path, 'w');
  for (let index = 0; index < blocks; index++) await file.appendFile(block.content);
}

/**
 * The same as a gzip of one member. The first third packs well, and the rest of it not at all: the one grows when it is
 * unpacked, the other is large before. The block is compressed once each way: what ends with a full flush may be repeated,
 * and only the checksum has to go through all of it.
 */
export async function writeLargeGzip(path: string, blocks: number): Promise<void> {
  const { content } = block;
  const [packed, stored] = [constants.Z_DEFAULT_COMPRESSION, constants.Z_NO_COMPRESSION].map((level) =>
    deflateRawSync(content, { level, finishFlush: constants.Z_FULL_FLUSH }),
  );
  const packedBlocks = Math.floor(blocks / 3);
  let checksum = 0;
  for (let index = 0; index < blocks; index++) checksum = crc32(content, checksum);
  const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  const end = Buffer.alloc(10);
  end.writeUInt16BE(0x0300);
  end.writeUInt32LE(checksum, 2);
  end.writeUInt32LE((content.length * blocks) % 2 ** 32, 6);
  await using file = await open(path, 'w');
  await file.appendFile(head);
  for (let index = 0; index < blocks; index++) await file.appendFile((index < packedBlocks ? packed : stored)!);
  await file.appendFile(end);
}
