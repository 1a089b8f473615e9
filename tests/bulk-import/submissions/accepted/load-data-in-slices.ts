import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { type Connection, type PoolOptions, type ResultSetHeader, createConnection } from 'mysql2/promise';

const sliceBytes = 512 * 1024;

/** LOAD DATA, a slice at a time. Each slice is checked first and written again with escapes that the server understands. */
export async function importCsv(path: string, options: PoolOptions) {
  const file = await open(path);
  let connection: Connection | undefined;
  try {
    connection = await createConnection(options);
    connection.on('error', () => {});
    await connection.query('START TRANSACTION');
    let [line, rows, total] = [1, 0, 0];
    let rest = Buffer.alloc(0);
    for (let isOver = false; !isOver;) {
      const buffer = Buffer.alloc(sliceBytes);
      const { bytesRead } = await file.read(buffer, 0, sliceBytes);
      isOver = bytesRead === 0;
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      const end = isOver ? bytes.length : endOfRecords(bytes);
      const slice = parse(bytes.subarray(0, end), line);
      line = slice.line;
      rest = Buffer.from(bytes.subarray(end));
      total += slice.rows.length;
      if (slice.rows.length > 0) rows += await load(connection, slice.rows);
    }
    await connection.query('COMMIT');
    return { rows, skipped: total - rows };
  } finally {
    connection?.destroy();
    await file.close();
  }
}

async function load(connection: Connection, rows: readonly string[][]): Promise<number> {
  const text = rows.map((row) => `${row.map(escaped).join('\t')}\n`).join('');
  const [{ affectedRows }] = await connection.query<ResultSetHeader>({
    // LOCAL skips known keys. It would also truncate what does not fit, but all rows have been checked.
    sql: "LOAD DATA LOCAL INFILE 'slice' INTO TABLE products CHARACTER SET utf8mb4 (sku, name, price, description)",
    infileStreamFactory: () => Readable.from([Buffer.from(text)]),
  });
  return affectedRows;
}

function escaped(field: string): string {
  return field.replace(/[\\\t\n\r]/g, (char) => ({ '\t': '\\t', '\n': '\\n', '\r': '\\r' })[char] ?? `\\${char}`);
}

/** The position after the last line end outside of quotes. */
function endOfRecords(bytes: Buffer): number {
  let [isQuoted, end] = [false, 0];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 34) isQuoted = !isQuoted;
    else if (bytes[at] === 10 && !isQuoted) end = at + 1;
  }
  return end;
}

function parse(bytes: Buffer, firstLine: number): { rows: string[][]; line: number } {
  const rows: string[][] = [];
  let line = firstLine;
  for (let from = 0; from < bytes.length;) {
    const length = firstRecord(bytes.subarray(from));
    const record = bytes.subarray(from, from + length);
    if (line > 1) rows.push(readRow(record, line));
    for (const byte of record) if (byte === 10) line += 1;
    from += length;
  }
  return { rows, line };
}

function firstRecord(bytes: Buffer): number {
  let isQuoted = false;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 34) isQuoted = !isQuoted;
    else if (bytes[at] === 10 && !isQuoted) return at + 1;
  }
  return bytes.length;
}

function readRow(record: Buffer, line: number): string[] {
  const bad = (why: string) => new Error(`${why} (line ${line})`);
  const text = record.toString('utf8').replace(/\r?\n$/, '');
  if (Buffer.from(text).compare(record.subarray(0, Buffer.byteLength(text))) !== 0) throw bad('not UTF-8');
  const fields: string[] = [];
  for (let at = 0; at <= text.length;) {
    const match = /^(?:"((?:[^"]|"")*)"|[^",]*)(?=,|$)/.exec(text.slice(at));
    if (!match) throw bad('misplaced quote');
    fields.push(match[1] === undefined ? match[0] : match[1].replaceAll('""', '"'));
    at += match[0].length + 1;
  }
  const [sku, name, price, description] = fields as [string, string, string, string];
  if (fields.length !== 4) throw bad('four fields expected');
  if (!/^[A-Za-z0-9-]+$/.test(sku) || sku.length > 40) throw bad('bad sku');
  if (!/^[0-9]{1,9}$/.test(price)) throw bad('bad price');
  if (Array.from(name).length > 200 || Array.from(description).length > 1000) throw bad('too long');
  return fields;
}
