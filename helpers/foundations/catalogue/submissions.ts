import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { Kata } from './catalogue.ts';
import { UserError } from '../command-line/user-error.ts';
import { applySubmissionPatch, parseSubmissionPatch, splitClaims } from './submission-patch.ts';
import { fullTextsFolder, repositoryRoot } from './target.ts';

/** One module that the judge has to judge rightly, and what it has to say of it. */
export interface Submission {
  readonly slug: string;
  /** How a reader calls it: `starter`, `solution`, `accepted/…` or `rejected/…`. */
  readonly name: string;
  /** What `KATA_TARGET` has to be for it. */
  readonly target: string;
  /** The file with its full text, relative to the repository. */
  readonly file: string;
  /** The file that an author edits: the same, or the patch that the full text was written from. */
  readonly source: string;
  /** Numbers of the promises that it breaks; none for a right answer. */
  readonly breaks: readonly number[];
  /** The question to ask its author. */
  readonly ask: string | undefined;
}

/**
 * The starter, the solution and all submissions of a kata, with what each of them claims. The full text of a submission
 * that is stored as a patch is written into a folder that git ignores.
 * @throws UserError when a rejected submission does not begin with its header, names a promise that there is not, or is a
 *   patch that does not apply
 */
export function submissionsOf(kata: Kata, root = repositoryRoot): Submission[] {
  const { slug } = kata;
  const starter = `katas/${slug}/${slug}.ts`;
  const solution = `solutions/${slug}/${slug}.ts`;
  return [
    {
      slug,
      name: 'starter',
      target: 'katas',
      file: starter,
      source: starter,
      breaks: kata.starterBreaks,
      ask: undefined,
    },
    { slug, name: 'solution', target: 'solutions', file: solution, source: solution, breaks: [], ask: undefined },
    ...namesOf(slug, 'accepted', 'ts', root).map((name) => {
      const file = storedFile(slug, `accepted/${name}.ts`);
      return { slug, name: `accepted/${name}`, target: file, file, source: file, breaks: [], ask: undefined };
    }),
    ...rejectedOf(slug, root).map(({ name, file, source, text }) => ({
      slug,
      name: `rejected/${name}`,
      target: file,
      file,
      source,
      ...readHeader(text, source, kata),
    })),
  ];
}

/**
 * Writes the full texts of all of a kata's patches.
 * @returns the files, relative to the repository
 * @throws UserError when a patch does not apply
 */
export function writeFullTexts(slug: string, root = repositoryRoot): string[] {
  return rejectedOf(slug, root)
    .filter(({ file, source }) => file !== source)
    .map(({ file }) => file);
}

/** Where a kata's submission is stored, such as `accepted/one-map.ts`; `solution.ts` is the reference. Relative to the repository. */
export function storedFile(slug: string, name: string): string {
  return name === 'solution.ts' ? `solutions/${slug}/${slug}.ts` : `tests/${slug}/submissions/${name}`;
}

/** The names of a kata's stored submissions of one kind and form, without folder and ending, in alphabetical order. */
export function namesOf(
  slug: string,
  kind: 'accepted' | 'rejected',
  ending: 'ts' | 'patch',
  root = repositoryRoot,
): string[] {
  const folder = join(root, `tests/${slug}/submissions/${kind}`);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(`.${ending}`))
    .map((name) => name.slice(0, -ending.length - 1))
    .sort();
}

/**
 * The full text of a patch, from the base as it is now.
 * @throws UserError when it does not apply
 */
export function fullTextOf(slug: string, name: string, root = repositoryRoot): string {
  const source = storedFile(slug, `rejected/${name}.patch`);
  const patch = parseSubmissionPatch(readFileSync(join(root, source), 'utf8'), source);
  const base = storedFile(slug, patch.base);
  if (!existsSync(join(root, base)))
    throw new UserError(`${source} starts from ${base}, which does not exist. Write the patch against another answer.`);
  return applySubmissionPatch(patch, baseTextOf(slug, patch.base, root), { patch: source, base });
}

/**
 * What patches start from, as it would read among the submissions: without claims, and with imports that lead from there.
 * @param base `solution.ts`, or a file of the kata's submissions such as `accepted/one-map.ts`
 */
export function baseTextOf(slug: string, base: string, root = repositoryRoot): string {
  const file = storedFile(slug, base);
  const text = readFileSync(join(root, file), 'utf8');
  if (base.startsWith('rejected/')) return splitClaims(text, file).body;
  return base === 'solution.ts' ? text.replaceAll("'../../katas/", "'../../../../katas/") : text;
}

interface Rejected {
  readonly name: string;
  readonly file: string;
  readonly source: string;
  readonly text: string;
}

function rejectedOf(slug: string, root: string): Rejected[] {
  const whole = namesOf(slug, 'rejected', 'ts', root);
  const patches = namesOf(slug, 'rejected', 'patch', root);
  const twice = patches.find((name) => whole.includes(name));
  if (twice !== undefined)
    throw new UserError(
      `${storedFile(slug, `rejected/${twice}`)} is there twice, as .ts and as .patch. Delete the one that is out of date.`,
    );
  const found = [
    ...whole.map((name) => {
      const source = storedFile(slug, `rejected/${name}.ts`);
      return { name, file: source, source, text: readFileSync(join(root, source), 'utf8') };
    }),
    ...patches.map((name) => {
      const source = storedFile(slug, `rejected/${name}.patch`);
      const text = fullTextOf(slug, name, root);
      const file = `${fullTextsFolder(slug)}/rejected/${name}.ts`;
      writeIfChanged(join(root, file), text);
      return { name, file, source, text };
    }),
  ];
  removeOthers(join(root, fullTextsFolder(slug), 'rejected'), patches);
  return found.sort((one, other) => (one.name < other.name ? -1 : 1));
}

function writeIfChanged(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  mkdirSync(dirname(file), { recursive: true });
  const aside = `${file}.${process.pid}-${threadId}`;
  writeFileSync(aside, text);
  renameSync(aside, file);
}

/** The type checker reads the folder too: a text whose patch is gone must not stay. */
function removeOthers(folder: string, names: readonly string[]): void {
  if (!existsSync(folder)) return;
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.ts') && !names.includes(file.slice(0, -3))) rmSync(join(folder, file), { force: true });
  }
}

function readHeader(text: string, file: string, kata: Kata): { breaks: readonly number[]; ask: string } {
  const { header } = splitClaims(text, file);
  const form = 'It begins with three lines: "breaks: [3, 7]", "why: …", "ask: …".';
  // Not YAML: these are sentences, and a sentence may have a colon in it.
  const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(header)?.[1]?.trim();
  const [list, why, ask] = [field('breaks'), field('why'), field('ask')];
  const breaks = /^\[[\d, ]+\]$/.test(list ?? '') ? (JSON.parse(list!) as number[]) : [];
  const known = (number: number) => kata.promises.some((promise) => promise.number === number);
  if (breaks.length === 0 || !breaks.every(known)) {
    throw new UserError(
      `${file} says "breaks: ${list ?? ''}", which is not a list of promises in katas/${kata.slug}/README.md. ${form}`,
    );
  }
  if (why === undefined || ask === undefined)
    throw new UserError(`${file} lacks "why" or "ask" in its header. ${form}`);
  return { breaks, ask };
}
