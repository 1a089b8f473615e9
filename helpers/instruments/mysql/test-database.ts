import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, createConnection } from 'mysql2/promise';
import { preparedTransactions, removeDatabase } from '../../foundations/processes/remove-database.js';
import { leash } from '../../foundations/processes/leash.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import type { ServerAddress } from '../../foundations/server-address.ts';
import { MysqlProxy } from './proxy.ts';

/** What a candidate's module is given to connect with. Plain data. */
export interface AccountOptions extends ServerAddress {
  readonly database: string;
  readonly connectionLimit: number;
}

/** What the module's account may do, and only in its own database: rows, not tables. */
const rights = 'SELECT, INSERT, UPDATE, DELETE, LOCK TABLES, CREATE TEMPORARY TABLES, EXECUTE';

/** A database of one test file's own, with an account that sees nothing else, and a connection that may do all. */
export class TestDatabase implements AsyncDisposable {
  readonly name: string;
  /** The test's own connection, with this database chosen. */
  readonly admin: Connection;
  readonly #server: ServerAddress;
  readonly #password: string;
  readonly #preparedBefore: readonly string[];
  readonly #release: () => void;

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
    const password = randomBytes(12).toString('hex');
    const url = `mysql://${encodeURIComponent(server.user)}:${encodeURIComponent(server.password)}@${server.host}:${server.port}/`;
    const admin = await createConnection({ ...server, multipleStatements: true });
    const preparedBefore = await preparedTransactions(admin);
    const release = leash({ database: name, server: url, preparedBefore });
    const database = new TestDatabase(name, admin, server, password, preparedBefore, release);
    try {
      await admin.query(
        `CREATE DATABASE ${name} CHARACTER SET utf8mb4; CREATE USER '${name}'@'%' IDENTIFIED BY '${password}' WITH MAX_USER_CONNECTIONS 100; GRANT ${rights} ON ${name}.* TO '${name}'@'%'; USE ${name}; SET SESSION lock_wait_timeout = 10`,
      );
      await admin.query(await readFile(join(repositoryRoot, 'katas', slug, 'schema.sql'), 'utf8'));
      return database;
    } catch (error) {
      await database[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What a module is to connect with, through `proxy` when there is one. */
  accountOptions(proxy?: MysqlProxy, connectionLimit = 10): AccountOptions {
    const { host, port } = proxy ? { host: '127.0.0.1', port: proxy.port } : this.#server;
    return { host, port, user: this.name, password: this.#password, database: this.name, connectionLimit };
  }

  /** Opens a proxy before this server; see `MysqlProxy.start`. */
  proxy(name: string, greeting?: string): Promise<MysqlProxy> {
    return MysqlProxy.start(this.#server, name, greeting);
  }

  /** A further connection of the test's own, for a session beside the first. */
  async connect(): Promise<Connection> {
    return await createConnection({ ...this.#server, database: this.name, multipleStatements: true });
  }

  /** Drops the database and the account. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await removeDatabase(this.admin, this.name, this.#preparedBefore);
      this.#release();
    } catch {
      // The leash still has it.
    }
    this.admin.destroy();
  }
}
