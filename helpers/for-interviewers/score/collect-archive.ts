import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { leash } from '../../foundations/processes/leash.ts';
import {
  type CollectLimits,
  type Found,
  type Taken,
  levelsOf,
  manifestName,
  missing,
  pathOf,
  tooLarge,
} from './collect.ts';
import { readZipEntries } from './zip-entries.ts';
import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';

const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zipMagic = Buffer.from('PK');
const xzMagic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const regular = new Set(['File', 'OldFile', 'ContiguousFile']);
/** How many entries with paths outside the archive are reported; a hostile archive has thousands. */
const climbersShown = 3;

/** What a reader of an archive tells of an entry. */
export type ArchiveEntry = Pick<ReadEntry, 'path' | 'type' | 'size' | 'resume' | 'on'>;

/**
 * Takes each kata's file from a .tar, .tar.gz, .tar.xz or .zip, entry by entry; nothing is unpacked. The archive may have one
 * leading folder, as GitHub's have. Reading ends at a limit; what was found until then is kept.
 * @throws UserError when it is no archive
 */
export async function collectFromArchive(
  file: string,
  slugs: readonly string[],
  limits: CollectLimits,
): Promise<Taken> {
  const picker = new Picker(slugs, limits);
  let stopped: string | undefined;
  try {
    const isZip = (await firstBytes(file)).subarray(0, 2).equals(zipMagic);
    await (isZip ? readZipEntries : readTarEntries)(file, limits, (entry) => picker.take(entry));
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (picker.entries === 0 && !(error instanceof LimitReached))
      throw new UserError(
        `${harmlessLine(file)} cannot be read as a .tar.gz, .tar.xz, .tar or .zip file: ${harmlessLine((error as Error).message)}.`,
      );
    stopped =
      error instanceof LimitReached ? error.message : `it is damaged: ${harmlessLine((error as Error).message)}`;
  }
  if (picker.entries === 0 && stopped === undefined)
    throw new UserError(`${harmlessLine(file)} is not a .tar.gz, .tar.xz, .tar or .zip file: it has no entries.`);
  const end = stopped && `The archive was read only in part: ${stopped}.`;
  return { ...picker.taken(), notes: [...picker.notes(), ...(end ? [end] : [])] };
}

/** Reading ends here; what was found until then is kept. */
export class LimitReached extends Error {}

async function readTarEntries(
  file: string,
  limits: CollectLimits,
  onReadEntry: (entry: ArchiveEntry) => void,
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
  const first = await firstBytes(file);
  const isGzip = first.subarray(0, 2).equals(gzipMagic);
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
    const packed = createReadStream(file);
    if (first.equals(xzMagic)) await unpackXz(file, feed);
    else await (isGzip ? pipeline(packed, createGunzip(), feed) : pipeline(packed, feed));
  } finally {
    parser.end();
  }
  if (fault) throw fault;
}

/** Node has no xz, most systems do. */
async function unpackXz(file: string, feed: (unpacked: AsyncIterable<Buffer>) => Promise<void>): Promise<void> {
  const args = ['--decompress', '--stdout', '--memlimit-decompress=256MiB', '--'];
  const xz = spawn('xz', [...args, file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const release = xz.pid === undefined ? () => undefined : leash({ kill: xz.pid });
  let told = '';
  xz.stderr.on('data', (chunk: Buffer) => (told = (told + chunk.toString('utf8')).slice(-500)));
  const closed = once(xz, 'close').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT')
      throw new UserError(
        `This machine has no xz to unpack ${harmlessLine(file)} with; install it, or send a .tar.gz.`,
      );
    throw error;
  });
  try {
    const [[code]] = await Promise.all([closed, feed(xz.stdout)]);
    if (code !== 0) throw new Error(told.trim() || `xz ended with ${String(code)}`);
  } finally {
    xz.kill('SIGKILL');
    release();
  }
}

async function firstBytes(file: string): Promise<Buffer> {
  for await (const chunk of createReadStream(file, { end: 4 })) return chunk as Buffer;
  return Buffer.alloc(0);
}

type Picked = Found | { readonly chunks: Buffer[] };

