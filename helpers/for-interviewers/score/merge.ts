import { UserError } from '../../foundations/command-line/user-error.ts';
import type { KataScore, Score } from './score.ts';
import { kataScore, totalScore, weighTiers } from './weigh.ts';

/**
 * Makes one score of the parts of one candidate. The figures are counted again from the promises.
 * @throws UserError when the parts are not of one candidate and one catalogue, or judge a kata twice
 */
export function mergeScores(parts: readonly Score[]): Score {
  const [first, ...others] = parts;
  if (!first) throw new UserError('There is nothing to merge. Name the score.json of each part.');
  for (const other of others) {
    if (JSON.stringify(other.candidate) !== JSON.stringify(first.candidate))
      throw new UserError(
        `These are scores of different candidates: ${named(first)} and ${named(other)}. Merge the parts of one.`,
      );
    if (JSON.stringify(other.catalogue) !== JSON.stringify(first.catalogue))
      throw new UserError(
        `These were judged by different catalogues: ${catalogueOf(first)} and ${catalogueOf(other)}. Score one of them again.`,
      );
  }
  const katas = parts.flatMap((part) => part.katas).map(countedAgain);
  const twice = katas.find(({ slug }, index) => katas.findIndex((one) => one.slug === slug) !== index);
  if (twice) throw new UserError(`${twice.slug} was judged in two of these parts. Leave one of them out.`);
  return {
    ...first,
    scoredAt: parts.map(({ scoredAt }) => scoredAt).sort()[0]!,
    durationMs: parts.reduce((sum, { durationMs }) => sum + durationMs, 0),
    total: totalScore(katas.map(({ score }) => score)),
    katas: katas.sort((one, other) => one.slug.localeCompare(other.slug)),
    notes: [...new Set(parts.flatMap(({ notes }) => notes))],
  };
}

function countedAgain(kata: KataScore): KataScore {
  return { ...kata, tiers: weighTiers(kata.promises), score: kataScore(kata.promises) };
}

function named({ candidate }: Score): string {
  return `${candidate.source}${candidate.commit === null ? '' : ` at ${candidate.commit.slice(0, 12)}`}`;
}

function catalogueOf({ catalogue }: Score): string {
  return `${catalogue.version} (${catalogue.hash.slice(0, 12)})`;
}
