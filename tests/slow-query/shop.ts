import type { RowDataPacket } from 'mysql2/promise';
import { Timeline } from '../../helpers/instruments/mysql/timeline.ts';
import type { Session } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import type * as Kata from '../../katas/slow-query/slow-query.ts';
import { open, reopen } from './inside.ts';

/** One process with the module, and the proxy through which it reaches the server. */
export interface Service extends Session {
  readonly subject: Subject<typeof Kata>;
}

/** An order as the table has it; `at` is its time as the server writes it, such as `2026-01-31 10:00:00.250000`. */
export interface Row {
  readonly id: number;
  readonly customerId: number;
  readonly at: string;
  readonly cents: number;
  readonly note: string;
}

/** An order that is to be inserted. */
export type NewRow = Omit<Row, 'id' | 'note'>;

/** One line of EXPLAIN, for a statement that the module has sent. */
export interface PlanLine {
  readonly sql: string;
  readonly table: string | undefined;
  readonly keys: readonly string[];
  readonly extra: string;
}

/** The statements that a process sends. */
class Statements extends Timeline {
  readonly sent: string[] = [];

  override command(who: string, link: number, sql: string): (answer: string) => void {
    this.sent.push(sql);
    return super.command(who, link, sql);
  }
}

/** InnoDB may discard rows itself; then they are not in `Handler_read%`. */
const countAllRows = "SET SESSION optimizer_switch = 'index_condition_pushdown=off'";
const columns = 'customer_id, created_at, cents, note';
const digits = Array.from({ length: 10 }, (_, digit) => `SELECT ${digit} AS n`).join(' UNION ALL ');
/** 0 to 99,999, in one column n. */
const numbers = `(SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
  FROM (${digits}) a, (${digits}) b, (${digits}) c, (${digits}) d, (${digits}) e) AS numbers`;

/** The table `orders`, and two processes that work on it. */
export class Shop {
  readonly database: TestDatabase;
  readonly #subjects: SubjectsOfFile<typeof Kata>;
  readonly #services = new Map<string, Service>();

  private constructor(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>) {
    this.database = database;
    this.#subjects = subjects;
  }

  static async open(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>): Promise<Shop> {
    const { admin, name } = database;
    await admin.query(`GRANT CREATE, ALTER, DROP, INDEX ON ${name}.* TO '${name}'@'%'`);
    await admin.query('CREATE TABLE blank_orders LIKE orders');
    await admin.query(countAllRows);
    return new Shop(database, subjects);
  }

