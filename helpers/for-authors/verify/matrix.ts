import { type Kata, tiers } from '../../foundations/catalogue/catalogue.ts';
import type { Submission } from '../../foundations/catalogue/submissions.ts';
import { notAsked } from '../../judging/verdict/not-asked.ts';

/** What was seen of one submission, over all its verdicts. */
export interface Row {
  readonly submission: Submission;
  /** For each promise, in how many verdicts it was broken. */
  readonly broken: readonly number[];
  /** For each promise, why it could not be judged here, when no verdict says. */
  readonly notJudged: readonly (string | undefined)[];
  readonly rounds: number;
  readonly medianMs: number;
}

/** Whether every verdict said what the submission's file claims, of all promises that can be judged here. */
export function isAsClaimed({ submission, broken, notJudged, rounds }: Row): boolean {
  const claimed = (index: number) => (submission.breaks.includes(index + 1) ? rounds : 0);
  return rounds > 0 && broken.every((count, index) => notJudged[index] !== undefined || count === claimed(index));
}

/** Submissions down, promises across: `✗` broken as claimed, `·` held as claimed, `!` neither, `–` not judged here, blank not asked for. */
export function matrix<One extends Row>(kata: Kata, rows: readonly One[], standing: (row: One) => string): string {
  const nameWidth = Math.max(kata.slug.length, ...rows.map(({ submission }) => submission.name.length)) + 2;
  const cells = (write: (number: number) => string) =>
    tiers
      .map((tier) =>
        kata.promises
          .filter((promise) => promise.tier === tier)
          .map(({ number }) => write(number).padEnd(2))
          .join(''),
      )
      .map((text, index) => text.padEnd(tiers[index]!.length + 1))
      .join(' ');
  const head = [
    kata.slug.padEnd(nameWidth) +
      tiers
        .map((tier) =>
          tier.padEnd(Math.max(tier.length + 1, kata.promises.filter((promise) => promise.tier === tier).length * 2)),
        )
        .join(' '),
    ''.padEnd(nameWidth) + cells(String),
  ];
  const lines = rows.map((row) => {
    const { submission, broken, notJudged, rounds, medianMs } = row;
    const cell = (number: number) => {
      const reason = notJudged[number - 1];
      if (reason !== undefined) return reason === notAsked ? ' ' : '–';
      const count = broken[number - 1] ?? 0;
      if (submission.breaks.includes(number)) return count === rounds ? '✗' : '!';
      return count === 0 ? '·' : '!';
    };
    return `${submission.name.padEnd(nameWidth)}${cells(cell)}  ${(medianMs / 1000).toFixed(1)} s${isAsClaimed(row) ? '' : `  ${standing(row).toUpperCase()}`}`;
  });
  const reasons = kata.promises.flatMap(({ number }) => {
    const reason = rows
      .map(({ notJudged }) => notJudged[number - 1])
      .find((note) => note !== undefined && note !== notAsked);
    return reason === undefined ? [] : [`Promise ${number} is not judged here: ${reason}`];
  });
  return [...head, ...lines, ...reasons].map((line) => line.trimEnd()).join('\n');
}
