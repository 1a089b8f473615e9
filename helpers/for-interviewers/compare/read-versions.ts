import { lstat, readFile } from 'node:fs/promises';
import { isAbsolute, join, resolve, sep } from 'node:path';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { git, headCommit } from '../../foundations/git/git.ts';
import { repositoryRoot, shortPath } from '../../foundations/catalogue/target.ts';
import { harmless } from '../../foundations/sanitizing/harmless.ts';

/** Larger files are not for reading side by side. */
const limitBytes = 256 * 1024;

/** One form of a kata's module, with all in it made harmless. */
export interface Version {
  readonly role: 'starter' | 'candidate' | 'reference';
  /** Where it was found, as a reader knows it. */
  readonly file: string;
  readonly text: string;
}

/** The three that are compared. */
export type Versions = readonly [starter: Version, candidate: Version, reference: Version];

/**
 * Reads the starter as it is committed, the candidate's file, and the reference.
 * @param given the candidate's file, or a folder with `katas/<slug>/<slug>.ts` in it; by default this clone
 * @throws UserError when there is no such file, or when it is a link, no text, or too large
 */
export async function readVersions(slug: string, given?: string): Promise<Versions> {
  const own = `katas/${slug}/${slug}.ts`;
  const reference = `solutions/${slug}/${slug}.ts`;
  const candidate = given === undefined ? own : await findCandidate(given, own);
  return [
    { role: 'starter', file: own, text: readable(await readStarter(own)) },
    { role: 'candidate', file: shownPath(candidate), text: readable(await readPlain(candidate)) },
    { role: 'reference', file: reference, text: readable(await readPlain(reference)) },
  ];
}

async function findCandidate(given: string, own: string): Promise<string> {
  const found = await lstat(given).catch(() => undefined);
  if (found === undefined) throw new UserError(`There is no ${given}: name the candidate's folder or file.`);
  return found.isDirectory() ? join(given, own) : given;
}

/** As it is committed, for the interviewer may have tried something in the file; without a clone, as it lies there. */
async function readStarter(own: string): Promise<string> {
  try {
    return await git(repositoryRoot, ['show', `${await headCommit(repositoryRoot)}:${own}`]);
  } catch {
    return await readPlain(own);
  }
}

function shownPath(file: string): string {
  return isAbsolute(file) && file.startsWith(repositoryRoot + sep) ? shortPath(file) : file;
}

/** A path that is not absolute is one of this clone. */
async function readPlain(file: string): Promise<string> {
  const path = resolve(repositoryRoot, file);
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) throw new UserError(`There is no ${file} to compare.`);
  if (!found.isFile()) throw new UserError(`${file} is not a regular file, so it was not read.`);
  if (found.size > limitBytes)
    throw new UserError(`${file} has ${found.size} bytes; what is compared may have ${limitBytes}.`);
  return await readFile(path, 'utf8');
}

/** Text that does nothing but be read, in columns: no tab, and one end of line at its end. */
function readable(text: string): string {
  return harmless(text, Infinity).replaceAll('\t', '    ').replace(/\n*$/, '\n');
}
