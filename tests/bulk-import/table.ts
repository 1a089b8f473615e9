import { Readable } from 'node:stream';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { waitingThreads } from '../../helpers/instruments/mysql/lock-waits.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { Patience } from '../../helpers/judging/subject/patience.ts';
import { serverPid } from '../../helpers/mysql-server/server-process.ts';
import { type Product, drawn } from './documents.ts';

/** Rows in the table: those of the imported file, and those from before. */
export interface RowCounts {
  readonly ofFile: number;
  readonly fromBefore: number;
}

/** A limit for what never comes, in ms. */
const lookLimitMs = 60_000;

/** The table `products` and the module's sessions, as other sessions of the server see them. */
export class Table {
  readonly #database: TestDatabase;
  readonly #admin: Connection;
  /** A session that looks into the table while an import is under way. */
  readonly #visitor: Connection;
  readonly #patience = new Patience();

  private constructor(database: TestDatabase, visitor: Connection) {
    this.#database = database;
    this.#admin = database.admin;
    this.#visitor = visitor;
  }

  static async open(database: TestDatabase): Promise<Table> {
    return new Table(database, await database.connect());
  }

  close(): void {
    this.#visitor.destroy();
  }

  async empty(): Promise<void> {
    await this.#admin.query('TRUNCATE TABLE products');
  }

  /** Makes these products the only rows. */
  async fill(products: readonly Product[]): Promise<void> {
    await this.empty();
    await this.#admin.query('INSERT INTO products (sku, name, price, description) VALUES ?', [
      products.map(({ sku, name, price, description }) => [sku, name, price, description]),
    ]);
  }

  async rows(): Promise<Product[]> {
    const [rows] = await this.#admin.query<RowDataPacket[]>('SELECT sku, name, price, description FROM products');
    return rows as unknown as Product[];
  }

  async count(session = this.#admin): Promise<RowCounts> {
    const [[row]] = await session.query<RowDataPacket[]>(
      'SELECT COUNT(*) AS count, COUNT(IF(sku LIKE ?, 1, NULL)) AS ofFile FROM products',
      [`${drawn.supplier}-%`],
    );
    return { ofFile: Number(row!.ofFile), fromBefore: Number(row!.count) - Number(row!.ofFile) };
  }

  /** The rows of the file that another session sees now, or undefined when a lock makes that session wait. */
  async seenByVisitor(): Promise<number | undefined> {
    let seen: number | undefined;
    this.count(this.#visitor).then(
      ({ ofFile }) => (seen = ofFile),
      () => undefined,
    );
    const isKnown = await until(
      async () => seen !== undefined || (await waitingThreads(this.#admin, [this.#visitor.threadId])).size > 0,
      lookLimitMs,
    );
    expectThat(isKnown, 'another session could not look into the table');
    return seen;
  }

  /** From now on the server notes which sessions insert rows. Returns the function that tells their ids and ends that. */
  async noteWriters(): Promise<() => Promise<number[]>> {
    await this.#admin.query('CREATE TABLE writers (id BIGINT UNSIGNED PRIMARY KEY)');
    await this.#admin.query(
      'CREATE TRIGGER note_writer BEFORE INSERT ON products FOR EACH ROW INSERT IGNORE INTO writers VALUES (CONNECTION_ID())',
    );
    return async () => {
      const [rows] = await this.#admin.query<RowDataPacket[]>('SELECT id FROM writers');
      await this.#admin.query('DROP TRIGGER IF EXISTS note_writer; DROP TABLE IF EXISTS writers');
      return rows.map(({ id }) => Number(id));
    };
  }

  /** Waits until the module has no session any more, and says whether that happened. */
  async sessionsEnd(): Promise<boolean> {
    return await this.#patience.sees(async () => (await this.#database.sessions()).length === 0);
  }

  /** Ends all sessions that the module has left. */
  async endSessions(): Promise<void> {
    if (await this.sessionsEnd()) return;
    const left = await this.#database.sessions();
    for (const id of left) await this.#admin.query('KILL ?', [id]).catch(() => undefined);
    await this.#database.sessionsEnd(left, 'the module that the judge had ended');
  }

  /** The server's process, where it is known; see `serverPid`. */
  async serverPid(): Promise<number | undefined> {
    return await serverPid(this.#admin);
  }

  /** Whether the server takes LOAD DATA LOCAL. */
  async takesLoadData(): Promise<boolean> {
    const [[local]] = await this.#admin.query<RowDataPacket[]>('SELECT @@local_infile AS allowed');
    return Number(local!.allowed) !== 0;
  }

  /** Loads a file without quotes, whose lines end with LF, by LOAD DATA. */
  async loadData(csv: Buffer): Promise<void> {
    await this.#admin.query({
      sql: "LOAD DATA LOCAL INFILE 'race' INTO TABLE products CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' LINES TERMINATED BY '\\n' IGNORE 1 LINES",
      // Not from its file, which other threads would read.
      infileStreamFactory: () => Readable.from(chunksOf(csv, 64 * 1024)),
    });
  }
}

function* chunksOf(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
