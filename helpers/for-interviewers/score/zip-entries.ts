import { Buffer } from 'node:buffer';
import { type Entry, type ZipFile, openPromise } from 'yauzl';
import { type ArchiveEntry, LimitReached } from './collect-archive.ts';
import type { CollectLimits } from './collect.ts';

/**
 * Reads a .zip entry by entry; only entries whose content somebody asks for are unpacked.
 * @throws LimitReached when it has too many entries or takes too long
 */
export async function readZipEntries(
  file: string,
  limits: CollectLimits,
  onEntry: (entry: ArchiveEntry) => void,
): Promise<void> {
  const late = AbortSignal.timeout(limits.timeMs);
  // Names as bytes: the caller judges them, and one that climbs out must not hide the others.
  const zip = await openPromise(file, { decodeStrings: false });
  try {
    let entries = 0;
    for await (const entry of zip.eachEntry()) {
      if (++entries > limits.entries) throw new LimitReached(`it has more than ${limits.entries} entries`);
      if (late.aborted) throw new LimitReached(`reading it took longer than ${limits.timeMs / 1000} s`);
      await hand(zip, entry, onEntry);
    }
  } finally {
    zip.close();
  }
}

async function hand(zip: ZipFile, entry: Entry, onEntry: (entry: ArchiveEntry) => void): Promise<void> {
  const onData: ((chunk: Buffer) => void)[] = [];
  const onEnd: (() => void)[] = [];
  const path = Buffer.from(entry.fileName as unknown as Buffer).toString('utf8');
  const shown = {
    path,
    type: typeOf(path, entry.externalFileAttributes),
    size: entry.uncompressedSize,
    resume: () => undefined,
    on: (event: string, hear: (chunk: Buffer) => void) =>
      event === 'data' ? onData.push(hear) : onEnd.push(hear as () => void),
  };
  onEntry(shown as unknown as ArchiveEntry);
  if (onData.length === 0) return;
  // It ends with an error as soon as there is more in it than its size says.
  for await (const chunk of await zip.openReadStreamPromise(entry)) for (const hear of onData) hear(chunk as Buffer);
  for (const hear of onEnd) hear();
}

/** What a Unix system says of the file, in the upper half of its attributes. */
function typeOf(path: string, attributes: number): ArchiveEntry['type'] {
  const kind = (attributes >>> 16) & 0o170000;
  if (path.endsWith('/')) return 'Directory';
  if (kind === 0o120000) return 'SymbolicLink';
  return kind === 0 || kind === 0o100000 ? 'File' : 'CharacterDevice';
}
