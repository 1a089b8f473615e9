import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  applySubmissionPatch,
  foldSubmission,
  parseSubmissionPatch,
} from '../../foundations/catalogue/submission-patch.ts';
import { baseTextOf, fullTextOf, namesOf, storedFile } from '../../foundations/catalogue/submissions.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { UserError } from '../../foundations/command-line/user-error.ts';

/** What became of one submission. */
export interface Saved {
  readonly name: string;
  readonly linesBefore: number;
  readonly linesAfter: number;
  /** What its patch starts from; none when it stays whole. */
  readonly base: string | undefined;
}

interface Candidate {
  readonly base: string;
  readonly text: string;
}

/** A patch that shares less of its lines than this with its base says less than the whole text. */
const leastShared = 0.5;

/**
 * Replaces a patch by its full text, for editing.
 * @returns the file to edit, relative to the repository
 * @throws UserError when there is no such patch, or it does not apply
 */
export function openSubmission(slug: string, name: string, root = repositoryRoot): string {
  const whole = storedFile(slug, `rejected/${name}.ts`);
  if (existsSync(join(root, whole))) return whole;
  const patch = storedFile(slug, `rejected/${name}.patch`);
  if (!existsSync(join(root, patch))) throw unknown(slug, name, root);
  writeAtOnce(join(root, whole), fullTextOf(slug, name, root));
  rmSync(join(root, patch));
  return whole;
}

/**
 * Folds one whole submission into a patch against the nearest answer: an accepted one or the reference; where it shares too
 * little with all of them, a wrong answer that is whole.
 * @throws UserError when there is no such submission, or it has no header
 */
export function saveSubmission(slug: string, name: string, root = repositoryRoot): Saved {
  if (!namesOf(slug, 'rejected', 'ts', root).includes(name)) throw unknown(slug, name, root);
  const wholes = namesOf(slug, 'rejected', 'ts', root).filter((other) => other !== name);
  return save(slug, name, [correct(slug, root), wholes.map((other) => wrongBase(slug, other, root))], root);
}

/**
 * Folds all whole submissions of a kata. Of those that share too little with every correct answer, the one that serves as a
 * base for most of the others stays whole, then the next.
 * @throws UserError when one has no header
 */
export function saveAll(slug: string, root = repositoryRoot): Saved[] {
  const saved: Saved[] = [];
  const bases = correct(slug, root);
  const kept = basesInUse(slug, root);
  let left = namesOf(slug, 'rejected', 'ts', root);
  const fold = (names: readonly string[], from: readonly Candidate[]) => {
    for (const name of names) {
      const done = save(slug, name, [from], root);
      if (done.base === undefined) continue;
      saved.push(done);
      left = left.filter((other) => other !== name);
    }
  };
  fold(
    left.filter((name) => !kept.includes(name)),
    bases,
  );
  for (const base of kept)
    fold(
      left.filter((name) => !kept.includes(name)),
      [wrongBase(slug, base, root)],
    );
  for (;;) {
    const pivot = bestPivot(slug, left, kept, root);
    if (pivot === undefined) break;
    kept.push(pivot);
    fold(
      left.filter((name) => !kept.includes(name)),
      [wrongBase(slug, pivot, root)],
    );
  }
  const stay = left.map((name) => {
    const lines = lineCount(readFileSync(join(root, storedFile(slug, `rejected/${name}.ts`)), 'utf8'));
    return { name, linesBefore: lines, linesAfter: lines, base: undefined };
  });
  return [...saved, ...stay].sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** The whole wrong answer against which the others would save most lines; none when it would save nothing. */
function bestPivot(slug: string, names: readonly string[], kept: readonly string[], root: string): string | undefined {
  const open = names.filter((name) => !kept.includes(name));
  const texts = new Map(
    open.map((name) => [name, readFileSync(join(root, storedFile(slug, `rejected/${name}.ts`)), 'utf8')]),
  );
  const saving = (pivot: string) => {
    const base = wrongBase(slug, pivot, root);
    return open
      .filter((name) => name !== pivot)
      .reduce((sum, name) => {
        const folded = nearest(name, texts.get(name)!, [base]);
        return sum + (folded ? lineCount(texts.get(name)!) - lineCount(folded.text) : 0);
      }, 0);
  };
  const [best] = open
    .map((name) => ({ name, saves: saving(name) }))
    .sort((one, other) => other.saves - one.saves || (one.name < other.name ? -1 : 1));
  return best !== undefined && best.saves > 0 ? best.name : undefined;
}

/** Tries each group of bases in turn; the first with one that is near enough is taken. */
function save(slug: string, name: string, groups: readonly (readonly Candidate[])[], root: string): Saved {
  const file = join(root, storedFile(slug, `rejected/${name}.ts`));
  const text = readFileSync(file, 'utf8');
  const linesBefore = lineCount(text);
  for (const bases of basesInUse(slug, root).includes(name) ? [] : groups) {
    const folded = nearest(name, text, bases);
    if (!folded) continue;
    const patch = storedFile(slug, `rejected/${name}.patch`);
    const base = bases.find((one) => one.base === folded.base)!;
    const again = applySubmissionPatch(parseSubmissionPatch(folded.text, patch), base.text, { patch, base: base.base });
    if (again !== text) throw new Error(`${patch} would not give back the text that it was made of.`);
    writeAtOnce(join(root, patch), folded.text);
    rmSync(file);
    return { name, linesBefore, linesAfter: lineCount(folded.text), base: folded.base };
  }
  return { name, linesBefore, linesAfter: linesBefore, base: undefined };
}

function nearest(name: string, text: string, bases: readonly Candidate[]): { base: string; text: string } | undefined {
  const [best] = bases
    .map(({ base, text: baseText }) => ({ base, ...foldSubmission(text, { name, base, baseText }) }))
    // What does not change at all is the base itself, and no patch.
    .filter(({ shared, changedLines }) => shared >= leastShared && changedLines > 0)
    .sort((one, other) => one.changedLines - other.changedLines || (one.base < other.base ? -1 : 1));
  return best && lineCount(best.text) < lineCount(text) ? best : undefined;
}

function correct(slug: string, root: string): Candidate[] {
  return ['solution.ts', ...namesOf(slug, 'accepted', 'ts', root).map((name) => `accepted/${name}.ts`)].map((base) => ({
    base,
    text: baseTextOf(slug, base, root),
  }));
}

function wrongBase(slug: string, name: string, root: string): Candidate {
  const base = `rejected/${name}.ts`;
  return { base, text: baseTextOf(slug, base, root) };
}

/** The wrong answers that patches start from; these stay whole. */
function basesInUse(slug: string, root: string): string[] {
  const used = namesOf(slug, 'rejected', 'patch', root).flatMap((name) => {
    const file = storedFile(slug, `rejected/${name}.patch`);
    const { base } = parseSubmissionPatch(readFileSync(join(root, file), 'utf8'), file);
    return base.startsWith('rejected/') ? [base.slice('rejected/'.length, -'.ts'.length)] : [];
  });
  return [...new Set(used)].sort();
}

function unknown(slug: string, name: string, root: string): UserError {
  const known = (['ts', 'patch'] as const).flatMap((ending) => namesOf(slug, 'rejected', ending, root)).sort();
  return new UserError(
    `${slug} has no rejected submission "${name}" in this form. Known: ${known.length === 0 ? 'none' : known.join(', ')}.`,
  );
}

function lineCount(text: string): number {
  return text.split('\n').length - 1;
}

function writeAtOnce(file: string, text: string): void {
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
}
