import wrapAnsi from 'wrap-ansi';
import { type Kata, tiers } from '../../foundations/catalogue/catalogue.ts';
import { harmless } from '../../foundations/sanitizing/harmless.ts';
import type { PromiseVerdict, Verdict } from './verdict.ts';
import { painter } from '../../foundations/command-line/terminal.ts';

export interface BoardOptions {
  /** Whether the text may carry color. */
  readonly isColored: boolean;
  /** Which file was judged, as the reader knows it. */
  readonly file: string;
  /** Whether every broken promise is explained, and not the first one alone. */
  readonly explainsAll?: boolean;
}

const columns = 80;
/** Lines of what a module printed, and of its stack, that the board shows. */
const printedLines = 10;
const stackLines = 4;
/** What of a module's own words is looked at. */
const printedCharacters = 10_000;

/**
 * A kata's verdict as a text of 80 columns: which promises hold, by tier, and for the first broken one what was seen
 * and where to read on.
 */
export function board(
  kata: Pick<Kata, 'slug'>,
  verdict: Verdict,
  { isColored, file, explainsAll = false }: BoardOptions,
): string {
  const paint = painter(isColored);
  const held = verdict.promises.filter((promise) => promise.held).length;
  const count = `${held} of ${verdict.promises.length} promises hold`;
  const notJudged = verdict.promises.filter((promise) => promise.notJudged !== undefined);
  const lines = [
    `${paint('bold', kata.slug)}${' '.repeat(Math.max(2, columns - kata.slug.length - count.length))}${count}`,
  ];

  for (const tier of tiers) {
    const promises = verdict.promises.filter((promise) => promise.tier === tier);
    promises.forEach((promise, index) => {
      const mark = promise.held ? paint('green', '✓') : promise.notJudged === undefined ? paint('red', '✗') : '–';
      const text = indent(wrap(promise.text, columns - 16), 16).trimStart();
      lines.push(`  ${(index === 0 ? tier : '').padEnd(8)} ${mark} ${String(promise.number).padStart(2)} ${text}`);
    });
  }

  for (const { number, notJudged: reason } of notJudged)
    lines.push('', wrap(`Promise ${number} is not judged here: ${reason}`, columns));

  const allBroken = verdict.promises.filter((promise) => !promise.held && promise.notJudged === undefined);
  const [broken] = allBroken;
  if (verdict.trouble !== undefined)
    lines.push('', 'The judge could not run:', indent(wrap(harmless(verdict.trouble), columns - 2), 2));
  for (const one of explainsAll ? allBroken : allBroken.slice(0, 1)) {
    const title =
      one === broken
        ? `The first broken promise is ${one.number}. What was seen:`
        : `Promise ${one.number} is broken. What was seen:`;
    lines.push('', ...story(one, title, paint));
  }
  if (broken) lines.push('', ...readOn(kata.slug, file, broken));
  return lines.join('\n');
}

function story(
  broken: PromiseVerdict,
  title: string,
  paint: (style: 'bold' | 'dim', text: string) => string,
): string[] {
  const lines = [
    paint('bold', title),
    // A module's own words may be in it, and a terminal obeys what it is sent.
    indent(keepTable(harmless(broken.seen ?? '')), 2),
  ];
  if (broken.stack !== undefined)
    lines.push(
      ...harmless(broken.stack)
        .split('\n')
        .slice(0, stackLines)
        .map((line) => `  ${line}`),
    );
  if (broken.printed !== undefined) {
    const printed = harmless(broken.printed.slice(-printedCharacters)).trimEnd().split('\n');
    const rest = printed.length > printedLines ? ` (the last ${printedLines} of ${printed.length} lines)` : '';
    lines.push(
      paint('bold', `The module printed${rest}:`),
      ...printed.slice(-printedLines).map((line) => `  ${line.slice(0, columns - 2)}`),
    );
  }
  return lines;
}

function readOn(slug: string, file: string, broken: PromiseVerdict): string[] {
  const judge = `tests/${slug}/${slug}.test.ts${broken.line === undefined ? '' : `:${broken.line}`}`;
  return [`Your file   ${file}`, `Read on     katas/${slug}/README.md, its promises and hints`, `The judge   ${judge}`];
}

/** Wraps sentences and leaves the lines of a timeline as they are. */
function keepTable(text: string): string {
  return text
    .split('\n')
    .map((line) => (/^\S+\s{2,}| \| |\|$/.test(line) ? line : wrap(line, columns - 2)))
    .join('\n');
}

function wrap(text: string, width: number): string {
  return wrapAnsi(text, width, { hard: true });
}

function indent(text: string, spaces: number): string {
  return text
    .split('\n')
    .map((line) => ' '.repeat(spaces) + line)
    .join('\n');
}
