import type { RowDataPacket } from 'mysql2/promise';
import { ModuleProcess, ModuleProcesses } from '../../helpers/instruments/mysql/module-process.ts';
import { standstillOf } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import { Patience } from '../../helpers/judging/subject/patience.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/cache-stampede/cache-stampede.ts';
import {
  type Outcome,
  type Plan,
  type Settings,
  arrange,
  ask,
  endLoads,
  get,
  openLoader,
  openPool,
  report,
} from './inside.ts';

const connectionLimit = 10;

/** One process with the module and the proxy through which it reaches the server. */
export class CacheProcess extends ModuleProcess<typeof Kata> {
  readonly patience: Patience;
  readonly #database: TestDatabase;

  constructor(bare: ModuleProcess<typeof Kata>, database: TestDatabase, patience: Patience) {
    super(bare);
    this.patience = patience;
    this.#database = database;
  }

  /** Makes a new loader, whose loads are held. */
  async begin(settings: Settings, nowMs: number): Promise<void> {
    await this.subject.run(openLoader, { name: this.name, settings, nowMs });
  }

  async setClock(nowMs: number): Promise<void> {
    await this.subject.run(arrange, { nowMs });
  }

  async planLoads(plan: Plan): Promise<void> {
    await this.subject.run(arrange, { plan });
  }

  /** Makes calls and does not wait for them. */
  async ask(key: string, callers = 1, { retries = false } = {}): Promise<void> {
    await this.subject.run(ask, { key, callers, retries });
  }

  /** Makes a call and waits for its outcome. */
  async get(key: string): Promise<Outcome> {
    return await this.subject.run(get, key);
  }

  /** How often `load` was called for the key. */
  async loads(key: string): Promise<number> {
    return (await this.subject.run(report)).loads.filter((load) => load.key === key).length;
  }

  /** What the calls for the key have come to, those that wait left out. */
  async outcomes(key: string): Promise<Outcome[]> {
    const { calls } = await this.subject.run(report);
    return calls.flatMap((call) => (call.key === key && call.outcome ? [call.outcome] : []));
  }

  /** Whether a load of the key begins, or is held already. */
  async beginsToLoad(key: string): Promise<boolean> {
    const isHeld = async () =>
      (await this.subject.run(report)).loads.some((load) => load.key === key && !load.hasEnded);
    return await this.patience.sees(isHeld);
  }

  /** Waits until a load of the key is held. Fails when that never comes, with `what` in front. */
  async isLoading(key: string, what: string): Promise<void> {
    expectThat(await this.beginsToLoad(key), `${what}: process ${this.name} did not call load`);
  }

  /** Ends the loads of the key that are held. */
  async endLoad(key: string, outcome: Outcome): Promise<void> {
    await this.subject.run(endLoads, { key, outcome });
  }

  /** Waits until `count` calls for the key have an outcome, and returns all outcomes. Fails when that never comes, with `what` in front. */
  async settled(key: string, count: number, what: string): Promise<Outcome[]> {
    let outcomes: Outcome[] = [];
    const areThere = await this.patience.sees(async () => (outcomes = await this.outcomes(key)).length >= count);
    expectThat(areThere, `${what}: ${outcomes.length} of ${count} calls in process ${this.name} were answered`);
    return outcomes;
  }

  /** Waits until the module cannot go further by itself. */
  async rest(): Promise<void> {
    await standstillOf(new Promise(() => undefined), this, this.#database.admin);
  }

  /** Kills the process, and waits until the server has ended its sessions. */
  async kill(): Promise<void> {
    const threads = this.proxy.threadIdsSoFar;
    await this.subject[Symbol.asyncDispose]();
    await this.#database.sessionsEnd(threads, `process ${this.name} after the judge had killed it`);
  }
}

/** The processes A and B, which tests share as long as they hold their promises. */
export class Pair extends ModuleProcesses<typeof Kata, CacheProcess> {
  readonly database: TestDatabase;
  readonly patience = new Patience();

  constructor(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>) {
    super(database, subjects, {
      connectionLimit,
      furnish: async (bare) => {
        const process = new CacheProcess(bare, database, this.patience);
        await process.subject.run(openPool, process.account);
        return process;
      },
    });
    this.database = database;
  }

  /** Empties the tables, and gives each of the two processes a new loader. */
  async begin(settings: Settings, nowMs: number): Promise<readonly [CacheProcess, CacheProcess]> {
    const [a, b] = [await this.running('A'), await this.running('B')];
    await this.database.admin.query('DELETE FROM cache_entries; DELETE FROM cache_locks');
    await a.begin(settings, nowMs);
    await b.begin(settings, nowMs);
    return [a, b];
  }

  /** Sets the clock of both processes. */
  async setClock(nowMs: number): Promise<void> {
    for (const process of this.all) await process.setClock(nowMs);
  }

  /** Waits until neither process can go further by itself. */
  async rest(): Promise<void> {
    for (const process of this.all) await process.rest();
  }

  /** How often both processes together called `load` for the key. */
  async loads(key: string): Promise<number> {
    let loads = 0;
    for (const process of this.all) loads += await process.loads(key);
    return loads;
  }

  /** Rows in the table of values. */
  async rows(): Promise<number> {
    const [[row]] = await this.database.admin.query<RowDataPacket[]>('SELECT COUNT(*) AS count FROM cache_entries');
    return Number(row?.count);
  }
}
