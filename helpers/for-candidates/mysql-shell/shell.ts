import { setTimeout as pause } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { UserError } from '../../foundations/command-line/user-error.ts';
import { waitingThreads } from '../../instruments/mysql/lock-waits.ts';
import type { TestDatabase } from '../../instruments/mysql/test-database.ts';
import { plural, resultText, tableText, timeText } from './result-text.ts';
import { type Execution, type Outcome, Session } from './session.ts';
import type { Input } from './statement-reader.ts';

/** Where the shell writes. */
export interface Screen {
  /** Columns that fit; Infinity where nothing is to be cut. */
  readonly width: number;
  /** Writes whole lines, without disturbing what is being typed. */
  print(text: string): void;
}

export interface ShellOptions {
  readonly database: TestDatabase;
  readonly screen: Screen;
  /**
   * A script's statements run strictly in order: each waits until the one before it is done, or seen waiting for a
   * lock, and is written out before its result. A person instead gets the prompt back, and is told when a session is busy.
   */
  readonly isScript: boolean;
}

const pollMs = 40;
/** A state that lasts for one look only, such as a commit that waits for its turn, is no wait for a lock. */
const looksInARow = 2;
/** After so long a person gets the prompt back, whatever the statement does. */
const promptBackMs = 2_000;

const help = `Statements end with ; and may go over several lines. \\G instead of ; shows one
column a line. DELIMITER // lets a trigger hold a ;.
  \\1  \\2          go to session 1, go to session 2
  \\2 SELECT 1;    run a statement there and stay here
  \\sessions       what each session does, and whether it has a transaction open
  \\cancel         stop what this session runs (\\cancel 2: what session 2 runs)
  \\help           this text
  \\q              leave; also exit, Ctrl-D, and Ctrl-C on an empty line
Ctrl-C drops a half-typed statement. Arrow keys bring back earlier ones.
To see a lock wait: START TRANSACTION; and an UPDATE here, then \\2 and the same
UPDATE, then \\1 and COMMIT;`;

/** Two sessions side by side on one database, told what to do by what is typed. */
export class Shell implements AsyncDisposable {
  readonly #database: TestDatabase;
  readonly #screen: Screen;
  readonly #isScript: boolean;
  readonly #sessions: readonly Session[];
  #current: Session;
  #hasFailed = false;
  /** Set while the latest statement is neither done nor known to wait. The output of other sessions is printed after it. */
  #foreground: Execution | undefined;
  readonly #heldBack: string[] = [];
  /** Statements that run behind the prompt, each until its answer has been shown. */
  readonly #behind = new Map<Execution, Promise<void>>();
  #isLeaving = false;

  private constructor({ database, screen, isScript }: ShellOptions, sessions: readonly [Session, Session]) {
    this.#database = database;
    this.#screen = screen;
    this.#isScript = isScript;
    this.#sessions = sessions;
    this.#current = sessions[0];
  }

  /** Opens both sessions with the database's own account. */
  static async open(options: ShellOptions): Promise<Shell> {
    const account = options.database.accountOptions();
    let shell: Shell | undefined;
    const onLost = (session: Session) => {
      if (shell) shell.#tellLost(session);
    };
    shell = new Shell(options, [await Session.open(1, account, onLost), await Session.open(2, account, onLost)]);
    return shell;
  }

  /** The number of the session that a statement goes to. */
  get current(): number {
    return this.#current.number;
  }

  /** Whether anything has been answered with an error. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether a statement keeps the prompt from coming back. */
  get isBusy(): boolean {
    return this.#foreground !== undefined;
  }

  /**
   * Does what was typed, and says whether to go on. Comes back when the statement is done or is seen waiting for a lock.
   * @throws UserError when the server is gone
   */
  async take(input: Input): Promise<'go on' | 'leave'> {
    if (input.kind === 'unfinished') {
      this.#fail(`This has no ; and is not run: ${oneLine(input.sql)}`);
    } else if (input.kind === 'statement') {
      await this.#run(this.#session(input.session), input.sql, input.vertical);
    } else {
      return await this.#command(input.name, input.rest);
    }
    return 'go on';
  }

