import Table from 'cli-table3';
import wrapAnsi from 'wrap-ansi';
import { type Row, align } from './align.ts';
import type { Paint } from '../../foundations/command-line/terminal.ts';
import type { Version } from './read-versions.ts';

const markWidth = 3;
/** A table without its frame. */
const noLines = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid', 'middle'].flatMap((side) =>
    ['', '-mid', '-left', '-right'].map((end) => [side + end, '']),
  ),
);

/**
 * The versions side by side, in columns that fill `width`. The mark between two lines is that of sdiff: `|` changed, `<`
 * only on its left, `>` only on its right.
 */
export function columnsText(versions: readonly Version[], width: number, paint: Paint): string {
  const own = Math.floor((width - markWidth * (versions.length - 1)) / versions.length);
  const table = new Table({
    colWidths: versions.flatMap((_, index) => (index === 0 ? [own] : [markWidth, own])),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    chars: noLines,
  });
  const wrap = (text: string) => wrapAnsi(text, own, { hard: true, trim: false, wordWrap: false });
  const head = versions.flatMap(({ role, file }) => ['', paint('bold', wrap(`${role}: ${file}`))]);
  table.push(head.slice(1));
  for (const row of align(versions.map(({ text }) => text))) table.push(cellsOf(row, wrap, paint));
  return table.toString().replace(/ +$/gm, '');
}

/** A row's lines, with the mark between each two of them; what the next text has not is red, what is new in it green. */
function cellsOf(row: Row, wrap: (text: string) => string, paint: Paint): string[] {
  return row.flatMap((line, index) => {
    const [before, after] = [row[index - 1], row[index + 1]];
    const isLast = index === row.length - 1;
    const color = index > 0 && line !== before ? 'green' : !isLast && line !== after ? 'red' : undefined;
    const cell = line === undefined ? '' : wrap(line);
    const painted =
      color === undefined
        ? cell
        : cell
            .split('\n')
            .map((part) => paint(color, part))
            .join('\n');
    return index === 0 ? [painted] : [` ${markBetween(before, line)}`, painted];
  });
}

function markBetween(one: string | undefined, other: string | undefined): string {
  if (one === other) return '';
  return one === undefined ? '>' : other === undefined ? '<' : '|';
}
