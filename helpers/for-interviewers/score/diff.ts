import { createTwoFilesPatch } from 'diff';
import { harmless } from '../../foundations/sanitizing/harmless.ts';
import type { Diff } from './score.ts';

/** Beyond these a page with both texts side by side serves nobody. */
const longestBytes = 100_000;
const longestLine = 2_000;
const limitMs = 2_000;

export interface Text {
  readonly name: string;
  readonly text: string;
}

/** The unified diff from one text to another, with all of both in it where they are short. */
export function diffOf(before: Text, after: Text): Diff {
  const [one, other] = [before, after].map(({ text }) => harmless(text, longestBytes).replace(/\n?$/, '\n'));
  const isLong = ({ text }: Text) =>
    text.length > longestBytes || text.split('\n').some((line) => line.length > longestLine);
  if (isLong(before) || isLong(after)) return { patch: null, why: 'The text is too long to be shown side by side.' };
  const patch = createTwoFilesPatch(before.name, after.name, one!, other!, '', '', { context: 30, timeout: limitMs });
  return patch === undefined
    ? { patch: null, why: 'The two texts have too little in common to be shown side by side.' }
    : { patch, why: null };
}
