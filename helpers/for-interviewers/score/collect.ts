import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { collectFromArchive } from './collect-archive.ts';
import { collectFromFile, collectFromFolder } from './collect-folder.ts';
import { collectFromGit, isGitUrl, readGitSource } from './collect-git.ts';
import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';

/** One kata's file as the candidate sent it, or why there is none to judge. */
export type Found =
  | { readonly bytes: Buffer }
  | { readonly fault: string; /** There is nothing of this name at all. */ readonly isAbsent?: true };

/** What was taken from a candidate: a file, or a fault, for each kata that was asked for, and nothing else. */
export interface Collected {
  /** Where it comes from, as a result may tell it: no password in it. */
  readonly source: string;
  readonly kind: 'file' | 'folder' | 'archive' | 'git';
  /** The commit that was taken, of a repository. */
  readonly commit: string | undefined;
  readonly found: ReadonlyMap<string, Found>;
  /** What is odd about the whole of it, one sentence each. */
  readonly notes: readonly string[];
  /** The text of the hand-out's `handout.json`, where there is one. The candidate may have changed it. */
  readonly manifest: string | undefined;
  /** Whether the files lie beside each other, without their folders. */
  readonly isFlat: boolean;
}

/** What was taken, before anybody asks where it came from. */
export type Taken = Pick<Collected, 'found' | 'notes' | 'manifest' | 'isFlat'>;

/** The file of a hand-out that says what was handed out. */
export const manifestName = 'handout.json';

export interface CollectLimits {
  /** Of one kata's file. */
  readonly fileBytes: number;
  /** Of an archive, unpacked; and of what git may fetch. */
  readonly sourceBytes: number;
  /** Entries of an archive, names in a folder. */
  readonly entries: number;
  readonly timeMs: number;
}

/** Well above what any candidate needs, well below what hurts. */
export const collectLimits: CollectLimits = {
  fileBytes: 1024 * 1024,
  sourceBytes: 512 * 1024 * 1024,
  entries: 50_000,
  timeMs: 60_000,
};

/**
 * Takes `katas/<slug>/<slug>.ts` of each slug from a folder, an archive or a git repository, and reads nothing else but the
 * hand-out's `handout.json`. The files may also lie beside each other at the top, or all of it in one folder. A single
 * `<slug>.ts` is taken as well. A file that is missing, no regular file, or too large is a fault of its own; the others are
 * still taken.
 * @throws UserError when `source` is none of these, or nothing at all can be read of it
 */
export async function collect(
  source: string,
  slugs: readonly string[],
  limits: CollectLimits = collectLimits,
): Promise<Collected> {
  if (isGitUrl(source)) return await collectFromGit(readGitSource(source), slugs, limits);
  const shown = harmlessLine(source);
  const folder = statOf(source);
  if (folder?.isDirectory()) {
    return isBareRepository(source)
      ? await collectFromGit({ url: source, ref: 'HEAD' }, slugs, limits)
      : { source: shown, kind: 'folder', commit: undefined, ...(await collectFromFolder(source, slugs, limits)) };
  }
  if (folder?.isFile()) {
    if (isModule(source))
      return { source: shown, kind: 'file', commit: undefined, ...(await collectFromFile(source, slugs, limits)) };
    if (isBundle(source)) return await collectFromGit({ url: source, ref: 'HEAD' }, slugs, limits);
    return { source: shown, kind: 'archive', commit: undefined, ...(await collectFromArchive(source, slugs, limits)) };
  }

  const git = readGitSource(source);
  const repository = git.url === source ? undefined : statOf(git.url);
  if (repository?.isDirectory() || (repository?.isFile() && isBundle(git.url)))
    return await collectFromGit(git, slugs, limits);
  throw new UserError(
    folder
      ? `${shown} is neither a folder nor a file, so it is not read. Name a folder, an archive, a kata’s file or a git repository.`
      : `There is no ${shown}. Name a folder, an archive, a kata’s file, or a git URL or repository with #branch, #tag or #commit.`,
  );
}

/** The path in the candidate's files, level by level. */
export function levelsOf(slug: string): [folder: string, kata: string, file: string] {
  return ['katas', slug, `${slug}.ts`];
}

/** How a fault calls a kata's file. */
export function pathOf(slug: string): string {
  return levelsOf(slug).join('/');
}

/** Says that a file is too large, with its size and the limit. */
export function tooLarge(path: string, bytes: number, limits: CollectLimits): string {
  const mebibytes = (count: number) => `${(count / 1024 / 1024).toFixed(1)} MiB`;
  return `${path} is ${mebibytes(bytes)} long; a module of more than ${mebibytes(limits.fileBytes)} is not read.`;
}

/** Says that something is not there, and whether there is something of nearly this name. */
export function missing(path: string, nameInOtherCase: string | undefined): Found {
  if (nameInOtherCase === undefined) return { fault: `${path} is missing.`, isAbsent: true };
  return { fault: `${path} is missing; there is ${harmlessLine(nameInOtherCase)}, whose name differs in case.` };
}

/** Whether a file is a kata's own by its name, and no archive. */
function isModule(file: string): boolean {
  return /\.ts$/i.test(file);
}

function isBundle(file: string): boolean {
  return /^# v\d+ git bundle\n/.test(beginningOf(file, 32).toString('latin1'));
}

function beginningOf(file: string, bytes: number): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    return buffer.subarray(0, readSync(descriptor, buffer, 0, bytes, 0));
  } finally {
    closeSync(descriptor);
  }
}

function statOf(path: string) {
  return statSync(path, { throwIfNoEntry: false });
}

function isBareRepository(folder: string): boolean {
  return (
    ['HEAD', 'objects', 'refs'].every((name) => existsSync(join(folder, name))) && !existsSync(join(folder, 'katas'))
  );
}
