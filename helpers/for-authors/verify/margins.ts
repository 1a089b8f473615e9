import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kata } from '../../foundations/catalogue/catalogue.ts';
import type { Submission } from '../../foundations/catalogue/submissions.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import type { Verdict } from '../../judging/verdict/verdict.ts';
import type { Margin } from '../../judging/verdict/expect-that.ts';

/** A correct answer must not use more of a limit, and a wrong one must use at least so much. */
const [mostOfCorrect, leastOfWrong] = [0.5, 1.5];

/** What one submission measured, and the part of the limit that it used: above 1 the limit is exceeded. */
export interface Use {
  readonly name: string;
  readonly measured: number;
  readonly limit: number;
  readonly use: number;
}

/** One quantity that a promise depends on, with the answers that came nearest to its limit. */
export interface PromiseMargin {
  readonly promise: number;
  /** The quantity's text, with # for each number. */
  readonly what: string;
  readonly correct: Use | undefined;
  readonly wrong: Use | undefined;
}

type Judged = { readonly submission: Pick<Submission, 'name' | 'breaks'>; readonly verdicts: readonly Verdict[] };

/** The part of the limit that was used. For a quantity that must reach its limit it is the other way round. */
export function useOf({ measured, limit, side }: Pick<Margin, 'measured' | 'limit' | 'side'>): number {
  const [part, whole] = side === 'at most' ? [measured, limit] : [limit, measured];
  if (part <= 0) return 0;
  return whole <= 0 ? Infinity : part / whole;
}

/**
 * The margins of a kata. The solution and accepted answers are correct. An answer counts as wrong for the promises that it
 * claims to break, with the one quantity that it exceeds most; one that fails for another reason says nothing.
 */
export function marginsOf(judged: readonly Judged[]): PromiseMargin[] {
  const found = new Map<string, { promise: number; what: string; correct?: Use; wrong?: Use }>();
  const of = (promise: number, what: string) => {
    const key = `${promise} ${what}`;
    if (!found.has(key)) found.set(key, { promise, what });
    return found.get(key)!;
  };
  for (const { submission, verdicts } of judged) {
    const { name, breaks } = submission;
    const isCorrect = name === 'solution' || name.startsWith('accepted/');
    for (const { number, held, margins } of verdicts.flatMap((verdict) => verdict.promises)) {
      const uses = margins.map((margin) => ({
        ...{ what: normalized(margin.what), name, measured: margin.measured, limit: margin.limit },
        use: useOf(margin),
      }));
      if (isCorrect) {
        for (const { what, ...use } of uses) {
          const entry = of(number, what);
          if (use.use > (entry.correct?.use ?? -1)) entry.correct = use;
        }
      } else if (breaks.includes(number) && !held) {
        const most = uses.reduce<(typeof uses)[number] | undefined>(
          (best, one) => (one.use > (best?.use ?? 1) ? one : best),
          undefined,
        );
        if (most === undefined) continue;
        const { what, ...use } = most;
        const entry = of(number, what);
        if (use.use < (entry.wrong?.use ?? Infinity) || entry.wrong === undefined) entry.wrong = use;
      }
    }
  }
  return [...found.values()]
    .map(({ promise, what, correct, wrong }) => ({ promise, what, correct, wrong }))
    .sort((one, other) => one.promise - other.promise || (one.what < other.what ? -1 : 1));
}

/** One sentence for each margin that is too small. */
export function faultsOfMargins(slug: string, margins: readonly PromiseMargin[]): string[] {
  return margins.flatMap(({ promise, what, correct, wrong }) => [
    ...(correct && correct.use > mostOfCorrect
      ? [
          `Promise ${promise} of ${slug}, "${what}": ${correct.name} is correct and uses ${percent(correct.use)} of the limit; at most ${percent(mostOfCorrect)} is steady.`,
        ]
      : []),
    ...(wrong && wrong.use < leastOfWrong
      ? [
          `Promise ${promise} of ${slug}, "${what}": ${wrong.name} is wrong and uses only ${percent(wrong.use)} of the limit; from ${percent(leastOfWrong)} on it is steady.`,
        ]
      : []),
  ]);
}

/** For each quantity, what came nearest to the limit from both sides. */
export function marginsText(margins: readonly PromiseMargin[]): string {
  const side = (kind: string, use: Use | undefined) =>
    use
      ? `  ${kind.padEnd(8)}${percent(use.use).padStart(7)}  ${use.name} (${figure(use.measured)}, limit ${figure(use.limit)})`
      : `  ${kind.padEnd(8)}      –  no answer measured it`;
  return margins
    .flatMap(({ promise, what, correct, wrong }) => [
      `promise ${promise}: ${what}`,
      side('correct', correct),
      side('wrong', wrong),
    ])
    .join('\n');
}

/** For each promise, the wrong answer with the smallest margin, by number. */
export type RecordedMargins = Readonly<Record<string, { readonly name: string; readonly use: number }>>;

/** What goes into the record of a kata's margins. A use without a bound is no number in JSON, and is not recorded. */
export function recordOf(margins: readonly PromiseMargin[]): RecordedMargins {
  const record: Record<string, { name: string; use: number }> = {};
  for (const { promise, wrong } of margins) {
    if (
      wrong &&
      wrong.name !== 'starter' &&
      Number.isFinite(wrong.use) &&
      wrong.use < (record[promise]?.use ?? Infinity)
    )
      record[promise] = { name: wrong.name, use: Number(wrong.use.toPrecision(3)) };
  }
  return record;
}

/** Where a kata's margins are recorded, relative to the repository. It names wrong answers, so it is not handed out. */
export function marginsFile(slug: string): string {
  return `solutions/${slug}/margins.json`;
}

/** The recorded margins of a kata; none when nobody has recorded them yet. */
export function readMargins({ slug }: Pick<Kata, 'slug'>, root = repositoryRoot): RecordedMargins {
  try {
    return JSON.parse(readFileSync(join(root, marginsFile(slug)), 'utf8')) as RecordedMargins;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/** Texts that differ in their numbers only are about the same quantity. */
function normalized(what: string): string {
  return what.replace(/-?\d+(?:[.,]\d+)*/g, '#').trim();
}

function percent(use: number): string {
  return Number.isFinite(use) ? `${Math.round(use * 100)}%` : '∞';
}

function figure(amount: number): string {
  return Number.isInteger(amount) ? amount.toLocaleString('en-US') : amount.toPrecision(3);
}
