const width = 36;
const before = 8;
const behind = 2;

/**
 * Two accounts of the same thing side by side, around the first line in which they differ; undefined when they don't.
 * `yours` is what a module's process has answered, so it may be anything.
 */
export function contrast(theirs: readonly string[], yours: unknown): string | undefined {
  const own = Array.isArray(yours) ? yours.map(String) : [`${String(yours)}, and no account`];
  const length = Math.max(theirs.length, own.length);
  const at = Array.from({ length }, (_, index) => index).find((index) => theirs[index] !== own[index]);
  if (at === undefined) return undefined;

  const from = Math.max(0, at - before);
  const rows = [['Node’s class', 'yours']];
  if (from > 0) rows.push(['…', '…']);
  for (let index = from; index <= Math.min(at + behind, length - 1); index++)
    rows.push([theirs[index] ?? '', own[index] ?? '']);
  return rows.map(([left = '', right = '']) => `${cell(left)} | ${cell(right)}`.trimEnd()).join('\n');
}

function cell(text: string): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}
