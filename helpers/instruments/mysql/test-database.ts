import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, type RowDataPacket, createConnection } from 'mysql2/promise';
import { preparedTransactions, removeDatabase } from '../../foundations/processes/remove-database.js';
import { leash } from '../../foundations/processes/leash.ts';
import { until } from '../../foundations/waiting/until.ts';
import { expectThat } from '../../judging/verdict/expect-that.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { applySettings } from '../../mysql-server/server-settings.ts';
import { accountStatements, newPassword } from '../../mysql-server/test-account.ts';
import type { ServerAddress } from '../../foundations/server-address.ts';
import { MysqlProxy } from './proxy.ts';

/** What a candidate's module is given to connect with. Plain data. */
export interface AccountOptions extends ServerAddress {
  readonly database: string;
  readonly connectionLimit: number;
}

/** How long a server that serves may take to let a session in or to end one, on a machine that has no time for it. */
const sessionLimitMs = 60_000;

/** A database of one test file's own, with an account that sees nothing else, and a connection that may do all. */
export class TestDatabase implements AsyncDisposable {
  readonly name: string;
  /** The test's own connection, with this database chosen. */
  readonly admin: Connection;
  readonly #server: ServerAddress;
  readonly #password: string;
  readonly #preparedBefore: readonly string[];
  readonly #release: () => void;
  /** Gives a session what this server's settings do not. */
  #settings: string | undefined;
  /** Stands before the server where a session of the module's needs such a statement and has no proxy of its own. */
  #front: MysqlProxy | undefined;

  private constructor(
    name: string,
    admin: Connection,
    server: ServerAddress,
    password: string,
    preparedBefore: readonly string[],
    release: () => void,
  ) {
    this.name = name;
    this.admin = admin;
    this.#server = server;
    this.#password = password;
    this.#preparedBefore = preparedBefore;
    this.#release = release;
  }

  /** Creates the database and its account, and runs `katas/<slug>/schema.sql` in it. */
  static async create(server: ServerAddress, slug: string): Promise<TestDatabase> {
    const name = `kata_${randomBytes(6).toString('hex')}`;
    const password = newPassword();
    const url = `mysql://${encodeURIComponent(server.user)}:${encodeURIComponent(server.password)}@${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}/`;
    const admin = await createConnection({ ...server, multipleStatements: true, connectTimeout: sessionLimitMs });
    const preparedBefore = await preparedTransactions(admin);
    const release = leash({ database: name, server: url, preparedBefore });
    const database = new TestDatabase(name, admin, server, password, preparedBefore, release);
    try {
      const { statement } = await applySettings(admin);
      await admin.query(
        [...accountStatements(name, password), `USE ${name}`, 'SET SESSION lock_wait_timeout = 10'].join('; '),
      );
      if (statement !== undefined) {
        database.#settings = statement;
        database.#front = await MysqlProxy.start(server, 'settings', [statement]);
      }
      await admin.query(await readFile(join(repositoryRoot, 'katas', slug, 'schema.sql'), 'utf8'));
      return database;
    } catch (error) {
      await database[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What a module is to connect with, through `proxy` when there is one. */
  accountOptions(proxy?: MysqlProxy, connectionLimit = 10): AccountOptions {
    const before = proxy ?? this.#front;
    const { host, port } = before ? { host: '127.0.0.1', port: before.port } : this.#server;
    return { host, port, user: this.name, password: this.#password, database: this.name, connectionLimit };
  }

  /** Opens a proxy before this server; see `MysqlProxy.start`. */
  proxy(name: string, greeting?: string): Promise<MysqlProxy> {
    return MysqlProxy.start(
      this.#server,
      name,
      [this.#settings, greeting].filter((statement) => statement !== undefined),
    );
  }

  /** A further connection of the test's own, for a session beside the first. */
  async connect(): Promise<Connection> {
    const session = await createConnection({
      ...this.#server,
      database: this.name,
      multipleStatements: true,
      connectTimeout: sessionLimitMs,
    });
    if (this.#settings !== undefined) await session.query(this.#settings);
    return session;
  }

  /** The server's ids of the account's sessions. */
  async sessions(): Promise<number[]> {
    // Not by information_schema, which fails when a session's statement is cut in the middle of a character.
    const [rows] = await this.admin.query<RowDataPacket[]>('SHOW PROCESSLIST');
    return rows.filter(({ User }) => User === this.name).map(({ Id }) => Number(Id));
  }

  /** Waits until the server has ended these sessions of the account. A transaction is rolled back before its session ends. */
  async sessionsEnd(threadIds: readonly number[], what: string): Promise<void> {
    const areGone = await until(
      async () => !(await this.sessions()).some((id) => threadIds.includes(id)),
      sessionLimitMs,
    );
    expectThat(areGone, `the server kept sessions of ${what}`);
  }

  /** Drops the database and the account. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await removeDatabase(this.admin, this.name, this.#preparedBefore);
      this.#release();
    } catch {
      // The leash still has it.
    }
    await this.#front?.[Symbol.asyncDispose]();
    this.admin.destroy();
  }
}
