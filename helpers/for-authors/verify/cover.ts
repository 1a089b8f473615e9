import type { Submission } from '../../foundations/catalogue/submissions.ts';
import type { RecordedMargins } from './margins.ts';

/** An answer that breaks more says little about each of them. */
const mostBroken = 2;

/**
 * The submissions that say most about a judge for their cost: the starter, the solution, every accepted answer, and few rejected
 * ones that break every promise between them. Where margins are recorded, the answer with a promise's smallest margin is among them.
 * The others break at most two promises each, as long as such answers are there.
 */
export function coverOf(submissions: readonly Submission[], recorded: RecordedMargins): Submission[] {
  const rejected = submissions.filter(({ name }) => name.startsWith('rejected/'));
  const chosen = new Set(submissions.filter((submission) => !rejected.includes(submission)));
  const open = new Set(rejected.flatMap(({ breaks }) => breaks));
  const choose = (submission: Submission) => {
    chosen.add(submission);
    for (const number of submission.breaks) open.delete(number);
  };

  for (const number of [...open].sort((one, other) => one - other)) {
    const nearest = rejected.find(({ name, breaks }) => name === recorded[number]?.name && breaks.includes(number));
    if (nearest) choose(nearest);
  }
  while (open.size > 0) {
    const isNew = (number: number) => open.has(number);
    const [best] = rejected
      .filter(({ breaks }) => breaks.some(isNew))
      .map((submission) => ({
        submission,
        saysLittle: submission.breaks.length > mostBroken ? 1 : 0,
        added: submission.breaks.filter(isNew).length,
      }))
      .sort(
        (one, other) =>
          one.saysLittle - other.saysLittle ||
          other.added - one.added ||
          one.submission.breaks.length - other.submission.breaks.length ||
          (one.submission.name < other.submission.name ? -1 : 1),
      );
    choose(best!.submission);
  }
  return submissions.filter((submission) => chosen.has(submission));
}
