import { setImmediate as turn } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { until } from '../../helpers/foundations/waiting/until.ts';
import type { Session } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import { type Books, Scene, booksOf, readBooksSql } from './accounts.ts';
import { type Outcome, createBank, readBalances, transferAtOnce } from './inside.ts';

/** One process with the module, and the proxy through which it reaches the server. */
export interface Service extends Session, AsyncDisposable {
  readonly subject: Subject<typeof Kata>;
}

/** Which write the server refuses, by the place of the account in the scene that `Services.refusing` returns. */
const refusals = [
  ['debit', 'BEFORE UPDATE ON accounts', 'OLD.id', 0],
  ['credit', 'BEFORE UPDATE ON accounts', 'OLD.id', 2],
  ['entry', 'BEFORE INSERT ON ledger', 'NEW.from_account', 3],
] as const;

/** The processes of this test file, by name, and the accounts and the ledger that they work on. */
export class Services implements AsyncDisposable {
  readonly database: TestDatabase;
  /** Where the server refuses to write: to the first and the third account, and rows of the ledger that take from the fourth. */
  readonly refusing: Scene;
  readonly #subjects: SubjectsOfFile<typeof Kata>;
  readonly #running = new Map<string, Service>();
  readonly #scenes: Scene[];

  /** A session of its own, because a module may keep readers waiting. */
  readonly #reader: Connection;

  private constructor(
    database: TestDatabase,
    reader: Connection,
    subjects: SubjectsOfFile<typeof Kata>,
    scenes: Scene[],
  ) {
    this.database = database;
    this.#reader = reader;
    this.#subjects = subjects;
    this.#scenes = scenes;
    this.refusing = this.scene();
  }

  static async start(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>): Promise<Services> {
    const scenes = Scene.draw();
    const rows = scenes.flatMap(({ accounts }) => accounts.map(({ id, opening }) => [id, opening]));
    // Without figures on the table, the server may read all of it for two accounts, and lock what it reads.
    await database.admin.query('INSERT INTO accounts VALUES ?; ANALYZE TABLE accounts', [rows]);
    const services = new Services(database, await database.connect(), subjects, scenes);
    for (const [name, event, column, account] of refusals)
      await database.admin.query(
        `CREATE TRIGGER ${name} ${event} FOR EACH ROW IF ${column} = '${services.refusing.ids[account]}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'disk full'; END IF`,
      );
    return services;
  }

  /** Accounts that nobody has used. */
  scene = (): Scene => {
    const scene = this.#scenes.pop();
    if (!scene) throw new Error('The judge has run out of accounts: a transfer took too many statements.');
    return scene;
  };

  /** Starts a process of the caller's own. */
  async open(name: string, connectionLimit = 3): Promise<Service> {
    const [proxy, subject] = await Promise.all([this.database.proxy(name), this.#subjects.fresh()]);
    await subject.run(createBank, await subject.addressInside(this.database.accountOptions(proxy, connectionLimit)));
    const service = {
      proxy,
      subject,
      async [Symbol.asyncDispose]() {
        await subject[Symbol.asyncDispose]();
        await proxy[Symbol.asyncDispose]();
      },
    };
    // Opens its first connection, before a test counts statements.
    await transfer(service, this.scene().transfer(0, 1));
    return service;
  }

  /** The running process of that name, or a new one. Tests share them, as requests do. */
  async running(name: string): Promise<Service> {
    const known = this.#running.get(name);
    const service = known?.subject.alive ? known : await this.open(name);
    this.#running.set(name, service);
    return service;
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.#reader.destroy();
  }

  /** Ends the processes that tests share. */
  async end(): Promise<void> {
    const ended = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(ended.map((service) => service[Symbol.asyncDispose]()));
  }

  /** What a reader sees once the server has answered all that the module has asked of it. */
  async settledBooks(scene: Scene): Promise<Books> {
    const running = [...this.#running.values()].filter(({ subject }) => subject.alive);
    // What was sent and not waited for is on its way to the proxy.
    await Promise.all(running.map(({ subject }) => subject.turns(20)));
    for (let turns = 0; turns < 10; turns++) await turn();
    await until(() => running.every(({ proxy }) => proxy.pending.commands.length === 0));
    return await this.books(scene);
  }

  /** What a reader sees now, without waiting for anybody's lock. */
  async books(scene: Scene): Promise<Books> {
    const { ids } = scene;
    const values = [ids, ids, ids, `${scene.key().slice(0, 7)}%`];
    const [results] = await this.#reader.query<RowDataPacket[][]>(readBooksSql, values);
    return booksOf(results);
  }

  /** Whether nobody holds a lock on that row. */
  async isFree(table: 'accounts' | 'ledger', id: string): Promise<boolean> {
    const column = table === 'accounts' ? 'id' : 'transfer_key';
    const sql = `SELECT * FROM ${table} WHERE ${column} = ? FOR UPDATE NOWAIT`;
    return await this.database.admin.query(sql, [id]).then(
      () => true,
      () => false,
    );
  }
}

/** One transfer in that process. */
export async function transfer({ subject }: Pick<Service, 'subject'>, one: Kata.Transfer): Promise<Outcome> {
  const [outcome] = await subject.run(transferAtOnce, [one]);
  return outcome!;
}

/** What that process says of these accounts. */
export async function balances(
  { subject }: Pick<Service, 'subject'>,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const told = await subject.run(readBalances, ids);
  return new Map(ids.map((id, index) => [id, told[index]!]));
}