  /** Waits until every statement has its answer. */
  async idle(): Promise<void> {
    await Promise.all(this.#behind.values());
  }

  /** Asks the server to stop what a session runs; by default what the prompt waits for. */
  async cancel(session: Session | undefined = this.#foreground?.session): Promise<void> {
    if (session?.running) await this.#database.admin.query(`KILL QUERY ${session.threadId}`).catch(() => undefined);
  }

  /** Ends all sessions of this database's account, other clients' too, so that none of them holds a lock on its tables. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isLeaving = true;
    const { admin, name } = this.#database;
    try {
      const [sessions] = await admin.query<RowDataPacket[]>('SHOW PROCESSLIST');
      for (const { Id, User } of sessions)
        if (User === name) await admin.query(`KILL ${Number(Id)}`).catch(() => undefined);
    } catch {
      // The server is gone, and its sessions with it.
    }
    for (const session of this.#sessions) session.close();
    await this.idle();
  }

  #session(number: number | undefined): Session {
    return this.#sessions.find((session) => session.number === number) ?? this.#current;
  }

  async #run(session: Session, sql: string, vertical: boolean): Promise<void> {
    const before = session.running;
    if (before && !this.#isScript) {
      this.#fail(
        `Session ${session.number} still ${before.isWaiting ? 'waits for a lock' : 'runs'}: ${oneLine(before.sql)}\nThe other session is at \\${session.number === 1 ? 2 : 1}; \\cancel ${session.number} stops this one.`,
      );
      return;
    }
    if (before) await this.#behind.get(before);
    if (this.#isScript) this.#say(`${session.number}> ${sql.replaceAll('\n', '\n-> ')}${vertical ? '\\G' : ';'}`);
    await this.#reconnect(session);

    const execution = session.start(sql, vertical);
    this.#foreground = execution;
    const watched = this.#watch(execution);
    const prompt = new AbortController();
    const first = await Promise.race([
      execution.finished,
      watched,
      ...(this.#isScript
        ? []
        : [pause(promptBackMs, 'slow' as const, { signal: prompt.signal }).catch(() => 'slow' as const)]),
    ]);
    prompt.abort();
    this.#foreground = undefined;
    if (execution.outcome) {
      this.#tell(execution, execution.outcome);
    } else {
      if (first === 'slow') this.#say(`session ${session.number} still runs; its result is shown when it comes`);
      void watched.then((how) => how === 'waiting' && this.#say(`session ${session.number} waits for a lock`));
      this.#behind.set(execution, this.#tellLater(execution));
    }
    for (const text of this.#heldBack.splice(0)) this.#screen.print(text);
    if (this.#isScript) await this.#settleOthers();
  }

  /** Looks at the server until the statement is done, or waits for a lock. */
  async #watch(execution: Execution): Promise<'done' | 'waiting'> {
    for (let seen = 0; ;) {
      await Promise.race([execution.finished, pause(pollMs)]);
      if (execution.outcome) return 'done';
      const asked = this.#sessions.filter(({ running }) => running).map(({ threadId }) => threadId);
      // An account without the right to look, as on somebody's own server, sees no waits.
      const waiting = await waitingThreads(this.#database.admin, asked).catch(() => new Set<number>());
      if (execution.outcome) return 'done';
      seen = waiting.has(execution.session.threadId) ? seen + 1 : 0;
      if (seen === looksInARow) {
        execution.isWaiting = true;
        return 'waiting';
      }
    }
  }

  /** What has just run may have given others their locks: then their answers come before the script's next line. */
  async #settleOthers(): Promise<void> {
    for (const [execution, answered] of this.#behind) {
      if ((await this.#watch(execution)) === 'done') await answered;
    }
  }

  async #tellLater(execution: Execution): Promise<void> {
    const outcome = await execution.finished;
    const waited = execution.isWaiting ? ' after its wait' : '';
    const text = `session ${execution.session.number} is answered${waited}: ${oneLine(execution.sql)}`;
    this.#tell(execution, outcome, `${text}\n`);
    this.#behind.delete(execution);
  }

  #tell({ sql, vertical }: Execution, outcome: Outcome, before = ''): void {
    if (this.#isLeaving) return;
    if ('results' in outcome) {
      this.#say(
        before +
          outcome.results.map((result) => resultText(result, sql, outcome.ms, this.#screen.width, vertical)).join('\n'),
      );
      return;
    }
    const { errno, message } = outcome;
    this.#fail(`${before}ERROR${errno === undefined ? '' : ` ${errno}`}: ${message} (${timeText(outcome.ms)})`);
  }

  #tellLost({ number }: Session): void {
    if (!this.#isLeaving)
      this.#say(`session ${number} lost its connection and transaction; its next statement reconnects`);
  }

  async #reconnect(session: Session): Promise<void> {
    try {
      await session.connect();
    } catch (error) {
      throw new UserError(
        `The server is gone: ${(error as Error).message || (error as NodeJS.ErrnoException).code}. Start again.`,
      );
    }
  }

  async #command(name: string, rest: string): Promise<'go on' | 'leave'> {
    if (/^[12]$/.test(name)) {
      this.#current = this.#session(Number(name));
    } else if (['q', 'quit', 'exit'].includes(name)) {
      return 'leave';
    } else if (['help', 'h', '?'].includes(name)) {
      this.#say(help);
    } else if (name === 'sessions') {
      await this.#listSessions();
    } else if (name === 'cancel' && /^[12]?$/.test(rest)) {
      const session = rest === '' ? this.#current : this.#session(Number(rest));
      if (session.running) await this.cancel(session);
      else this.#say(`session ${session.number} runs nothing`);
      if (session.running) await this.#behind.get(session.running);
    } else {
      this.#fail(`There is no \\${name}${rest === '' ? '' : ` ${rest}`}; \\help tells what there is.`);
    }
    return 'go on';
  }

  async #listSessions(): Promise<void> {
    const transactions = new Map<number, string>();
    try {
      const [rows] = await this.#database.admin.query<RowDataPacket[]>(
        'SELECT trx_mysql_thread_id AS id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS age, trx_rows_locked AS locked FROM information_schema.innodb_trx',
      );
      for (const { id, age, locked } of rows)
        transactions.set(Number(id), `open for ${age} s, ${plural(Number(locked), 'row lock')}`);
    } catch {
      // Without the right to look, the column stays empty.
    }
    const columns = ['session', 'connection', 'does', 'transaction'].map((name) => ({ name, isNumber: false }));
    const rows = this.#sessions.map((session) => {
      const { running } = session;
      const does = running
        ? `${running.isWaiting ? 'waits for a lock' : 'runs'}: ${oneLine(running.sql)}`
        : session.isConnected
          ? 'idle'
          : 'has lost its connection';
      return [
        `${session.number}${session === this.#current ? ' (here)' : ''}`,
        String(session.threadId || '-'),
        does,
        transactions.get(session.threadId) ?? 'none',
      ];
    });
    this.#say(tableText(columns, rows, this.#screen.width));
  }

  #fail(text: string): void {
    this.#hasFailed = true;
    this.#say(text);
  }

  #say(text: string): void {
    if (this.#foreground) this.#heldBack.push(text);
    else this.#screen.print(text);
  }
}

/** A statement as a short line. */
function oneLine(sql: string): string {
  const line = sql.replace(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
