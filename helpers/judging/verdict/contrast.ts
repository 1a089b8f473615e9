const width = 36;
/** An account that is no longer than this is shown as a whole. */
const wholeLines = 24;
const linesBefore = 12;
const linesBehind = 2;

/**
 * Compares two accounts of the same events. Returns undefined when they are equal, else a table of 75 columns around the first line
 * that differs, and below it that line of both accounts, uncut. `seen` comes from the module's process, so it may be anything.
 */
export function contrast(
  expected: readonly string[],
  seen: unknown,
  titles: readonly [expected: string, seen: string],
): string | undefined {
  const own = Array.isArray(seen) ? seen.map(inWords) : [`${inWords(seen)}, not a list of lines`];
  const length = Math.max(expected.length, own.length);
  const at = Array.from({ length }, (_, index) => index).find((index) => expected[index] !== own[index]);
  if (at === undefined) return undefined;

  const from = length <= wholeLines ? 0 : Math.max(0, at - linesBefore);
  const to = length <= wholeLines ? length : Math.min(at + linesBehind + 1, length);
  const rows: (readonly [string, string])[] = [titles];
  if (from > 0) rows.push(['…', '…']);
  for (let index = from; index < to; index++) rows.push([expected[index] ?? '', own[index] ?? '']);
  if (to < length) rows.push(['…', '…']);
  return [
    ...rows.map(([left, right]) => `${cell(left)} | ${cell(right)}`.trimEnd()),
    `first difference, in line ${at + 1}:`,
    `  expected: ${whole(expected[at])}`,
    `  seen:     ${whole(own[at])}`,
  ].join('\n');
}

function inWords(one: unknown): string {
  return typeof one === 'string' ? one : typeof one;
}

function cell(text: string): string {
  const line = text.replace(/\s/g, ' ');
  return line.length > width ? `${line.slice(0, width - 1)}…` : line.padEnd(width);
}

function whole(text: string | undefined): string {
  return text === undefined ? 'nothing more' : text.trim().replace(/\s/g, ' ').slice(0, 200);
}
