import { setImmediate as turn } from 'node:timers/promises';
import { until } from '../../foundations/waiting/until.ts';
import type { Subject } from '../../judging/subject/subject.ts';
import type { SubjectsOfFile } from '../../judging/subject/subjects-of-file.ts';
import type { MysqlProxy } from './proxy.ts';
import type { Session } from './schedule-explorer.ts';
import type { AccountOptions, TestDatabase } from './test-database.ts';

interface Parts<Kata> {
  readonly name: string;
  readonly proxy: MysqlProxy;
  readonly subject: Subject<Kata>;
  readonly account: AccountOptions;
}

interface ProcessOptions {
  /** Size of the module's pool. */
  readonly connectionLimit?: number;
  /** A statement that the proxy runs on each new connection. */
  readonly greeting?: string;
}

interface ModuleProcessesOptions<Kata, Process> {
  /** Calls what the module exports in a new process, and returns what tests work with. */
  furnish(process: ModuleProcess<Kata>): Promise<Process>;
  /** Size of the module's pool in each process. Default 3. */
  readonly connectionLimit?: number;
}

/** The module in a process of its own, and the proxy through which that reaches the server. */
export class ModuleProcess<Kata> implements Session, AsyncDisposable {
  readonly name: string;
  readonly proxy: MysqlProxy;
  readonly subject: Subject<Kata>;
  /** With these options the module connects. */
  readonly account: AccountOptions;

  constructor({ name, proxy, subject, account }: Parts<Kata>) {
    this.name = name;
    this.proxy = proxy;
    this.subject = subject;
    this.account = account;
  }

  /** What the schedule explorer needs of it. */
  get session(): Session {
    return { proxy: this.proxy, subject: this.subject };
  }

  /** Waits until the server has answered all that the module has sent, also what it did not wait for. */
  async settles(): Promise<void> {
    // What was sent before the process answers is on its way to the proxy.
    await this.subject.turns(20);
    for (let turns = 0; turns < 10; turns++) await turn();
    await until(() => this.proxy.pending.commands.length === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.subject[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
  }
}

/** Starts the module's processes for one test file, and keeps those that its tests share, by name. */
export class ModuleProcesses<Kata, Process extends ModuleProcess<Kata> = ModuleProcess<Kata>> {
  readonly #database: TestDatabase;
  readonly #subjects: SubjectsOfFile<Kata>;
  readonly #options: ModuleProcessesOptions<Kata, Process>;
  readonly #running = new Map<string, Process>();

  constructor(database: TestDatabase, subjects: SubjectsOfFile<Kata>, options: ModuleProcessesOptions<Kata, Process>) {
    this.#database = database;
    this.#subjects = subjects;
    this.#options = options;
  }

  /** Starts a process of the caller's own. */
  async open(name: string, { connectionLimit, greeting }: ProcessOptions = {}): Promise<Process> {
    const [proxy, subject] = await Promise.all([this.#database.proxy(name, greeting), this.#subjects.fresh()]);
    const limit = connectionLimit ?? this.#options.connectionLimit ?? 3;
    const account = await subject.addressInside(this.#database.accountOptions(proxy, limit));
    return await this.#options.furnish(new ModuleProcess({ name, proxy, subject, account }));
  }

  /** The running process of that name, or a new one. Tests share them, as requests do. */
  async running(name: string, options?: ProcessOptions): Promise<Process> {
    const known = this.#running.get(name);
    const process = known?.subject.alive ? known : await this.open(name, options);
    this.#running.set(name, process);
    return process;
  }

  /** Those that run now. */
  get all(): Process[] {
    return [...this.#running.values()].filter(({ subject }) => subject.alive);
  }

  /** Ends the processes that tests share. */
  async end(): Promise<void> {
    const ended = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(ended.map((process) => process[Symbol.asyncDispose]()));
  }
}
