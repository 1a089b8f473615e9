import { FILE_HEADERS_ONLY, formatPatch, parsePatch, structuredPatch } from 'diff';
import { UserError } from '../command-line/user-error.ts';

/** A wrong answer as it is stored: the header that claims what it breaks, and the mistake as a diff against another answer. */
export interface SubmissionPatch {
  /** The lines `breaks: …`, `why: …` and `ask: …`, without a line break at the end. */
  readonly header: string;
  /** What the diff starts from: `solution.ts`, or a file of the kata's submissions such as `accepted/one-map.ts`. */
  readonly base: string;
  readonly hunks: readonly Hunk[];
}

/** One piece of a unified diff. */
interface Hunk {
  /** Where it begins in the base, from 1. */
  readonly oldStart: number;
  /** With `+`, `-` or a space in front of each. */
  readonly lines: readonly string[];
}

const form =
  'A patch has the lines "breaks: [3, 7]", "why: …" and "ask: …", a blank line, then "--- accepted/<name>.ts" or ' +
  '"--- solution.ts", "+++ rejected/<name>.ts", and hunks.';

/**
 * Reads a patch.
 * @param file its path, for the message
 * @throws UserError that names the file and its fault
 */
export function parseSubmissionPatch(text: string, file: string): SubmissionPatch {
  const [, header, base, body] = /^(.+?)\n\n--- (\S+)\n(\+\+\+ \S+\n.*)$/s.exec(text) ?? [];
  if (header === undefined || base === undefined || body === undefined)
    throw new UserError(`${file} is not a patch of a submission. ${form}`);
  if (!/^(?:solution|accepted\/[\w-]+|rejected\/[\w-]+)\.ts$/.test(base))
    throw new UserError(`${file} starts from ${base}, which is not an answer to this kata. ${form}`);

  let hunks: readonly Hunk[];
  try {
    hunks = parsePatch(`--- ${base}\n${body}`)[0]!.hunks;
  } catch (error) {
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`);
  }
  if (hunks.length === 0) throw new UserError(`${file} has no hunk, so it is the same as its base. ${form}`);
  return { header, base, hunks };
}

/**
 * The wrong answer's full text, with its header as the comment on top. Every line of the base that a hunk shows must be
 * there, letter for letter. A hunk whose place has moved is put where its lines are, if they are there once only.
 * @param names the patch and the base, for the message
 * @throws UserError that names the patch, the base and the hunk that does not fit
 */
export function applySubmissionPatch(
  { header, hunks }: SubmissionPatch,
  baseText: string,
  names: { readonly patch: string; readonly base: string },
): string {
  const lines = linesOf(baseText);
  const result: string[] = [];
  let next = 0;
  let moved = 0;
  for (const [index, hunk] of hunks.entries()) {
    const old = hunk.lines.filter((line) => !line.startsWith('+')).map((line) => line.slice(1));
    const said = hunk.oldStart - 1 + moved;
    const at = placeOf(old, lines, said, next);
    if (typeof at === 'string') {
      throw new UserError(
        `${names.patch} does not apply to ${names.base}: hunk ${index + 1} of ${hunks.length} (line ${hunk.oldStart}) ${at} Write the patch anew against the base as it is now.`,
      );
    }
    moved += at - said;
    result.push(...lines.slice(next, at));
    result.push(...hunk.lines.filter((line) => !line.startsWith('-')).map((line) => line.slice(1)));
    next = at + old.length;
  }
  result.push(...lines.slice(next));
  return `/*\n${header}\n*/\n${result.map((line) => `${line}\n`).join('')}`;
}

/** Where the old lines of a hunk are, or why that cannot be said. */
function placeOf(old: readonly string[], lines: readonly string[], said: number, from: number): number | string {
  const fits = (at: number) => old.every((line, offset) => lines[at + offset] === line);
  if (said >= from && said <= lines.length && fits(said)) return said;
  if (old.length === 0) return 'begins behind the end of the base.';
  const places = Array.from({ length: Math.max(0, lines.length - from) }, (_, index) => from + index).filter(fits);
  if (places.length === 1) return places[0]!;
  if (places.length > 1) return `has moved, and its lines are in ${places.length} places.`;
  const wrong = old.findIndex((line, offset) => lines[said + offset] !== line);
  const found = lines[said + wrong];
  return `expects "${old[wrong]!.trim()}" where the base has ${found === undefined ? 'no line any more' : `"${found.trim()}"`}.`;
}

/** What a patch would be, and how near the two texts are. */
export interface Folded {
  /** The patch file's text. */
  readonly text: string;
  /** Lines that are removed from the base or added to it. */
  readonly changedLines: number;
  /** The part of the wrong answer's lines that the base has too, from 0 to 1. */
  readonly shared: number;
}

/**
 * Folds a full text into a patch against a base.
 * @param fullText a wrong answer that begins with its comment of claims
 * @param base its name for the patch's `---` line, and its text
 * @param contextLines unchanged lines around each change, 1 to 3
 * @throws UserError when the text does not begin with its claims
 */
export function foldSubmission(
  fullText: string,
  { name, base, baseText }: { readonly name: string; readonly base: string; readonly baseText: string },
  contextLines = 1,
): Folded {
  const { header, body } = splitClaims(fullText, `rejected/${name}.ts`);
  const patch = structuredPatch(base, `rejected/${name}.ts`, ended(baseText), ended(body), undefined, undefined, {
    context: contextLines,
  });
  const lines = patch.hunks.flatMap((hunk) => hunk.lines);
  const added = lines.filter((line) => line.startsWith('+')).length;
  const removed = lines.filter((line) => line.startsWith('-')).length;
  const total = Math.max(1, linesOf(body).length);
  return {
    text: `${header}\n\n${formatPatch(patch, FILE_HEADERS_ONLY)}`,
    changedLines: added + removed,
    shared: (total - added) / total,
  };
}

/** Cuts a full text into its claims, without the comment around them, and what follows. */
export function splitClaims(fullText: string, file: string): { header: string; body: string } {
  const [, header, body] = /^\/\*\n(.+?)\n\*\/\n(.*)$/s.exec(fullText) ?? [];
  if (header === undefined || body === undefined || header.includes('\n\n'))
    throw new UserError(
      `${file} has no header, so nobody knows which promises it breaks. It begins with a comment block of three lines: "breaks: [3, 7]", "why: …", "ask: …".`,
    );
  return { header, body };
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

function ended(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
