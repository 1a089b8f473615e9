import type { RowDataPacket } from 'mysql2/promise';
import { ModuleProcess, ModuleProcesses } from '../../helpers/instruments/mysql/module-process.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/job-queue/job-queue.ts';
import { drawn, newData } from './drawn.ts';
import {
  type ClaimOutcome,
  type Claimed,
  type Deed,
  type Outcome,
  act,
  claimAtOnce,
  claimInTurn,
  enqueue,
  migrate,
  openQueue,
  setClock,
} from './inside.ts';

const { leaseMs, retryMs, maxAttempts } = drawn;
/** ms between one beginning and the next; all leases and waits are shorter. */
const spanMs = 100_000_000;
/** Connections in the pool of each process. */
export const connectionLimit = 4;

/** One process with the module, and the proxy through which it reaches the server. */
export class QueueProcess extends ModuleProcess<typeof Kata> {
  async setClock(nowMs: number): Promise<void> {
    await this.subject.run(setClock, nowMs);
  }

  async enqueue(data: unknown, runAt?: number): Promise<Outcome<number>> {
    return await this.subject.run(enqueue, { data, ...(runAt !== undefined && { runAt }) });
  }

  /** Enqueues a job with data of its own. Fails when that fails. */
  async enqueueNew(): Promise<number> {
    return valueOf(await this.enqueue(newData()), 'enqueue');
  }

  async claim(worker = this.name): Promise<ClaimOutcome> {
    const [outcome] = await this.subject.run(claimAtOnce, [worker]);
    return outcome!;
  }

  /** Claims a job, and waits until nothing of that is underway. Fails when there is none, with `what` in front. */
  async claimOne(what: string, worker = this.name): Promise<Claimed> {
    const job = valueOf(await this.claim(worker), `${what}: claim`);
    await this.settles();
    expectThat(job !== undefined, `${what}: claim returned undefined`);
    return job!;
  }

  /** Expects that no job is due. */
  async expectNone(what: string): Promise<void> {
    const job = valueOf(await this.claim(), `${what}: claim`);
    await this.settles();
    expectThat(job === undefined, `${what}: a further claim returned job ${job?.id}, attempt ${job?.attempt}`);
  }

  async claimInTurn(most: number): Promise<ClaimOutcome[]> {
    return await this.subject.run(claimInTurn, { worker: this.name, most });
  }

  async act(deed: Deed, { claim }: Claimed, message = 'no such address'): Promise<Outcome<boolean>> {
    return await this.subject.run(act, { deed, claim, message });
  }
}

/** The processes A and B, which tests share as long as they hold their promises. */
export class Pair extends ModuleProcesses<typeof Kata, QueueProcess> {
  readonly database: TestDatabase;
  #isMigrated = false;
  /** The last beginning. Time only moves forward. */
  startMs = drawn.startMs;
  #nowMs = this.startMs;

  constructor(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>) {
    super(database, subjects, {
      connectionLimit,
      furnish: async (bare) => {
        const process = new QueueProcess(bare);
        await process.subject.run(openQueue, { mysql: process.account, settings: { leaseMs, retryMs, maxAttempts } });
        await process.setClock(this.#nowMs);
        return process;
      },
    });
    this.database = database;
  }

  /** Two processes, at the start of time, with an empty table. */
  async begin(): Promise<readonly [QueueProcess, QueueProcess]> {
    const { admin, name } = this.database;
    const [a, b] = [await this.running('A'), await this.running('B')];
    if (!this.#isMigrated) {
      await admin.query(
        `SET SESSION innodb_lock_wait_timeout = 10; CREATE TABLE orders (id INT PRIMARY KEY); GRANT ALTER, INDEX ON ${name}.jobs TO '${name}'@'%'`,
      );
      this.#isMigrated = true;
      await a.subject.run(migrate);
    }
    await this.restart();
    return [a, b];
  }

  /** Empties the table, and begins anew at a later time. */
  async restart(): Promise<void> {
    await this.database.admin.query('DELETE FROM jobs');
    this.startMs += spanMs;
    await this.at(0);
  }

  /** Inserts jobs as another service does, due in this order, and returns their ids. */
  async insert(count: number): Promise<number[]> {
    const values = Array.from({ length: count }, (_, index) => [
      JSON.stringify(newData()),
      this.startMs - count + index,
    ]);
    await this.database.admin.query('INSERT INTO jobs (data, run_at) VALUES ?', [values]);
    const [rows] = await this.database.admin.query<RowDataPacket[]>('SELECT id FROM jobs ORDER BY id DESC LIMIT ?', [
      count,
    ]);
    return rows.map(({ id }) => Number(id)).toReversed();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Sets the clock of both processes to so many ms after the beginning. */
  async at(ms: number): Promise<void> {
    this.#nowMs = this.startMs + ms;
    for (const process of this.all) await process.setClock(this.#nowMs);
  }
}

/** What a call returned. Fails when it failed, with `what` in front. */
export function valueOf<T>(outcome: Outcome<T>, what: string): T {
  expectThat('value' in outcome, `${what} failed: ${'error' in outcome ? outcome.error : ''}`);
  return (outcome as { value: T }).value;
}

/** The ids of the jobs that were claimed, in this order. */
export function idsOf(outcomes: readonly ClaimOutcome[]): number[] {
  return outcomes.flatMap((one) => ('value' in one && one.value ? [one.value.id] : []));
}

/** `; 2 failed: message`, or nothing when none failed. */
export function failuresOf(outcomes: readonly Outcome<unknown>[]): string {
  const errors = outcomes.flatMap((one) => ('error' in one ? [one.error] : []));
  return errors.length === 0 ? '' : `; ${errors.length} failed: ${errors[0]}`;
}
