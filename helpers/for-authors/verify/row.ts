import type { Submission } from '../../foundations/catalogue/submissions.ts';
import type { Verdict } from '../../judging/verdict/verdict.ts';
import { type Row, isAsClaimed } from './matrix.ts';

/** A row with every verdict: one, or four when the first one differed from the claim. */
export type FullRow = Row & { readonly verdicts: readonly Verdict[] };

/** How a submission's verdicts agree with its claim. */
export type Standing = 'as claimed' | 'wrong' | 'unsteady';

/** Wrong when no verdict is as claimed, unsteady when only some are. */
export function standingOf({ submission, verdicts }: FullRow): Standing {
  const differ = differing(submission, verdicts);
  return differ === 0 && verdicts.length > 0 ? 'as claimed' : differ === verdicts.length ? 'wrong' : 'unsteady';
}

/** For the matrix and the report: `wrong`, or `unsteady, n of 4`, where n verdicts differ from the claim. */
export function standingText(row: FullRow): string {
  const standing = standingOf(row);
  return standing === 'unsteady'
    ? `unsteady, ${differing(row.submission, row.verdicts)} of ${row.verdicts.length}`
    : standing;
}

function differing(submission: Submission, verdicts: readonly Verdict[]): number {
  return verdicts.filter((verdict) => !isAsClaimed(rowOf(submission, [verdict]))).length;
}

/** Counts over all verdicts of one submission. */
export function rowOf(submission: Submission, verdicts: readonly Verdict[]): FullRow {
  const promises = Math.max(0, ...verdicts.map((verdict) => verdict.promises.length));
  const broken = Array.from(
    { length: promises },
    (_, index) => verdicts.filter((verdict) => verdict.promises[index]?.held !== true).length,
  );
  const notJudged = Array.from({ length: promises }, (_, index) => {
    const reasons = verdicts.map((verdict) => verdict.promises[index]?.notJudged);
    return reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
  });
  const times = verdicts
    .map((verdict) => verdict.promises.reduce((sum, { durationMs }) => sum + durationMs, 0))
    .sort((one, other) => one - other);
  return {
    submission,
    broken,
    notJudged,
    rounds: promises === 0 ? 0 : verdicts.length,
    medianMs: times[times.length >> 1] ?? 0,
    verdicts,
  };
}

/** Why a submission's verdict is not what its file claims: for each promise, the first verdict in which it was not. */
export function explain(row: FullRow): string {
  const { submission, verdicts } = row;
  const lines = [
    verdicts.length > 1
      ? `${submission.source} is ${standingText(row)}:`
      : `${submission.source} is not judged as it claims:`,
  ];
  const trouble = verdicts.find((verdict) => verdict.trouble !== undefined)?.trouble;
  if (trouble !== undefined) lines.push(`  the judge could not run: ${trouble}`);
  const longest = verdicts.toSorted((one, other) => other.promises.length - one.promises.length)[0];
  for (const [index] of (longest?.promises ?? []).entries()) {
    if (verdicts.every((verdict) => verdict.promises[index]?.notJudged !== undefined)) continue;
    const claimed = submission.breaks.includes(index + 1);
    const odd = verdicts.filter((verdict) => verdict.promises[index]?.held === claimed);
    if (odd.length === 0) continue;
    const promise = odd[0]!.promises[index]!;
    const times = verdicts.length > 1 ? ` (${odd.length} of ${verdicts.length} verdicts)` : '';
    lines.push(`  promise ${index + 1} ${claimed ? 'was to break, and held' : 'was to hold, and broke'}${times}`);
    if (promise.seen !== undefined) lines.push(promise.seen.replace(/^/gm, '    '));
  }
  return lines.join('\n');
}
