import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { type CollectLimits, type Found, levelsOf, missing, pathOf, tooLarge } from './collect.ts';
import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';

const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const regular = new Set(['File', 'OldFile', 'ContiguousFile']);
/** What is told of entries that climb out; a hostile archive has thousands. */
const climbersShown = 3;

/**
 * Takes each kata's file from a .tar.gz or .tar, entry by entry; nothing is unpacked. The archive may have one leading
 * folder, as GitHub's have. Reading ends at a limit; what was found until then is kept.
 * @throws UserError when it is no archive
 */
export async function collectFromArchive(
  file: string,
  slugs: readonly string[],
  limits: CollectLimits,
): Promise<{ found: Map<string, Found>; notes: string[] }> {
  const picker = new Picker(slugs, limits);
  let stopped: string | undefined;
  try {
    await readEntries(file, limits, (entry) => picker.take(entry));
  } catch (error) {
    if (picker.entries === 0 && !(error instanceof LimitReached))
      throw new UserError(
        `${harmlessLine(file)} is no .tar.gz or .tar that can be read: ${harmlessLine((error as Error).message)}.`,
      );
    stopped =
      error instanceof LimitReached ? error.message : `it is damaged: ${harmlessLine((error as Error).message)}`;
  }
  if (picker.entries === 0 && stopped === undefined)
    throw new UserError(`${harmlessLine(file)} is no .tar.gz or .tar: no entry was found in it.`);
  const end = stopped && `The archive was read only in part: ${stopped}.`;
  return { found: picker.found(), notes: [...picker.notes(), ...(end ? [end] : [])] };
}

class LimitReached extends Error {}

async function readEntries(
  file: string,
  limits: CollectLimits,
  onReadEntry: (entry: ReadEntry) => void,
): Promise<void> {
  let entries = 0;
  let fault: Error | undefined;
  const parser = new Parser({
    strict: false,
    onReadEntry(entry) {
      if (++entries > limits.entries) fault ??= new LimitReached(`it has more than ${limits.entries} entries`);
      if (fault) entry.resume();
      else onReadEntry(entry);
    },
  });
  // Devices and the like, which the parser passes over by itself.
  parser.on('ignoredEntry', onReadEntry);
  parser.on('error', (error: Error) => (fault ??= error));
  const late = AbortSignal.timeout(limits.timeMs);
  const isGzip = (await firstBytes(file)).subarray(0, 2).equals(gzipMagic);
  const packed = createReadStream(file);
  let bytes = 0;
  try {
    const feed = async (unpacked: AsyncIterable<Buffer>) => {
      for await (const chunk of unpacked) {
        // The parser would unpack once more by itself, past every limit.
        if (bytes === 0 && (chunk.subarray(0, 2).equals(gzipMagic) || chunk.subarray(0, 4).equals(zstdMagic)))
          throw new Error('it is packed twice');
        bytes += chunk.length;
        if (bytes > limits.sourceBytes)
          throw new LimitReached(`unpacked it is longer than ${limits.sourceBytes / 1024 / 1024} MiB`);
        if (late.aborted) throw new LimitReached(`reading it took longer than ${limits.timeMs / 1000} s`);
        parser.write(chunk);
        if (fault) throw fault;
      }
    };
    await (isGzip ? pipeline(packed, createGunzip(), feed) : pipeline(packed, feed));
  } finally {
    parser.end();
  }
  if (fault) throw fault;
}

async function firstBytes(file: string): Promise<Buffer> {
  for await (const chunk of createReadStream(file, { end: 3 })) return chunk as Buffer;
  return Buffer.alloc(0);
}

/** Picks the wanted files out of the entries as they come, and notes what is odd. */
class Picker {
  entries = 0;
  readonly #limits: CollectLimits;
  readonly #wanted: Map<string, string>;
  readonly #parents: Set<string>;
  readonly #found = new Map<string, Found | { readonly chunks: Buffer[] }>();
  readonly #faultByParent = new Map<string, string>();
  readonly #otherCase = new Map<string, string>();
  readonly #climbers: string[] = [];
  #climbs = 0;

