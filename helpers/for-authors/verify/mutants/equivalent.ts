import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../../foundations/catalogue/target.ts';
import { UserError } from '../../../foundations/command-line/user-error.ts';
import type { Mutant } from './mutate.ts';

/** A mutant that behaves like the reference, so that no test can tell, and why. */
export interface Equivalent {
  readonly before: string;
  readonly after: string;
  readonly why: string;
}

/** Where a kata's equivalent mutants are listed, relative to the repository. It quotes the reference, so it is not handed out. */
export function mutantsFile(slug: string): string {
  return `solutions/${slug}/mutants.md`;
}

/** The listed equivalent mutants of a kata; none when there is no list. */
export function readEquivalents(slug: string, root = repositoryRoot): Equivalent[] {
  const file = join(root, mutantsFile(slug));
  return existsSync(file) ? parseEquivalents(readFileSync(file, 'utf8'), mutantsFile(slug)) : [];
}

/**
 * Reads a list: each item is the line before and after, as code, and a reason. Anything but items is prose.
 * @throws UserError that quotes an item without one of them
 */
export function parseEquivalents(text: string, file: string): Equivalent[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('- '))
    .map((line) => {
      const [, , before, , after, why] = /^- (`+) ?(.+?) ?\1 → (`+) ?(.+?) ?\3: (.+)$/.exec(line) ?? [];
      if (before === undefined || after === undefined || why === undefined)
        throw new UserError(
          `${file} has an item of another form: "${line}". Each is "- \`line before\` → \`line after\`: why no test can tell".`,
        );
      return { before, after, why };
    });
}

/** An item of the list for this mutant, with the reason left to write. */
export function equivalentItem({ before, after }: Pick<Mutant, 'before' | 'after'>): string {
  return `- ${code(before)} → ${code(after)}: why`;
}

function code(line: string): string {
  if (!line.includes('`')) return `\`${line}\``;
  const longest = Math.max(...(line.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return `${fence} ${line} ${fence}`;
}
