import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Kata } from './catalogue.ts';
import { UserError } from '../command-line/user-error.ts';
import { repositoryRoot } from './target.ts';

/** One module that the judge has to judge rightly, and what it has to say of it. */
export interface Submission {
  readonly slug: string;
  /** How a reader calls it: `starter`, `solution`, `accepted/…` or `rejected/…`. */
  readonly name: string;
  /** What `KATA_TARGET` has to be for it. */
  readonly target: string;
  /** Its file, relative to the repository. */
  readonly file: string;
  /** Numbers of the promises that it breaks; none for a right answer. */
  readonly breaks: readonly number[];
  /** The question to ask its author. */
  readonly ask: string | undefined;
}

/**
 * The starter, the solution and all submissions of a kata, with what each of them claims.
 * @throws UserError when a rejected submission does not begin with its header, or names a promise that there is not
 */
export function submissionsOf(kata: Kata): Submission[] {
  const { slug } = kata;
  return [
    {
      slug,
      name: 'starter',
      target: 'katas',
      file: `katas/${slug}/${slug}.ts`,
      breaks: kata.starterBreaks,
      ask: undefined,
    },
    { slug, name: 'solution', target: 'solutions', file: `solutions/${slug}/${slug}.ts`, breaks: [], ask: undefined },
    ...filesOf(slug, 'accepted').map((file) => ({ slug, ...named(file), breaks: [], ask: undefined })),
    ...filesOf(slug, 'rejected').map((file) => ({ slug, ...named(file), ...readHeader(file, kata) })),
  ];
}

function filesOf(slug: string, kind: 'accepted' | 'rejected'): string[] {
  const folder = `tests/${slug}/submissions/${kind}`;
  if (!existsSync(join(repositoryRoot, folder))) return [];
  return readdirSync(join(repositoryRoot, folder))
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => `${folder}/${name}`);
}

function named(file: string): { name: string; target: string; file: string } {
  return { name: file.split('/').slice(-2).join('/').replace(/\.ts$/, ''), target: file, file };
}

function readHeader(file: string, kata: Kata): { breaks: readonly number[]; ask: string } {
  const [, comment] = /^\/\*\r?\n(.*?)\*\//s.exec(readFileSync(join(repositoryRoot, file), 'utf8')) ?? [];
  const form = 'It begins with a comment block of three lines: "breaks: [3, 7]", "why: …", "ask: …".';
  if (comment === undefined)
    throw new UserError(`${file} has no header, so nobody knows which promises it breaks. ${form}`);
  // Not YAML: these are sentences, and a sentence may have a colon in it.
  const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(comment)?.[1]?.trim();
  const [list, why, ask] = [field('breaks'), field('why'), field('ask')];
  const breaks = /^\[[\d, ]+\]$/.test(list ?? '') ? (JSON.parse(list!) as number[]) : [];
  const known = (number: number) => kata.promises.some((promise) => promise.number === number);
  if (breaks.length === 0 || !breaks.every(known)) {
    throw new UserError(
      `${file} says "breaks: ${list ?? ''}", which is no list of promises of katas/${kata.slug}/README.md. ${form}`,
    );
  }
  if (why === undefined || ask === undefined)
    throw new UserError(`${file} lacks "why" or "ask" in its header. ${form}`);
  return { breaks, ask };
}