  constructor(slugs: readonly string[], limits: CollectLimits) {
    this.#limits = limits;
    this.#wanted = new Map(slugs.map((slug) => [pathOf(slug), slug]));
    this.#parents = new Set(slugs.flatMap((slug) => ['katas', levelsOf(slug).slice(0, 2).join('/')]));
  }

  take(entry: ReadEntry): void {
    this.entries++;
    const path = entry.path.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    if (path.startsWith('/') || /^[A-Za-z]:|\\/.test(path) || path.split('/').includes('..')) {
      this.#climbs++;
      if (this.#climbers.length < climbersShown) this.#climbers.push(harmlessLine(entry.path, 80));
      entry.resume();
      return;
    }
    const inside = [path, path.slice(path.indexOf('/') + 1)];
    const slug = inside.map((name) => this.#wanted.get(name)).find((name) => name !== undefined);
    if (slug !== undefined) return this.#takeFile(slug, entry);
    const parent = inside.find((name) => this.#parents.has(name));
    if (parent !== undefined && entry.type !== 'Directory')
      this.#faultByParent.set(parent, `${parent} is ${kindOf(entry)} in the archive, so nothing below it is taken.`);
    for (const wanted of this.#wanted.keys())
      if (inside.some((name) => name.toLowerCase() === wanted)) this.#otherCase.set(wanted, harmlessLine(path, 120));
    entry.resume();
  }

  found(): Map<string, Found> {
    return new Map(
      [...this.#wanted].map(([path, slug]) => {
        const parents = ['katas', levelsOf(slug).slice(0, 2).join('/')];
        const fault = parents.map((parent) => this.#faultByParent.get(parent)).find((text) => text !== undefined);
        if (fault !== undefined) return [slug, { fault }];
        const one = this.#found.get(slug);
        if (!one) return [slug, { fault: missing(path, this.#otherCase.get(path)) }];
        if ('chunks' in one) return [slug, { fault: `${path} ends too early in the archive.` }];
        return [slug, one];
      }),
    );
  }

  notes(): string[] {
    if (this.#climbs === 0) return [];
    const rest = this.#climbs > climbersShown ? ` and ${this.#climbs - climbersShown} more` : '';
    return [
      this.#climbs === 1
        ? `An entry of the archive climbs out of it and was not read: ${this.#climbers[0]}.`
        : `${this.#climbs} entries of the archive climb out of it and were not read: ${this.#climbers.join(', ')}${rest}.`,
    ];
  }

  #takeFile(slug: string, entry: ReadEntry): void {
    const refuse = (fault: string) => {
      this.#found.set(slug, { fault });
      entry.resume();
    };
    if (this.#found.has(slug)) return refuse(`${pathOf(slug)} is in the archive more than once, so none is taken.`);
    if (!regular.has(entry.type)) return refuse(`${pathOf(slug)} is ${kindOf(entry)} in the archive, no regular file.`);
    if (entry.size > this.#limits.fileBytes) return refuse(tooLarge(slug, entry.size, this.#limits));
    const chunks: Buffer[] = [];
    this.#found.set(slug, { chunks });
    entry.on('data', (chunk: Buffer) => void chunks.push(chunk));
    entry.on('end', () => {
      const now = this.#found.get(slug);
      const bytes = Buffer.concat(chunks);
      // An entry that is cut off ends as well.
      if (now && 'chunks' in now && now.chunks === chunks && bytes.length === entry.size)
        this.#found.set(slug, { bytes });
    });
  }
}

function kindOf({ type }: ReadEntry): string {
  const words: Partial<Record<typeof type, string>> = {
    SymbolicLink: 'a symbolic link',
    Link: 'a hard link',
    CharacterDevice: 'a device',
    BlockDevice: 'a device',
    FIFO: 'a FIFO',
    Directory: 'a folder',
    File: 'a file',
  };
  return words[type] ?? `an entry of the kind ${type}`;
}
