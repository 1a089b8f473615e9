import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { type Connection, type PoolOptions, type ResultSetHeader, createPool } from 'mysql2/promise';

type Product = readonly [sku: string, name: string, price: number, description: string];

interface CsvRecord {
  readonly bytes: Buffer;
  /** The line on which it begins; the header is line 1. */
  readonly line: number;
}

const batchSize = 200;
/** More than a product can have: a quote that is never closed must not collect the rest of the file in memory. */
const longestRecordBytes = 64 * 1024;

const lostConnection = new Set(['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ECONNREFUSED']);

/** Starts again when the connection is lost. A second run is harmless, because it skips known skus. */
export async function importCsv(path: string, options: PoolOptions) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await importOnce(path, options);
    } catch (error) {
      if (attempt === 3 || !lostConnection.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}

/** The pool listens for errors of its idle connections. */
async function importOnce(path: string, options: PoolOptions) {
  const pool = createPool({ ...options, flags: ['-FOUND_ROWS'], connectionLimit: 1 });
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    const result = { rows: 0, skipped: 0 };
    for await (const batch of batches(createReadStream(path))) {
      const added = await insertNew(connection, batch);
      result.rows += added;
      result.skipped += batch.length - added;
    }
    await connection.commit();
    return result;
  } catch (error) {
    await connection.rollback().catch(() => undefined);
    throw error;
  } finally {
    connection.release();
    await pool.end().catch(() => undefined);
  }
}

/** Inserts the products whose sku is not in the table and returns how many there were. */
async function insertNew(connection: Connection, batch: readonly Product[]): Promise<number> {
  const [{ affectedRows }] = await connection.query<ResultSetHeader>(
    'INSERT INTO products (sku, name, price, description) VALUES ? ON DUPLICATE KEY UPDATE sku = products.sku',
    [batch],
  );
  return affectedRows;
}

async function* batches(chunks: AsyncIterable<Buffer>): AsyncGenerator<Product[]> {
  let batch: Product[] = [];
  for await (const records of recordsOf(chunks)) {
    for (const record of records) {
      if (record.line === 1) continue;
      batch.push(readProduct(record));
      if (batch.length < batchSize) continue;
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** Splits the file at line ends outside of quotes. It works on bytes, so no chunk can end inside a character. */
async function* recordsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<CsvRecord[]> {
  let rest: Buffer = Buffer.alloc(0);
  let isQuoted = false;
  let [line, beganAt] = [1, 1];
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk]);
    const records: CsvRecord[] = [];
    let from = 0;
    for (let at = rest.length; at < bytes.length; at++) {
      if (bytes[at] === 0x22) isQuoted = !isQuoted;
      if (bytes[at] !== 0x0a) continue;
      line += 1;
      if (isQuoted) continue;
      records.push({ bytes: bytes.subarray(from, at), line: beganAt });
      [from, beganAt] = [at + 1, line];
    }
    yield records;
    rest = bytes.subarray(from);
    if (rest.length > longestRecordBytes) throw badLine(beganAt, 'it goes on for longer than a product can');
  }
  if (rest.length > 0) yield [{ bytes: rest, line: beganAt }];
}

function readProduct({ bytes, line }: CsvRecord): Product {
  if (!isUtf8(bytes)) throw badLine(line, 'it is not UTF-8');
  const fields = readFields(bytes.toString('utf8').replace(/\r$/, ''), line);
  const [sku = '', name = '', price = '', description = ''] = fields;
  if (fields.length !== 4) throw badLine(line, `it has ${fields.length} fields instead of 4`);
  if (!/^[A-Za-z0-9-]{1,40}$/.test(sku)) throw badLine(line, `${JSON.stringify(sku)} is no sku`);
  if (!/^\d{1,9}$/.test(price)) throw badLine(line, `${JSON.stringify(price)} is no price`);
  if (isLonger(name, 200)) throw badLine(line, 'its name has more than 200 characters');
  if (isLonger(description, 1000)) throw badLine(line, 'its description has more than 1,000 characters');
  return [sku, name, Number(price), description];
}

function readFields(record: string, line: number): string[] {
  const fields: string[] = [];
  const next = /(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|$)/y;
  for (let end = ','; end === ',';) {
    const found = next.exec(record);
    if (!found) throw badLine(line, 'it has a quote where none may be, or one that is never closed');
    const [, quoted, plain = '', separator = ''] = found;
    fields.push(quoted?.replaceAll('""', '"') ?? plain);
    end = separator;
  }
  return fields;
}

/** Counts code points: an emoji is one character and has a length of two. */
function isLonger(text: string, characters: number): boolean {
  return text.length > characters && [...text].length > characters;
}

function badLine(line: number, why: string): Error {
  return new Error(`line ${line} cannot be imported: ${why}`);
}
