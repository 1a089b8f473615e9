/*
breaks: [4]
why: An open quote is only noticed at the next bad character. After the last row there is none, and the end of the file closes the quote.
ask: In which states of your parser may a file end?
*/
import { createReadStream } from 'node:fs';
import { type Connection, type PoolOptions, type ResultSetHeader, createConnection } from 'mysql2/promise';

interface Row {
  line: number;
  sku: string;
  name: string;
  price: string;
  description: string;
}

const BATCH = 1000;

/** Imports a CSV file into the table `products`. */
export async function importCsv(path: string, options: PoolOptions) {
  // Without FOUND_ROWS, affectedRows counts the rows that are new, and not those that stay as they are.
  const connection = await createConnection({ ...options, charset: 'utf8mb4', flags: ['-FOUND_ROWS'] });
  connection.on('error', () => {});
  try {
    await connection.query('START TRANSACTION');
    const result = { rows: 0, skipped: 0 };
    let batch: Row[] = [];
    const flush = async (): Promise<void> => {
      const rows = await insert(connection, batch);
      result.rows += rows;
      result.skipped += batch.length - rows;
      batch = [];
    };
    for await (const row of new CsvReader(path)) {
      batch.push(row);
      if (batch.length === BATCH) await flush();
    }
    if (batch.length > 0) await flush();
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    connection.destroy();
  }
}

async function insert(connection: Connection, batch: Row[]): Promise<number> {
  const [{ affectedRows }] = await connection.query<ResultSetHeader>(
    'INSERT INTO products (sku, name, price, description) VALUES ? ON DUPLICATE KEY UPDATE sku = sku',
    [batch.map((row) => [row.sku, row.name, row.price, row.description])],
  );
  return affectedRows;
}

const COMMA = 0x2c;
const QUOTE = 0x22;
const LF = 0x0a;
const CR = 0x0d;

type State = 'start' | 'bare' | 'quoted' | 'closed' | 'return';

/** Takes the file byte by byte. No field needs more than 4,000 of them. */
class CsvReader {
  readonly #path: string;
  readonly #field = Buffer.alloc(4000);
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #length = 0;
  #fields: string[] = [];
  #state: State = 'start';
  #line = 1;
  #breaks = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Row> {
    let header = true;
    for await (const chunk of createReadStream(this.#path) as AsyncIterable<Buffer>) {
      let i = 0;
      if (header) {
        i = chunk.indexOf(LF) + 1;
        if (i === 0) continue;
        header = false;
        this.#line = 2;
      }
      for (; i < chunk.length; i++) {
        if (this.#take(chunk[i]!)) yield this.#row();
      }
    }
    if (this.#state === 'return') throw this.#bad('something follows the end of a field');
    if (this.#state !== 'start' || this.#fields.length > 0) {
      this.#endField();
      yield this.#row();
    }
  }

  /** True when the row is whole. */
  #take(byte: number): boolean {
    switch (this.#state) {
      case 'quoted':
        if (byte === QUOTE) this.#state = 'closed';
        else {
          if (byte === LF) this.#breaks++;
          this.#push(byte);
        }
        return false;
      case 'return':
        if (byte !== LF) throw this.#bad('something follows the end of a field');
        return this.#endLine();
      case 'closed':
        if (byte === QUOTE) {
          this.#push(byte);
          this.#state = 'quoted';
          return false;
        }
        break;
      case 'start':
        if (byte === QUOTE) {
          this.#state = 'quoted';
          return false;
        }
        break;
      case 'bare':
        if (byte === QUOTE) throw this.#bad('a quote stands in the middle of a field');
        break;
    }
    if (byte === COMMA) this.#endField();
    else if (byte === LF) return this.#endLine();
    else if (byte === CR) this.#state = 'return';
    else if (this.#state === 'closed') throw this.#bad('something follows a closing quote');
    else {
      this.#push(byte);
      this.#state = 'bare';
    }
    return false;
  }

  #push(byte: number): void {
    if (this.#length === this.#field.length) throw this.#bad('it is too long, or a quote is never closed');
    this.#field[this.#length++] = byte;
  }

  #endField(): void {
    if (this.#fields.length === 4) throw this.#bad('it has more than four fields');
    try {
      this.#fields.push(this.#utf8.decode(this.#field.subarray(0, this.#length)));
    } catch {
      throw this.#bad('it is not UTF-8');
    }
    this.#length = 0;
    this.#state = 'start';
  }

  #endLine(): boolean {
    this.#breaks++;
    this.#endField();
    return true;
  }

  #row(): Row {
    if (this.#fields.length !== 4) throw this.#bad(`it has ${this.#fields.length} fields`);
    const [sku, name, price, description] = this.#fields as [string, string, string, string];
    if (!/^[A-Za-z0-9-]{1,40}$/.test(sku)) throw this.#bad(`${JSON.stringify(sku.slice(0, 60))} is no sku`);
    if (!fits(name, 200)) throw this.#bad('its name is too long, or has a forbidden character');
    if (!/^[0-9]{1,9}$/.test(price)) throw this.#bad(`${JSON.stringify(price.slice(0, 60))} is no price`);
    if (!fits(description, 1000)) throw this.#bad('its description is too long, or has a forbidden character');
    const row = { line: this.#line, sku, name, price, description };
    this.#line += this.#breaks;
    this.#breaks = 0;
    this.#fields = [];
    return row;
  }

  #bad(why: string): Error {
    return new Error(`line ${this.#line} cannot be imported: ${why}`);
  }
}

function fits(text: string, most: number): boolean {
  if (text.includes('\0') || text.includes('\uFFFD')) return false;
  if (text.length <= most) return true;
  let count = 0;
  for (const _ of text) count++;
  return count <= most;
}
