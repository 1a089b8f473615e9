import { diffArrays } from 'diff';

/** Lines of several texts that stand beside each other; a text that has none there has undefined. */
export type Row = readonly (string | undefined)[];

/**
 * Puts two texts beside each other, line by line: equal lines in one row, and a changed stretch beside what it became.
 */
function alignTwo(one: string, other: string): Row[] {
  const rows: Row[] = [];
  let removed: readonly string[] = [];
  const flush = (added: readonly string[] = []) => {
    for (let index = 0; index < Math.max(removed.length, added.length); index++)
      rows.push([removed[index], added[index]]);
    removed = [];
  };
  for (const part of diffArrays(linesOf(one), linesOf(other))) {
    if (part.removed) removed = part.value;
    else if (part.added) flush(part.value);
    else {
      flush();
      rows.push(...part.value.map((line) => [line, line]));
    }
  }
  flush();
  return rows;
}

/** Puts texts beside each other, each aligned with the one before it. */
export function align([first = '', ...others]: readonly string[]): Row[] {
  let rows: Row[] = linesOf(first).map((line) => [line]);
  let previous = first;
  for (const other of others) {
    rows = join(rows, alignTwo(previous, other));
    previous = other;
  }
  return rows;
}

/** Joins rows that end in a text with pairs that begin with the same text. */
function join(rows: readonly Row[], pairs: readonly Row[]): Row[] {
  const joined: Row[] = [];
  const rest = [...pairs];
  for (const row of rows) {
    const isGap = row.at(-1) === undefined;
    while (!isGap && rest[0]?.[0] === undefined && rest.length > 0)
      joined.push([...row.map(() => undefined), rest.shift()?.[1]]);
    // Lines that only the outer texts have share a row.
    const pair = !isGap || rest[0]?.[0] === undefined ? rest.shift() : undefined;
    joined.push([...row, pair?.[1]]);
  }
  for (const [, line] of rest) joined.push([...(rows[0] ?? []).map(() => undefined), line]);
  return joined;
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}