  /** The process of that name; a new one when it has ended. */
  async service(name: 'A' | 'B' = 'A'): Promise<Service> {
    const known = this.#services.get(name);
    if (known?.subject.alive) return known;
    const [proxy, subject] = await Promise.all([this.database.proxy(name, countAllRows), this.#subjects.fresh()]);
    await subject.run(open, await subject.addressInside(this.database.accountOptions(proxy, 5)));
    this.#services.set(name, { proxy, subject });
    return { proxy, subject };
  }

  /** Ends the processes, with the locks that they hold. */
  async end(): Promise<void> {
    const ended = [...this.#services.values()];
    this.#services.clear();
    for (const { subject, proxy } of ended) {
      await subject[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    }
  }

  /** Puts a new table in place of all that the module may have made: these orders, and no index but the primary key. Modules start anew. */
  async newTable(rows: readonly NewRow[]): Promise<void> {
    for (const { subject } of this.#services.values()) if (subject.alive) await subject.run(reopen);
    for (const table of await this.tables()) await this.database.admin.query('DROP TABLE IF EXISTS ??', [table]);
    await this.database.admin.query('CREATE TABLE orders LIKE blank_orders');
    await this.insert(rows);
  }

  /** Another database with this table and its indexes. The module's account may read it. */
  async copy(): Promise<TestDatabase> {
    const { admin, name } = this.database;
    const { host, port, user, password } = admin.config;
    const other = await TestDatabase.create(
      { host: host!, port: port!, user: user!, password: password! },
      'slow-query',
    );
    await other.admin.query(`DROP TABLE orders; CREATE TABLE orders LIKE ${name}.orders`);
    await admin.query(`GRANT SELECT ON ${other.name}.* TO '${name}'@'%'`);
    return other;
  }

  async insert(rows: readonly NewRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.database.admin.query(`INSERT INTO orders (${columns}) VALUES ?`, [
      rows.map(({ customerId, at, cents }) => [customerId, at, cents, noteOf(customerId, cents)]),
    ]);
  }

  /** Adds many orders of customers from 1,000 on, some of them at equal times, from 2010 until 2025. */
  async insertCrowd(count: number, step: number): Promise<void> {
    await this.database.admin.query(
      `INSERT INTO orders (${columns})
       SELECT 1000 + n * 7 % ?, TIMESTAMPADD(SECOND, (n DIV 3) * ? % 470000000, '2010-01-01'), n * 37 % 5000 - 500, REPEAT('x', 40)
       FROM ${numbers} WHERE n < ?`,
      [Math.floor(count / 10), step, count],
    );
  }

  /** Adds so many orders of each of these customers, from the first one on, in pairs at equal times. */
  async insertHistory(first: number, customers: number, each: number, year: number): Promise<void> {
    await this.database.admin.query(
      `INSERT INTO orders (${columns})
       SELECT ? + n DIV ?, TIMESTAMPADD(SECOND, n % ? DIV 2 * 9000, ?), n * 7919 % 10000, REPEAT('x', 40)
       FROM ${numbers} WHERE n < ?`,
      [first, each, each, `${year}-01-01`, customers * each],
    );
  }

  /** Adds so many orders of the same customers, all of them at one time, which is before any other. */
  async insertImport(count: number): Promise<void> {
    await this.database.admin.query(
      `INSERT INTO orders (${columns})
       SELECT 1000 + n % 500, '2009-06-01 12:00:00.5', n * 37 % 5000, REPEAT('x', 40) FROM ${numbers} WHERE n < ?`,
      [count],
    );
  }

  /** Lets the server count what the table holds, so that it plans with figures of now. */
  async analyze(): Promise<void> {
    await this.database.admin.query('ANALYZE TABLE orders');
  }

  /** The orders, newest first, and those with the higher id first at equal times. */
  async rows(where = 'TRUE', values: (string | number)[] = []): Promise<Row[]> {
    const [rows] = await this.database.admin.query<RowDataPacket[]>(
      `SELECT id, customer_id, CAST(created_at AS CHAR) AS at, cents, note FROM orders WHERE ${where}`,
      values,
    );
    return rows
      .map(({ id, customer_id, at, cents, note }) => ({ id, customerId: customer_id, at, cents, note }) as Row)
      .toSorted((one, other) => (one.at === other.at ? other.id - one.id : one.at < other.at ? 1 : -1));
  }

  /** The server's number for the table, which is another one after it has written the table anew. */
  async tableId(): Promise<number> {
    const { admin, name } = this.database;
    const [[server]] = await admin.query<RowDataPacket[]>('SELECT VERSION() AS version');
    const list = /mariadb/i.test(server!['version']) ? 'INNODB_SYS_TABLES' : 'INNODB_TABLES';
    const [[table]] = await admin.query<RowDataPacket[]>(
      `SELECT TABLE_ID AS id FROM information_schema.${list} WHERE NAME = ?`,
      [`${name}/orders`],
    );
    return Number(table!['id']);
  }

  /** The tables of the database without the judge's own, by name. */
  async tables(): Promise<string[]> {
    const [rows] = await this.database.admin.query<RowDataPacket[]>('SHOW TABLES');
    const names = rows.map((row) => String(Object.values(row)[0]));
    return names.filter((name) => name !== 'blank_orders').toSorted();
  }

  /** The columns, the primary key and the constraints, as SHOW CREATE TABLE has them. */
  async definition(): Promise<string[]> {
    const [[table]] = await this.database.admin.query<RowDataPacket[]>('SHOW CREATE TABLE orders');
    const lines = String(table!['Create Table']).split('\n').slice(1, -1);
    return lines
      .map((line) => line.trim().replace(/,$/, ''))
      .filter((line) => !/^(UNIQUE |FULLTEXT |SPATIAL )?KEY /.test(line));
  }

  /** The indexes that were added, by name; of each its columns in order. */
  async indexes(): Promise<Map<string, string>> {
    const [rows] = await this.database.admin.query<RowDataPacket[]>('SHOW INDEX FROM orders');
    const found = new Map<string, string>();
    for (const { Key_name: name, Column_name: column, Expression: expression } of rows)
      if (name !== 'PRIMARY') found.set(name, [found.get(name) ?? [], column ?? expression].flat().join(', '));
    return found;
  }

  /** What the server counts of this kind while `call` runs, without what counting itself costs. */
  async counted<Value>(counter: 'Handler_read' | 'Handler_write', call: () => Promise<Value>) {
    const first = await this.#counter(counter);
    const before = await this.#counter(counter);
    const value = await call();
    return { value, count: (await this.#counter(counter)) - before - (before - first) };
  }

  async #counter(name: string): Promise<number> {
    const [rows] = await this.database.admin.query<RowDataPacket[]>(`SHOW GLOBAL STATUS LIKE '${name}%'`);
    return rows.reduce((total, { Value }) => total + Number(Value), 0);
  }

  /** The statements that the process sends while `call` runs. */
  async sentBy({ proxy }: Service, call: () => Promise<unknown>): Promise<readonly string[]> {
    const statements = new Statements();
    proxy.record(statements);
    await call();
    proxy.record(undefined);
    return statements.sent;
  }

  /** EXPLAIN for each statement that the process sends while `call` runs. */
  async plansOf(service: Service, call: () => Promise<unknown>): Promise<PlanLine[]> {
    const plans: PlanLine[] = [];
    for (const sql of await this.sentBy(service, call)) plans.push(...(await this.#explain(sql)));
    return plans;
  }

  /** Nothing for a statement that cannot be explained, such as COMMIT, or one with a temporary table. */
  async #explain(sent: string): Promise<PlanLine[]> {
    if (!/^\(*\s*(select|with)\b/i.test(sent)) return [];
    // What is sent as a parameter may be text there.
    const sql = sent.replaceAll(/\b(LIMIT|OFFSET) '(\d+)'/gi, '$1 $2');
    const [lines] = await this.database.admin
      .query<RowDataPacket[]>(`EXPLAIN FORMAT=TRADITIONAL ${sql}`)
      .catch((): [RowDataPacket[]] => [[]]);
    return lines.map(({ table, key, Extra }) => ({
      sql,
      table: table ?? undefined,
      keys: key === null ? [] : String(key).split(','),
      extra: Extra ?? '',
    }));
  }
}

/** The note of an order that the judge inserts. */
function noteOf(customerId: number, cents: number): string {
  return `order of ${customerId} for ${cents}`;
}
