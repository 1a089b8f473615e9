import { createTwoFilesPatch } from 'diff';
import wrapAnsi from 'wrap-ansi';
import type { Paint } from '../../foundations/command-line/terminal.ts';
import type { Version } from './read-versions.ts';

/** What changes from each version to the next, as unified diffs below each other, within `width` columns. */
export function unifiedText(versions: readonly Version[], width: number, paint: Paint): string {
  return versions
    .slice(1)
    .map((version, index) => unifiedDiff(versions[index]!, version))
    .map((patch) =>
      patch
        .split('\n')
        .map((line) => paintLine(line, width, paint))
        .join('\n'),
    )
    .join('\n');
}

/** The unified diff from one version to another; with `context` lines around each change. */
export function unifiedDiff(one: Version, other: Version, context = 3): string {
  const [from, to] = [one, other].map(({ role, file }) => `${role}: ${file}`) as [string, string];
  return createTwoFilesPatch(from, to, one.text, other.text, '', '', { context }).replace(/^=+\n/, '');
}

function paintLine(line: string, width: number, paint: Paint): string {
  const style = /^(?:---|\+\+\+) /.test(line)
    ? 'bold'
    : ({ '+': 'green', '-': 'red', '@': 'cyan' } as const)[line.charAt(0) as '+' | '-' | '@'];
  const parts = wrapAnsi(line, width, { hard: true, trim: false, wordWrap: false }).split('\n');
  return parts.map((part) => (style === undefined ? part : paint(style, part))).join('\n');
}
