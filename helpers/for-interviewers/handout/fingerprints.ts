import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { git } from '../../foundations/git/git.ts';
import { filesBelow, isKept } from './handed-files.ts';

/** The candidate's README is made of it. */
const readme = 'helpers/for-interviewers/handout/readme-text.ts';
/** Shorter lines say too little to be told from others. */
const leastCharacters = 24;

/** A file that must not reach a candidate, and the lines by which it is known. */
export interface Fingerprint {
  readonly file: string;
  /** Trimmed lines that no file of a hand-out may contain. */
  readonly lines: readonly string[];
}

/** The lines that give away the catalogue's answers, and what else is for the interviewer alone, file by file. */
export async function fingerprints(catalogue: string): Promise<Fingerprint[]> {
  const files = (await filesBelow(catalogue)).filter((file) => /\.(?:ts|js|md|sql|yaml|patch)$/.test(file));
  const texts = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(catalogue, file), 'utf8');
      // Of a patch, what it adds: its other lines are those of its base.
      return { file, text: file.endsWith('.patch') ? text.replace(/^[- @].*$/gm, '').replace(/^\+/gm, '') : text };
    }),
  );
  const mayBeRead = (file: string) => !isKept(file) || file === readme;
  const open = texts
    .filter(({ file }) => mayBeRead(file))
    .map(({ text }) => text)
    .join('\n');
  const kept = texts
    .filter(({ file }) => !mayBeRead(file))
    .map(({ file, text }) => {
      const lines = new Set(text.split('\n').map((line) => line.trim()));
      return { file, lines: [...lines].filter((line) => line.length >= leastCharacters) };
    });
  const known = linesIn(open, kept);
  return kept.map(({ file, lines }) => ({ file, lines: lines.filter((line) => !known.has(line)) }));
}

/** All that the history of a git repository holds: every object, also of those that no branch leads to, and git's own files. */
export async function historyOf(repository: string): Promise<string> {
  const objects = await git(repository, ['cat-file', '--batch-all-objects', '--batch']);
  const files = (await filesBelow(repository, '.git')).filter((file) => !file.startsWith('.git/objects/'));
  const texts = await Promise.all(files.map((file) => readFile(join(repository, file), 'utf8')));
  return [objects, ...texts].join('\n');
}

/** One sentence for each fingerprint of which `text` contains a line. */
export function leaksIn(text: string, known: readonly Fingerprint[]): string[] {
  const found = linesIn(text, known);
  return known.flatMap(({ file, lines }) => {
    const first = lines.find((line) => found.has(line));
    return first === undefined ? [] : [`A line of ${file} is in it: ${first}`];
  });
}

/** Those lines that `text` contains. It is read once: there are tens of thousands of lines, and megabytes of text. */
function linesIn(text: string, known: readonly Fingerprint[]): Set<string> {
  const lines = new Set(known.flatMap((one) => one.lines));
  const byBeginning = Map.groupBy(lines, (line) => line.slice(0, leastCharacters));
  const found = new Set<string>();
  for (let at = 0; at + leastCharacters <= text.length; at++) {
    for (const line of byBeginning.get(text.slice(at, at + leastCharacters)) ?? [])
      if (text.startsWith(line, at)) found.add(line);
  }
  return found;
}
