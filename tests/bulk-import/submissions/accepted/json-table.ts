import { createReadStream } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { type PoolOptions, type ResultSetHeader, createPool } from 'mysql2/promise';

const statement = `INSERT INTO products (sku, name, price, description)
  SELECT t.sku, t.name, t.price, t.description
  FROM JSON_TABLE(?, '$[*]' COLUMNS (
    sku VARCHAR(40) CHARACTER SET utf8mb4 PATH '$[0]',
    name VARCHAR(200) CHARACTER SET utf8mb4 PATH '$[1]',
    price INT UNSIGNED PATH '$[2]',
    description VARCHAR(1000) CHARACTER SET utf8mb4 PATH '$[3]'
  )) AS t
  ON DUPLICATE KEY UPDATE sku = products.sku`;

/** A prepared statement with all rows of a batch in one JSON parameter. Lines are joined again while a quote is open. */
export async function importCsv(path: string, options: PoolOptions) {
  const pool = createPool({ ...options, connectionLimit: 1, flags: ['-FOUND_ROWS'] });
  try {
    const connection = await pool.getConnection();
    await connection.beginTransaction();
    const result = { rows: 0, skipped: 0 };
    let batch: unknown[] = [];
    const flush = async () => {
      const [{ affectedRows }] = await connection.execute<ResultSetHeader>(statement, [JSON.stringify(batch)]);
      result.rows += affectedRows;
      result.skipped += batch.length - affectedRows;
      batch = [];
    };
    for await (const row of rowsOf(createReadStream(path, { encoding: 'latin1' }))) {
      if (batch.push(row) === 500) await flush();
    }
    if (batch.length > 0) await flush();
    await connection.commit();
    return result;
  } finally {
    await pool.end();
  }
}

/** Reads one character per byte and decodes a row when it is complete. */
async function* rowsOf(input: NodeJS.ReadableStream): AsyncGenerator<unknown[]> {
  let [number, began] = [0, 0];
  let open: string | undefined;
  for await (const part of linesOf(input)) {
    number += 1;
    if (open === undefined) began = number;
    const record: string = open === undefined ? part : `${open}\n${part}`;
    const isOpen = record.length < 100_000 && record.split('"').length % 2 === 0;
    open = isOpen ? record : undefined;
    if (!isOpen && began > 1) yield readRow(record, began);
  }
  if (open !== undefined) throw new Error(`line ${began}: quote never closed`);
}

/** readline would also split at a lone CR and drop a CR before LF, which must stay inside quotes. */
async function* linesOf(input: NodeJS.ReadableStream): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of input as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== '') yield rest;
}

function readRow(record: string, line: number): unknown[] {
  const bytes = Buffer.from(record.endsWith('\r') ? record.slice(0, -1) : record, 'latin1');
  if (!isUtf8(bytes)) throw new Error(`line ${line}: not UTF-8`);
  const pieces = bytes.toString('utf8').split(',');
  const fields: string[] = [];
  while (pieces.length > 0) {
    let field = pieces.shift()!;
    if (field.startsWith('"')) {
      while (!/^"(?:[^"]|"")*"$/.test(field)) {
        const more = pieces.shift();
        if (more === undefined) throw new Error(`line ${line}: quote out of place`);
        field += `,${more}`;
      }
      field = field.slice(1, -1).replaceAll('""', '"');
    } else if (field.includes('"')) throw new Error(`line ${line}: quote out of place`);
    fields.push(field);
  }
  const [sku, name, price, description] = fields;
  const fits =
    fields.length === 4 &&
    /^[-0-9A-Za-z]{1,40}$/.test(sku!) &&
    /^[^]{0,200}$/u.test(name!) &&
    /^\d{1,9}$/.test(price!) &&
    /^[^]{0,1000}$/u.test(description!);
  if (!fits) throw new Error(`line ${line}: this is no product`);
  return [sku, name, Number(price), description];
}
