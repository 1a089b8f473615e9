import type { Submission } from '../../foundations/catalogue/submissions.ts';
import type { RecordedMargins } from './margins.ts';

/**
 * The submissions that say most about a judge: the starter, the solution, every accepted answer, and for each promise one
 * rejected answer. That is the one whose recorded margin is smallest; without one, the answer that breaks fewest other
 * promises; of several, the first by name.
 */
export function coverOf(submissions: readonly Submission[], recorded: RecordedMargins): Submission[] {
  const rejected = submissions.filter(({ name }) => name.startsWith('rejected/'));
  const chosen = new Set(submissions.filter((submission) => !rejected.includes(submission)));
  for (const number of new Set(rejected.flatMap(({ breaks }) => breaks))) {
    const breaking = rejected
      .filter(({ breaks }) => breaks.includes(number))
      .sort((one, other) => one.breaks.length - other.breaks.length || (one.name < other.name ? -1 : 1));
    chosen.add(breaking.find(({ name }) => name === recorded[number]?.name) ?? breaking[0]!);
  }
  return submissions.filter((submission) => chosen.has(submission));
}
