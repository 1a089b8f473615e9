import { createReadStream } from 'node:fs';
import { Transform, type TransformCallback, Writable } from 'node:stream';
import { pipeline } from 'node:stream';
import mysql from 'mysql2';

/** Streams and callbacks. The backpressure of the Writable pauses the file. */
export function importCsv(path: string, options: mysql.PoolOptions): Promise<{ rows: number; skipped: number }> {
  return new Promise((resolve, reject) => {
    const connection = mysql.createConnection({ ...options, multipleStatements: true });
    const finish = (error?: Error | null, result?: { rows: number; skipped: number }) => {
      connection.destroy();
      if (error) reject(error);
      else resolve(result!);
    };
    connection.on('error', () => {});
    connection.query('SET autocommit = 0', (error) => {
      if (error) return finish(error);
      const sink = new ProductSink(connection);
      return pipeline(createReadStream(path), new CsvParser(), sink, (failure) => {
        if (failure) return finish(failure);
        return connection.commit((lost) => finish(lost, { rows: sink.rows, skipped: sink.total - sink.rows }));
      });
    });
  });
}

class ProductSink extends Writable {
  rows = 0;
  total = 0;
  #connection: mysql.Connection;
  #batch: unknown[][] = [];

  constructor(connection: mysql.Connection) {
    super({ objectMode: true, highWaterMark: 64 });
    this.#connection = connection;
  }

  override _write(row: unknown[], _encoding: string, done: (error?: Error | null) => void) {
    this.total += 1;
    if (this.#batch.push(row) < 2000) return done();
    return this.#flush(done);
  }

  override _final(done: (error?: Error | null) => void) {
    if (this.#batch.length === 0) return done();
    return this.#flush(done);
  }

  #flush(done: (error?: Error | null) => void) {
    const batch = this.#batch;
    this.#batch = [];
    // Known skus are looked up, so the count of new rows does not depend on affectedRows.
    const skus = batch.map(([sku]) => sku);
    this.#connection.query('SELECT sku FROM products WHERE sku IN (?) FOR UPDATE', [skus], (error, found) => {
      if (error) return done(error);
      const known = new Set((found as { sku: string }[]).map(({ sku }) => sku));
      const fresh = batch.filter(([sku]) => !known.has(sku as string) && known.add(sku as string));
      this.rows += fresh.length;
      if (fresh.length === 0) return done();
      return this.#connection.query('INSERT INTO products VALUES ?', [fresh], (failure) => done(failure));
    });
  }
}

class CsvParser extends Transform {
  #bytes: number[] | Buffer = Buffer.alloc(0);
  #line = 1;

  constructor() {
    super({ readableObjectMode: true });
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback) {
    let buffer = Buffer.concat([this.#bytes as Buffer, chunk]);
    try {
      for (let end = endOf(buffer); end !== -1; end = endOf(buffer)) {
        this.#take(buffer.subarray(0, end));
        buffer = buffer.subarray(end + 1);
      }
      this.#bytes = buffer;
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback) {
    try {
      const rest = this.#bytes as Buffer;
      if (rest.length > 0) this.#take(rest);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #take(bytes: Buffer) {
    const line = this.#line;
    this.#line += bytes.includes(10) ? bytes.toString('latin1').split('\n').length : 1;
    if (line > 1) this.push(product(bytes, line));
  }
}

/** The position of the end of the first record; -1 when the buffer does not contain it. */
function endOf(buffer: Buffer): number {
  for (let from = 0; ;) {
    const newline = buffer.indexOf(10, from);
    if (newline === -1) return -1;
    // Only within this line: a search through the whole chunk for each line would take forever.
    const quote = buffer.subarray(0, newline).indexOf(34, from);
    if (quote === -1) return newline;
    const closing = buffer.indexOf(34, quote + 1);
    if (closing === -1) return -1;
    from = closing + 1;
  }
}

const strict = new TextDecoder('utf8', { fatal: true, ignoreBOM: true });

function product(bytes: Buffer, line: number): unknown[] {
  try {
    const text = strict.decode(bytes);
    const row = text.replace(/\r$/, '');
    const [sku, name, price, description, ...others] = row.includes('"') ? unquoted(row) : row.split(',');
    if (description === undefined || others.length > 0) throw new Error('fields');
    if (!/^[\w-]{1,40}$/.test(sku!) || sku!.includes('_')) throw new Error('sku');
    if (!/^\d{1,9}$/.test(price!)) throw new Error('price');
    if (isLonger(name!, 200) || isLonger(description, 1000)) throw new Error('length');
    return [sku, name, price, description];
  } catch (error) {
    throw new Error(`Line ${line} was refused`, { cause: error });
  }
}

function isLonger(text: string, characters: number): boolean {
  return text.length > characters && [...text].length > characters;
}

function unquoted(row: string): string[] {
  const cells = Array.from(`${row},`.matchAll(/("(?:[^"]|"")*"|[^",]*),/g), ([, cell = '']) => cell);
  if (cells.join(',') !== row) throw new Error('quotes');
  return cells.map((cell) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell));
}
