import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { type Connection, type PoolOptions, type ResultSetHeader, createConnection } from 'mysql2/promise';

/** Reads the file twice: once to check it, and once to import it, with the table locked. */
export async function importCsv(path: string, options: PoolOptions) {
  for await (const batch of checked(path, 10_000)) void batch;

  const connection = await createConnection({ ...options, flags: ['-FOUND_ROWS'] });
  connection.on('error', () => undefined);
  try {
    // The order that InnoDB needs: no autocommit, then the lock, and COMMIT before UNLOCK.
    await connection.query('SET autocommit = 0');
    await connection.query('LOCK TABLES products WRITE');
    const [before, total] = [await count(connection), { rows: 0 }];
    for await (const batch of checked(path, 1000)) {
      total.rows += batch.length;
      await insert(connection, batch);
    }
    const rows = (await count(connection)) - before;
    await connection.query('COMMIT');
    await connection.query('UNLOCK TABLES');
    return { rows, skipped: total.rows - rows };
  } finally {
    connection.destroy();
  }
}

async function insert(connection: Connection, batch: string[][]): Promise<void> {
  await connection.query<ResultSetHeader>(
    `INSERT IGNORE INTO products (sku, name, price, description) VALUES ${batch.map(() => '(?, ?, ?, ?)').join(', ')}`,
    batch.flat(),
  );
}

async function count(connection: Connection): Promise<number> {
  const [rows] = await connection.query('SELECT COUNT(*) AS count FROM products');
  return Number((rows as { count: number }[])[0]!.count);
}

async function* checked(path: string, size: number): AsyncGenerator<string[][]> {
  let batch: string[][] = [];
  let pending: Buffer = Buffer.alloc(0);
  let [pendingLines, line] = [0, 0];
  const take = (record: Buffer) => {
    line += 1;
    const whole = pendingLines === 0 ? record : Buffer.concat([pending, record]);
    const quotes = whole.includes(34) ? whole.toString('latin1').split('"').length - 1 : 0;
    if (quotes % 2 === 1 && whole.length < 20_000) {
      pending = whole;
      pendingLines += 1;
      return;
    }
    const first = line - pendingLines;
    pendingLines = 0;
    if (first > 1) batch.push(product(whole, first));
  };

  for await (const record of lines(path)) {
    take(record);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (pendingLines > 0) throw new Error(`There is a quote in line ${line - pendingLines + 1} that is not closed.`);
  if (batch.length > 0) yield batch;
}

/** Lines with their ends. */
async function* lines(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    const bytes = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let to = bytes.indexOf(10); to !== -1; to = bytes.indexOf(10, from)) {
      yield bytes.subarray(from, to + 1);
      from = to + 1;
    }
    rest = bytes.subarray(from);
  }
  if (rest.length > 0) yield rest;
}

function product(record: Buffer, line: number): string[] {
  const refuse = (why: string): never => {
    throw new Error(`${why} in line ${line}.`);
  };
  const text = record.toString().replace(/\r?\n$/, '');
  if (!isUtf8(record)) refuse('There are bytes that are not UTF-8');
  const fields = !text.includes('"')
    ? text.split(',')
    : (text.match(/(?<=^|,)(?:"(?:[^"]|"")*"|[^",]*)(?=,|$)/g) ?? []);
  if (fields.join(',') !== text) refuse('A quote is out of place');
  const [sku = '', name = '', price = '', description = ''] = fields.map((field) =>
    field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field,
  );
  if (fields.length !== 4) refuse('There have to be four fields');
  if (!/^[a-zA-Z0-9-]{1,40}$/.test(sku)) refuse('There is no proper sku');
  if (!/^[0-9]{1,9}$/.test(price)) refuse('There is no proper price');
  if (isLonger(name, 200) || isLonger(description, 1000)) refuse('There is too much text');
  return [sku, name, price, description];
}

function isLonger(text: string, characters: number): boolean {
  return text.length > characters && [...text].length > characters;
}
