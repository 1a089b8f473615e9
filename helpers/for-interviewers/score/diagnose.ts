import type { Diagnosis, Match } from './score.ts';

/** A module of the catalogue that a candidate's is compared with. */
export interface Known {
  /** `starter`, `solution`, `accepted/…` or `rejected/…`. */
  readonly name: string;
  readonly breaks: readonly number[];
  readonly ask: string | undefined;
  /** How near its text is to the candidate's, from 0 to 1. */
  readonly similarity: number;
}

/** From here on a text is called a copy: what is left are a number or a message. */
const copyFrom = 0.97;
/** How many equally near matches are reported when none is exact. */
const nearestShown = 3;

/**
 * Compares the set of broken promises with those of the known wrong answers. A green module gets no accusation, but a
 * word when it is a copy of a right answer.
 * @param broken numbers of the promises that are broken
 * @param judged whether the module was judged to the end
 * @param missing what the module must export and does not
 */
export function diagnose(
  broken: readonly number[],
  known: readonly Known[],
  judged: boolean,
  missing: readonly string[] = [],
): Diagnosis {
  const byNearness = [...known].sort((one, other) => other.similarity - one.similarity);
  const right = byNearness.find(({ breaks }) => breaks.length === 0);
  const nearest = right ? { name: right.name, similarity: right.similarity } : null;
  if (missing.length > 0)
    return { kind: 'incomplete', sentence: `It does not export ${list(missing)}.`, matches: [], nearest };
  if (!judged) {
    const sentence = 'It was not judged to the end, so its broken promises say nothing about how it was built.';
    return { kind: 'unjudged', sentence, matches: [], nearest };
  }
  if (broken.length === 0) {
    const copy =
      right && right.similarity >= copyFrom
        ? ` Its text is that of ${right.name}${right.similarity === 1 ? '' : ', nearly'}, but for comments, spacing and names.`
        : '';
    return { kind: 'green', sentence: `It keeps every promise.${copy}`, matches: [], nearest };
  }

  const wrong = byNearness.filter(({ breaks }) => breaks.length > 0);
  const distances = wrong.map((one) => ({ one, apart: apart(broken, one.breaks) }));
  const least = Math.min(...distances.map(({ apart: count }) => count));
  const matches = distances.filter(({ apart: count }) => count === least).map(({ one }) => matchOf(one));
  if (least === 0) return { kind: 'exact', sentence: exactSentence(matches), matches, nearest };
  const shown = matches.slice(0, nearestShown);
  return { kind: 'nearest', sentence: nearestSentence(broken, shown), matches: shown, nearest };
}

function exactSentence(matches: readonly Match[]): string {
  const [first, ...others] = matches;
  const copy =
    first!.similarity >= copyFrom ? ` Its text is that of ${bare(first!)}, but for comments, spacing and names.` : '';
  const rest = others.length > 0 ? ` So ${others.length === 1 ? 'does' : 'do'} ${list(others.map(bare))}.` : '';
  return `It breaks exactly what ${bare(first!)} breaks${first!.ask === null ? '.' : `: ask "${first!.ask}"`}${rest}${copy}`;
}

function nearestSentence(broken: readonly number[], matches: readonly Match[]): string {
  const [first, ...others] = matches;
  const also = first!.breaks.filter((number) => !broken.includes(number));
  const not = broken.filter((number) => !first!.breaks.includes(number));
  const differs = [
    ...(also.length > 0 ? [`breaks ${list(also)} too`] : []),
    ...(not.length > 0 ? [`keeps ${list(not)}`] : []),
  ].join(' and ');
  const rest = others.length > 0 ? ` Equally near: ${list(others.map(bare))}.` : '';
  const ask = first!.ask === null ? '' : ` Its question: "${first!.ask}"`;
  return `No known wrong answer breaks exactly these. The nearest is ${bare(first!)}, which ${differs}.${ask}${rest}`;
}

function matchOf({ name, ask, breaks, similarity }: Known): Match {
  return { name, ask: ask ?? null, breaks, similarity };
}

/** How many promises are broken by one of the two and not by the other. */
function apart(one: readonly number[], other: readonly number[]): number {
  return [...one, ...other].filter((number) => one.includes(number) !== other.includes(number)).length;
}

function bare({ name }: { readonly name: string }): string {
  return name === 'starter' ? 'the starter' : name.replace(/^rejected\//, '');
}

function list(items: readonly (string | number)[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
