import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';

/** A value as the server wrote it; null is NULL. */
export type Value = string | null;

/** What a statement was answered with: rows, or the count of those that it touched. */
export type Result = { readonly columns: readonly Column[]; readonly rows: readonly (readonly Value[])[] } | Counts;

interface Counts {
  readonly affected: number;
  /** The server's own words, as in `Rows matched: 1  Changed: 0  Warnings: 0`. */
  readonly info: string;
  readonly insertId: number;
  readonly warnings: number;
}

export interface Column {
  readonly name: string;
  readonly isNumber: boolean;
}

const shownRows = 1_000;
const narrowest = 4;
const writes = /^\s*(insert|update|delete|replace|load|with)\b/i;

/** A result to read: a table cut to `width` columns and a line that counts, with the time it took. */
export function resultText(result: Result, sql: string, ms: number, width: number, vertical = false): string {
  if (!('rows' in result)) return `${countText(result, sql)}, ${timeText(ms)}`;
  const { columns, rows } = result;
  if (rows.length === 0) return `no rows, ${timeText(ms)}`;
  const shown = rows.slice(0, shownRows);
  const body = vertical ? listText(columns, shown) : tableText(columns, shown, width);
  const left = rows.length - shown.length;
  return `${body}\n${plural(rows.length, 'row')}${left > 0 ? ` (the last ${left} not shown)` : ''}, ${timeText(ms)}`;
}

/** A table with a frame; a value that does not fit is cut and ends with `…`. */
export function tableText(columns: readonly Column[], rows: readonly (readonly Value[])[], width: number): string {
  const cells = [columns.map(({ name }) => name), ...rows].map((row) => row.map(cellText));
  const natural = columns.map((_, index) => Math.max(...cells.map((row) => widthOf(row[index] ?? ''))));
  const widths = fit(natural, width - (columns.length * 3 + 1));
  const table = new Table({
    head: cells[0] ?? [],
    // With two blanks, as the table counts it.
    colWidths: widths.map((columnWidth) => columnWidth + 2),
    colAligns: columns.map(({ isNumber }) => (isNumber ? 'right' : 'left')),
    style: { head: [], border: [], compact: true },
  });
  table.push(...cells.slice(1));
  return table.toString();
}

function listText(columns: readonly Column[], rows: readonly (readonly Value[])[]): string {
  const indent = Math.max(...columns.map(({ name }) => widthOf(name)));
  return rows
    .map((row, index) => {
      const lines = columns.map(({ name }, column) => `${name.padStart(indent)}: ${cellText(row[column] ?? null)}`);
      return [`--- row ${index + 1} ---`, ...lines].join('\n');
    })
    .join('\n');
}

function countText({ affected, info, insertId, warnings }: Counts, sql: string): string {
  const parts: string[] = [];
  // Both figures: drivers and clients differ in which of them they call "affected".
  const [, matched, changed] = /Rows matched: (\d+)\s+Changed: (\d+)/.exec(info) ?? [];
  if (matched !== undefined) parts.push(`${plural(Number(matched), 'row')} matched, ${changed} changed`);
  else if (affected > 0 || writes.test(sql)) parts.push(plural(affected, 'row'));
  if (insertId > 0) parts.push(`insert id ${insertId}`);
  if (warnings > 0) parts.push(`${plural(warnings, 'warning')} (SHOW WARNINGS; tells more)`);
  return ['OK', ...parts].join(', ');
}

/** A time as a person reads it: `0.8 ms`, `24 ms`, `3.2 s`. */
export function timeText(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `1 row`, `2 rows`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A value must not move the cursor or color the terminal; only its line ends stay. */
function cellText(value: Value): string {
  if (value === null) return 'NULL';
  return stripVTControlCharacters(value)
    .replaceAll('\r\n', '\n')
    .replaceAll('\t', '    ')
    .replace(/[\0-\x09\x0b-\x1f\x7f-\x9f]/g, '�');
}

function widthOf(text: string): number {
  return Math.max(...text.split('\n').map((line) => [...line].length));
}

/** Takes from the widest columns first, until all fit into `room`, or none can give more. */
function fit(natural: readonly number[], room: number): number[] {
  const sum = (limit: number) => natural.reduce((total, width) => total + Math.min(width, limit), 0);
  let limit = Math.max(...natural);
  while (limit > narrowest && sum(limit) > room) limit -= 1;
  let spare = room - sum(limit);
  return natural.map((width) => {
    if (width <= limit) return width;
    const extra = spare > 0 ? 1 : 0;
    spare -= extra;
    return limit + extra;
  });
}
