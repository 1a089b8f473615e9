import type { Connection, RowDataPacket } from 'mysql2/promise';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { type ModuleProcess, ModuleProcesses } from '../../helpers/instruments/mysql/module-process.ts';
import type { MysqlProxy } from '../../helpers/instruments/mysql/proxy.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import type * as Kata from '../../katas/bank-transfer/bank-transfer.ts';
import { type Books, Scene, booksOf, readBooksSql } from './accounts.ts';
import { type Outcome, createBank, readBalances, transferAtOnce, transferIn } from './inside.ts';

/** One process with the module, and the proxy through which it reaches the server. */
export type Service = ModuleProcess<typeof Kata>;

/** One of several banks in one process, and the proxy through which it reaches the server. */
interface BankOfMany {
  readonly proxy: MysqlProxy;
  readonly transfer: (one: Kata.Transfer) => Promise<Outcome>;
}

/** The processes of this test file, by name, and the accounts and the ledger that they work on. */
export class Services extends ModuleProcesses<typeof Kata> implements AsyncDisposable {
  readonly database: TestDatabase;
  /** Where the server refuses to write: to the first and the third account, and rows of the ledger that take from the fourth. */
  readonly refusing: Scene;
  /** Of its accounts, the first two, joined by a hyphen, read like the last two. */
  readonly alike: Scene;
  readonly #subjects: SubjectsOfFile<typeof Kata>;
  readonly #scenes: Scene[];
  /** A session of its own, because a module may keep readers waiting. */
  readonly #reader: Connection;
  /** For locks that stay, which are waited for in vain only once. */
  #unlockLimitMs = 5_000;

  private constructor(
    database: TestDatabase,
    reader: Connection,
    subjects: SubjectsOfFile<typeof Kata>,
    { scenes, alike }: { readonly scenes: Scene[]; readonly alike: Scene },
  ) {
    super(database, subjects, {
      furnish: async (service) => {
        await service.subject.run(createBank, service.account);
        // Opens its first connection, before a test counts statements.
        await transfer(service, this.scene().transfer(0, 1));
        return service;
      },
    });
    this.database = database;
    this.#reader = reader;
    this.#subjects = subjects;
    this.#scenes = scenes;
    this.alike = alike;
    this.refusing = this.scene();
  }

  static async start(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>): Promise<Services> {
    const [first, ...scenes] = Scene.draw() as [Scene, ...Scene[]];
    const alike = first.alike();
    const rows = [alike, ...scenes].flatMap(({ accounts }) => accounts.map(({ id, opening }) => [id, opening]));
    // Without figures on the table, the server may read all of it for two accounts, and lock what it reads.
    await database.admin.query('INSERT INTO accounts VALUES ?; ANALYZE TABLE accounts', [rows]);
    const services = new Services(database, await database.connect(), subjects, { scenes, alike });
    await services.#refuseWrites();
    return services;
  }

  /** A trigger on the accounts would hide what LAST_INSERT_ID(balance - ...) of an UPDATE returns, so a constraint keeps their balances. */
  async #refuseWrites(): Promise<void> {
    const [debited, , credited, paying] = this.refusing.accounts;
    for (const sql of [
      `ALTER TABLE accounts ADD CONSTRAINT disk_full CHECK (balance = CASE id WHEN '${debited.id}' THEN ${debited.opening} WHEN '${credited.id}' THEN ${credited.opening} ELSE balance END)`,
      `CREATE TRIGGER disk_full BEFORE INSERT ON ledger FOR EACH ROW IF NEW.from_account = '${paying.id}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'disk full'; END IF`,
    ])
      await this.database.admin.query(sql);
  }

  /** Accounts that nobody has used. */
  scene = (): Scene => {
    const scene = this.#scenes.pop();
    if (!scene) throw new Error('The judge has run out of accounts: a transfer took too many statements.');
    return scene;
  };

  /** Several banks in one process of the caller's own. */
  async openBanks(count: number): Promise<{ readonly banks: readonly BankOfMany[] } & AsyncDisposable> {
    const stack = new AsyncDisposableStack();
    const proxies: MysqlProxy[] = [];
    for (let bank = 1; bank <= count; bank++) proxies.push(stack.use(await this.database.proxy(`bank${bank}`)));
    const subject = stack.use(await this.#subjects.fresh());
    const banks = proxies.map((proxy, bank) => ({
      proxy,
      transfer: (one: Kata.Transfer) => subject.run(transferIn, { bank, transfer: one }),
    }));
    for (const { proxy, transfer: transferHere } of banks) {
      await subject.run(createBank, await subject.addressInside(this.database.accountOptions(proxy, 3)));
      await transferHere(this.scene().transfer(0, 1));
    }
    return { banks, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.#reader.destroy();
  }

  /** What a reader sees once the server has answered all that the module has asked of it. */
  async settledBooks(scene: Scene): Promise<Books> {
    await Promise.all(this.all.map((service) => service.settles()));
    return await this.books(scene);
  }

  /** What a reader sees now, without waiting for anybody's lock. */
  async books(scene: Scene): Promise<Books> {
    const { ids } = scene;
    const values = [ids, ids, ids, `${scene.key().slice(0, 7)}%`];
    const [results] = await this.#reader.query<RowDataPacket[][]>(readBooksSql, values);
    return booksOf(results);
  }

  /** Which accounts and rows of the ledger of these transfers are still locked when nobody may lock them any more. */
  async lockedBy(transfers: readonly Kata.Transfer[]): Promise<string[]> {
    let locked: string[] = [];
    const areFree = await until(async () => (locked = await this.#locked(transfers)).length === 0, this.#unlockLimitMs);
    if (!areFree) this.#unlockLimitMs = 0;
    return locked;
  }

  async #locked(transfers: readonly Kata.Transfer[]): Promise<string[]> {
    const rows = [
      ...transfers.flatMap(({ from, to }) => [from, to].map((id) => ['accounts', 'id', id] as const)),
      ...transfers.map(({ key }) => ['ledger', 'transfer_key', key] as const),
    ];
    const locked = new Set<string>();
    for (const [table, column, id] of new Map(rows.map((row) => [row.join(), row])).values())
      await this.database.admin
        .query(`SELECT * FROM ${table} WHERE ${column} = ? FOR UPDATE NOWAIT`, [id])
        .catch(() => locked.add(`${id} of ${table}`));
    return [...locked];
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
  const told = await subject.run(readBalances, { accounts: ids, areAtOnce: false });
  return new Map(ids.map((id, index) => [id, told[index]!]));
}
