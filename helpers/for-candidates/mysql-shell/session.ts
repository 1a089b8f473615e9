import { isUtf8 } from 'node:buffer';
import {
  type Connection,
  type FieldPacket,
  type ResultSetHeader,
  type TypeCastField,
  createConnection,
} from 'mysql2/promise';
import type { AccountOptions } from '../../instruments/mysql/test-database.ts';
import type { Column, Result, Value } from './result-text.ts';

/** How a statement ended: with the server's results, or with its error. */
export type Outcome = { readonly ms: number } & (
  | { readonly results: readonly Result[] }
  | { readonly errno: number | undefined; readonly message: string }
);

/** A statement on its way, or answered. */
export interface Execution {
  readonly session: Session;
  readonly sql: string;
  readonly vertical: boolean;
  /** Resolves with the outcome; never rejects. */
  readonly finished: Promise<Outcome>;
  outcome: Outcome | undefined;
  /** Set once the server has been seen to let it wait for a lock. */
  isWaiting: boolean;
}

/** Column types of the protocol whose values are numbers. */
const numberTypes = new Set([0, 1, 2, 3, 4, 5, 8, 9, 13, 246]);

/** One connection to the server, with one statement at a time. A lost connection is replaced by the next statement. */
export class Session {
  readonly number: number;
  readonly #account: AccountOptions;
  readonly #onLost: (session: Session) => void;
  #connection: Connection | undefined;
  /** Rejects when the connection has ended by itself: mysql2 does not answer what was on its way then. */
  #lost: Promise<never> | undefined;
  #running: Execution | undefined;

  private constructor(number: number, account: AccountOptions, onLost: (session: Session) => void) {
    this.number = number;
    this.#account = account;
    this.#onLost = onLost;
  }

  /** Connects. `onLost` is called when the connection has ended by itself, after the answer of what ran on it. */
  static async open(number: number, account: AccountOptions, onLost: (session: Session) => void): Promise<Session> {
    const session = new Session(number, account, onLost);
    await session.connect();
    return session;
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** The server's id of this connection; 0 while there is none. */
  get threadId(): number {
    return this.#connection?.threadId ?? 0;
  }

  /** The statement that has not been answered yet. */
  get running(): Execution | undefined {
    return this.#running;
  }

  /** Makes a new connection where there is none. */
  async connect(): Promise<void> {
    if (this.#connection) return;
    const { host, port, user, password, database } = this.#account;
    const connection = await createConnection({ host, port, user, password, database });
    this.#connection = connection;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.#lost = promise;
    const lost = () => {
      reject(new Error('the connection was closed before the answer came'));
      this.#lose(connection);
    };
    connection.on('error', lost).on('end', lost);
    // A wait for a table's metadata lasts a year by default, and nobody who tries something by hand means that.
    await connection.query('SET SESSION lock_wait_timeout = 50');
  }

  /** Sends a statement; the session must be connected and have none running. */
  start(sql: string, vertical: boolean): Execution {
    const execution: Execution = {
      session: this,
      sql,
      vertical,
      outcome: undefined,
      isWaiting: false,
      finished: this.#ask(sql).then((outcome) => {
        execution.outcome = outcome;
        this.#running = undefined;
        return outcome;
      }),
    };
    this.#running = execution;
    return execution;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  async #ask(sql: string): Promise<Outcome> {
    const connection = this.#connection!;
    const startedMs = performance.now();
    const passedMs = () => performance.now() - startedMs;
    try {
      const [answer, fields] = await Promise.race([
        connection.query({ sql, rowsAsArray: true, typeCast: asText }),
        this.#lost!,
      ]);
      return { ms: passedMs(), results: resultsOf(answer, fields) };
    } catch (error) {
      const ms = passedMs();
      const { errno, message, fatal, sqlMessage } = error as NodeJS.ErrnoException & {
        fatal?: boolean;
        sqlMessage?: string;
      };
      if (fatal) this.#lose(connection);
      // Killed: the statement alone, or the connection too? It may not have ended yet.
      if (errno === 1317 || errno === 1927)
        await Promise.race([connection.ping(), this.#lost!]).catch(() => this.#lose(connection));
      // A number below zero is the operating system's, not the server's.
      return { ms, errno: errno !== undefined && errno > 0 ? errno : undefined, message: sqlMessage ?? message };
    }
  }

  #lose(connection: Connection): void {
    if (this.#connection !== connection) return;
    connection.destroy();
    this.#connection = undefined;
    void Promise.resolve(this.#running?.finished).then(() => this.#onLost(this));
  }
}

/** The server's own text; bytes that are none are shown as hexadecimal digits. */
function asText(field: TypeCastField): Value {
  const bytes = field.buffer();
  if (bytes === null) return null;
  return isUtf8(bytes) && field.type !== 'BIT' && field.type !== 'GEOMETRY'
    ? bytes.toString('utf8')
    : `0x${bytes.toString('hex').toUpperCase()}`;
}

/** A CALL has several results: mysql2 then gives lists of them. */
function resultsOf(answer: unknown, fields: unknown): Result[] {
  const isSeveral = Array.isArray(fields) && fields.some((item) => item === undefined || Array.isArray(item));
  if (!isSeveral) return [resultOf(answer, fields)];
  return (answer as unknown[]).map((one, index) => resultOf(one, (fields as unknown[])[index]));
}

function resultOf(answer: unknown, fields: unknown): Result {
  if (Array.isArray(answer)) {
    const columns: Column[] = (fields as FieldPacket[]).map(({ name, columnType, type }) => ({
      name,
      isNumber: numberTypes.has(columnType ?? type ?? -1),
    }));
    return { columns, rows: answer as Value[][] };
  }
  const { affectedRows, info, insertId, warningStatus } = answer as ResultSetHeader;
  return { affected: affectedRows, info, insertId, warnings: warningStatus };
}
