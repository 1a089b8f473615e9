import { createReadStream } from 'node:fs';
import { createPool, type PoolConnection, type PoolOptions, type ResultSetHeader } from 'mysql2/promise';

/** Fills a temporary table first, which only this session sees, and copies it in one statement. */
export async function importCsv(path: string, options: PoolOptions) {
  const pool = createPool({ ...options, connectionLimit: 1 });
  try {
    const connection = await pool.getConnection();
    await connection.query(
      'CREATE TEMPORARY TABLE incoming (sku VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, name TEXT CHARACTER SET utf8mb4, price INT UNSIGNED, description TEXT CHARACTER SET utf8mb4)',
    );
    await connection.beginTransaction();
    let total = 0;
    let rows: string[][] = [];
    for await (const row of parse(path)) {
      rows.push(row);
      total += 1;
      if (rows.length === 2000) rows = await stage(connection, rows);
    }
    await stage(connection, rows);
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(
      'INSERT INTO products (sku, name, price, description) SELECT i.sku, i.name, i.price, i.description FROM incoming i LEFT JOIN products p ON p.sku = i.sku WHERE p.sku IS NULL',
    );
    await connection.commit();
    return { rows: affectedRows, skipped: total - affectedRows };
  } finally {
    await pool.end();
  }
}

async function stage(connection: PoolConnection, rows: string[][]): Promise<string[][]> {
  // The values have been checked, so IGNORE only skips repeated skus.
  if (rows.length > 0) await connection.query('INSERT IGNORE INTO incoming VALUES ?', [rows]);
  return [];
}

/** Reads byte by byte and decodes a field when it is complete. */
async function* parse(path: string): AsyncGenerator<string[]> {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let [line, startLine] = [1, 1];
  let state: 'start' | 'plain' | 'quoted' | 'quote' = 'start';
  let field = '';
  let fields: string[] = [];
  const fail = (): never => {
    throw new Error(`cannot import line ${startLine} of ${path}`);
  };
  const row = (): string[] => {
    fields.push(state === 'quote' ? field : field.replace(/\r$/, ''));
    try {
      const decoded = fields.map((bytes) => strict.decode(Buffer.from(bytes, 'latin1')));
      return isProduct(decoded) ? decoded : fail();
    } catch {
      return fail();
    }
  };

  for await (const chunk of createReadStream(path, 'latin1') as AsyncIterable<string>) {
    for (const char of chunk) {
      if (char === '\n') line += 1;
      if (state === 'quoted') {
        if (char === '"') state = 'quote';
        else field += char;
      } else if (char === '"' && state === 'quote') {
        field += char;
        state = 'quoted';
      } else if (char === '"' && state === 'start') {
        state = 'quoted';
      } else if (char === ',') {
        fields.push(field);
        field = '';
        state = 'start';
      } else if (char === '\n') {
        if (startLine > 1) yield row();
        fields = [];
        field = '';
        state = 'start';
        startLine = line;
      } else if (char === '"' || (state === 'quote' && char !== '\r')) {
        fail();
      } else if (state !== 'quote') {
        field += char;
        state = 'plain';
      }
    }
  }
  if (state === 'quoted') fail();
  if (startLine > 1 && (state !== 'start' || fields.length > 0)) yield row();
}

function isProduct([sku = '', name = '', price = '', description, ...more]: string[]): boolean {
  return (
    description !== undefined &&
    more.length === 0 &&
    /^[a-z\d-]{1,40}$/i.test(sku) &&
    /^\d{1,9}$/.test(price) &&
    [...name].length <= 200 &&
    [...description].length <= 1000
  );
}
