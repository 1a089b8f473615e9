import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { type Tokens, marked } from 'marked';
import { repositoryRoot } from './target.ts';
import { UserError } from '../command-line/user-error.ts';
import { type Need, readFrontMatter, readNeeds } from './front-matter.ts';

/** What every answer needs, what survives production, what a senior adds. */
export const tiers = ['core', 'robust', 'stretch'] as const;
export type Tier = (typeof tiers)[number];

/** One sentence that a right module keeps, and one test. */
export interface KataPromise {
  readonly number: number;
  readonly tier: Tier;
  readonly text: string;
}

/** A kata as its own README tells it. */
export interface Kata {
  readonly slug: string;
  readonly title: string;
  readonly track: string;
  readonly level: 'junior' | 'mid' | 'senior';
  readonly minutes: number;
  readonly needs: readonly Need[];
  /** Numbers of the promises that the starter breaks. */
  readonly starterBreaks: readonly number[];
  readonly promises: readonly KataPromise[];
}

/** The slugs of all katas, in alphabetical order. */
export function kataSlugs(root = repositoryRoot): string[] {
  return readdirSync(join(root, 'katas'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/**
 * Resolves what a user typed to slugs: a slug, or a path to a kata's folder or file. Nothing typed is all of them.
 * @throws UserError that names the nearest kata when one is unknown
 */
export function chooseKatas(words: readonly string[], root = repositoryRoot): string[] {
  const slugs = kataSlugs(root);
  const typed = words.map(slugOf);
  for (const name of typed) {
    if (!slugs.includes(name)) {
      throw new UserError(
        `There is no kata "${name}". Did you mean ${nearest(name, slugs)}? Known katas: ${slugs.join(', ')}.`,
      );
    }
  }
  return typed.length === 0 ? slugs : slugs.filter((slug) => typed.includes(slug));
}

/** A kata by its name, its folder, or its file. */
function slugOf(word: string): string {
  return /(?:^|[\\/])(?:katas|tests|solutions)[\\/]([^\\/]+)(?:[\\/][^\\/]*)?$/.exec(word)?.[1] ?? word;
}

/** Who types a name cuts it short, or knows one of its words. */
function nearest(name: string, slugs: readonly string[]): string {
  const apart = (slug: string) =>
    Math.min(...[slug, slug.slice(0, name.length), ...slug.split('-')].map((part) => distance(name, part)));
  return slugs.toSorted((one, other) => apart(one) - apart(other))[0]!;
}

/**
 * Reads a kata's README: its front matter, and the numbered promises below the headings core, robust and stretch.
 * @throws UserError that names the file and the fault
 */
export function readKata(slug: string, root = repositoryRoot): Kata {
  const { shown, field, body } = readFrontMatter(slug, root);
  const isText = (value: unknown) => typeof value === 'string' && value !== '';
  const promises = readPromises(body);
  if (promises.length === 0)
    throw new UserError(`${shown} has no numbered promises below "### core", "### robust" or "### stretch".`);
  return {
    slug,
    title: field('title', isText),
    track: field('track', isText),
    level: field('level', (value) => ['junior', 'mid', 'senior'].includes(value as string)),
    minutes: field('minutes', (value) => Number.isInteger(value)),
    needs: readNeeds(slug, root),
    starterBreaks: field(
      'starterBreaks',
      (value) => Array.isArray(value) && value.every((item) => promises.some(({ number }) => number === item)),
    ),
    promises,
  };
}

function readPromises(body: string): KataPromise[] {
  const found: KataPromise[] = [];
  let tier: Tier | undefined;
  for (const token of marked.lexer(body)) {
    if (token.type === 'heading') tier = tiers.find((name) => name === (token as Tokens.Heading).text);
    if (token.type === 'list' && (token as Tokens.List).ordered && tier) {
      for (const item of (token as Tokens.List).items)
        found.push({ number: found.length + 1, tier, text: item.text.replace(/\s+/g, ' ').trim() });
    }
  }
  return found;
}