/** Picks the wanted files out of the entries as they come, and notes what is odd. */
class Picker {
  entries = 0;
  readonly #slugs: readonly string[];
  readonly #limits: CollectLimits;
  readonly #parents: Set<string>;
  /** By their names: `katas/one/one.ts`, and `one.ts` for files that lie beside each other. */
  readonly #found = new Map<string, Picked>();
  readonly #wanted: ReadonlySet<string>;
  readonly #faultByParent = new Map<string, string>();
  readonly #otherCase = new Map<string, string>();
  readonly #climbers: string[] = [];
  #climbs = 0;

  constructor(slugs: readonly string[], limits: CollectLimits) {
    this.#slugs = slugs;
    this.#limits = limits;
    this.#wanted = new Set([...slugs.flatMap((slug) => [pathOf(slug), flatName(slug)]), manifestName]);
    this.#parents = new Set(slugs.flatMap((slug) => ['katas', levelsOf(slug).slice(0, 2).join('/')]));
  }

  take(entry: ArchiveEntry): void {
    this.entries++;
    const path = entry.path.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    if (path.startsWith('/') || /^[A-Za-z]:|\\/.test(path) || path.split('/').includes('..')) {
      this.#climbs++;
      if (this.#climbers.length < climbersShown) this.#climbers.push(harmlessLine(entry.path, 80));
      entry.resume();
      return;
    }
    const inside = [path, path.slice(path.indexOf('/') + 1)];
    const name = inside.find((one) => this.#wanted.has(one));
    if (name !== undefined) return this.#takeFile(name, entry);
    const parent = inside.find((one) => this.#parents.has(one));
    if (parent !== undefined && entry.type !== 'Directory')
      this.#faultByParent.set(parent, `${parent} is ${kindOf(entry)} in the archive, so nothing below it is taken.`);
    for (const wanted of this.#wanted)
      if (inside.some((one) => one.toLowerCase() === wanted)) this.#otherCase.set(wanted, harmlessLine(path, 120));
    entry.resume();
  }

  taken(): Pick<Taken, 'found' | 'isFlat' | 'manifest'> {
    const names = this.#slugs.map(pathOf);
    const hasFolders = names.some((name) => this.#found.has(name) || this.#otherCase.has(name));
    const isFlat =
      !hasFolders && this.#faultByParent.size === 0 && this.#slugs.some((slug) => this.#found.has(flatName(slug)));
    const found = new Map(this.#slugs.map((slug) => [slug, this.#one(slug, isFlat)]));
    const manifest = this.#found.get(manifestName);
    return {
      found,
      isFlat,
      manifest: manifest && 'bytes' in manifest ? manifest.bytes.toString('utf8') : undefined,
    };
  }

  #one(slug: string, isFlat: boolean): Found {
    const name = isFlat ? flatName(slug) : pathOf(slug);
    const parents = isFlat ? [] : ['katas', levelsOf(slug).slice(0, 2).join('/')];
    const fault = parents.map((parent) => this.#faultByParent.get(parent)).find((text) => text !== undefined);
    if (fault !== undefined) return { fault };
    const one = this.#found.get(name);
    if (!one) return missing(name, this.#otherCase.get(name));
    return 'chunks' in one ? { fault: `${name} ends too early in the archive.` } : one;
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

  #takeFile(name: string, entry: ArchiveEntry): void {
    const refuse = (fault: string) => {
      this.#found.set(name, { fault });
      entry.resume();
    };
    if (this.#found.has(name)) return refuse(`${name} is in the archive more than once, so none is taken.`);
    if (!regular.has(entry.type)) return refuse(`${name} is ${kindOf(entry)} in the archive, not a regular file.`);
    if (entry.size > this.#limits.fileBytes) return refuse(tooLarge(name, entry.size, this.#limits));
    const chunks: Buffer[] = [];
    this.#found.set(name, { chunks });
    entry.on('data', (chunk: Buffer) => void chunks.push(chunk));
    entry.on('end', () => {
      const now = this.#found.get(name);
      const bytes = Buffer.concat(chunks);
      // An entry that is cut off ends as well.
      if (now && 'chunks' in now && now.chunks === chunks && bytes.length === entry.size)
        this.#found.set(name, { bytes });
    });
  }
}

function flatName(slug: string): string {
  return `${slug}.ts`;
}

function kindOf({ type }: ArchiveEntry): string {
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
