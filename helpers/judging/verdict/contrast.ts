const width = 36;
const linesBefore = 8;
const linesBehind = 2;

/**
 * Two accounts of the same thing side by side, as a table of 75 columns around the first line in which they differ; undefined
 * when they don't. `seen` is what a module's process has answered, so it may be anything.
 */
export function contrast(
  expected: readonly string[],
  seen: unknown,
  titles: readonly [expected: string, seen: string],
): string | undefined {
  const own = Array.isArray(seen) ? seen.map(inWords) : [`${inWords(seen)}, and no account`];
  const length = Math.max(expected.length, own.length);
  const at = Array.from({ length }, (_, index) => index).find((index) => expected[index] !== own[index]);
  if (at === undefined) return undefined;

  const from = Math.max(0, at - linesBefore);
  const rows: (readonly [string, string])[] = [titles];
  if (from > 0) rows.push(['…', '…']);
  for (let index = from; index <= Math.min(at + linesBehind, length - 1); index++)
    rows.push([expected[index] ?? '', own[index] ?? '']);
  return rows.map(([left, right]) => `${cell(left)} | ${cell(right)}`.trimEnd()).join('\n');
}

function inWords(one: unknown): string {
  return typeof one === 'string' ? one : typeof one;
}

function cell(text: string): string {
  const line = text.replace(/\s/g, ' ');
  return line.length > width ? `${line.slice(0, width - 1)}…` : line.padEnd(width);
}
