import { readFileSync, statSync } from 'node:fs';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { harmlessDeep, harmlessLine } from '../../foundations/sanitizing/harmless.ts';
import { scoreSchema } from './score-schema.ts';
import type { Score } from './score.ts';

const longestBytes = 64 * 1024 * 1024;
const longestText = 1_000_000;

/** What keeps this from being a score, or undefined when it is one. */
export function faultOfScore(value: unknown): string | undefined {
  const { error } = scoreSchema.safeParse(value);
  if (error === undefined) return undefined;
  const [first] = error.issues;
  return `${first?.path.map((part) => `/${String(part)}`).join('') || 'the whole'}: ${first?.message ?? 'it is wrong'}`;
}

/**
 * Reads a score.json, which another machine may have written: it is held against the schema, and its texts are made
 * harmless once more.
 * @throws UserError when it is not a valid score
 */
export function readScore(file: string): Score {
  const shown = harmlessLine(file);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile()) throw new UserError(`There is no ${shown}. Name the score.json of each part.`);
  if (stats.size > longestBytes) throw new UserError(`${shown} is longer than ${longestBytes / 1024 / 1024} MiB.`);
  const value = parse(readFileSync(file, 'utf8'), shown);
  const fault = faultOfScore(value);
  if (fault !== undefined)
    throw new UserError(`${shown} is not a valid score: ${harmlessLine(fault)}. Was it made by another version?`);
  return harmlessDeep(value as Score, longestText);
}

function parse(text: string, shown: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${shown} is not JSON: ${harmlessLine((error as Error).message)}.`);
  }
}
