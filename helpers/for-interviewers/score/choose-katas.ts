import { UserError } from '../../foundations/command-line/user-error.ts';
import { harmlessLine } from '../../foundations/sanitizing/harmless.ts';
import { type Collected, manifestName } from './collect.ts';

/**
 * Decides which katas are scored: those that the interviewer named, or those that were handed out, or those whose files lie
 * there without their folders, or all. What is said by a candidate's file only chooses among the katas of the catalogue.
 * @param collected what was taken, for all katas of the catalogue
 * @param named the katas that the interviewer named; none is none
 * @throws UserError when there is no kata's file at all
 */
export function chooseKatasOf(collected: Collected, named: readonly string[]): Collected {
  const { found, manifest, isFlat, source } = collected;
  const known = [...found.keys()];
  const sent = known.filter((slug) => !('isAbsent' in found.get(slug)!));
  if (sent.length === 0)
    throw new UserError(
      `${source} has no kata in it: expected katas/<kata>/<kata>.ts. Name the candidate’s own folder, archive, repository or file.`,
    );
  const handedOut = readHandedOut(manifest, known);
  const [chosen, note] =
    named.length > 0
      ? [named, undefined]
      : handedOut.length > 0
        ? [handedOut, `Scored are the katas that the candidate’s ${manifestName} names: ${handedOut.join(', ')}.`]
        : isFlat
          ? [sent, `Scored are the katas that were sent: ${sent.join(', ')}. --katas names others.`]
          : [known, undefined];
  return {
    ...collected,
    found: new Map(known.filter((slug) => chosen.includes(slug)).map((slug) => [slug, found.get(slug)!])),
    notes: [...collected.notes, ...(note === undefined ? [] : [harmlessLine(note, 1_000)])],
  };
}

function readHandedOut(manifest: string | undefined, known: readonly string[]): string[] {
  if (manifest === undefined) return [];
  try {
    const { katas } = JSON.parse(manifest) as { katas?: unknown };
    return Array.isArray(katas) ? known.filter((slug) => katas.includes(slug)) : [];
  } catch {
    return [];
  }
}
