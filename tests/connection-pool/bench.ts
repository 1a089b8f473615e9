import { until } from '../../helpers/foundations/waiting/until.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/connection-pool/connection-pool.ts';
import {
  type BenchOptions,
  type Report,
  type Sizes,
  openBench,
  openOtherPool,
  play,
  playHistory,
  useInEveryWay,
} from './inside.ts';

/** One pool at work, seen from the module's process and from the server. */
export class Bench {
  readonly #subject: Subject<typeof Kata>;
  readonly #database: TestDatabase;
  readonly #options: BenchOptions;

  private constructor(subject: Subject<typeof Kata>, database: TestDatabase, options: BenchOptions) {
    this.#subject = subject;
    this.#database = database;
    this.#options = options;
  }

  /** Makes a new pool, and ends the connections of the one before. */
  static async open(subject: Subject<typeof Kata>, database: TestDatabase, sizes: Sizes): Promise<Bench> {
    const account = await subject.addressInside(database.accountOptions());
    const bench = new Bench(subject, database, { account, sizes });
    await subject.run(openBench, bench.#options);
    await until(async () => (await database.sessions()).length === 0);
    return bench;
  }

  /**
   * Takes steps, such as `acquire 2; hold reset, release 0`, and reports when only the judge can make something happen. A comma joins
   * steps that are taken in one go; at a semicolon the judge waits until nothing is under way. See `take` in inside.ts for the steps.
   */
  async play(steps = ''): Promise<Report> {
    return await this.#subject.run(play, steps);
  }

  /** Plays a history of its own; see `playHistory`. */
  async playHistory(choices: readonly number[]): Promise<Report> {
    return await this.#subject.run(playHistory, { ...this.#options, choices });
  }

  async openOtherPool(): Promise<void> {
    await this.#subject.run(openOtherPool, this.#options);
  }

  async useInEveryWay(): Promise<string[]> {
    return await this.#subject.run(useInEveryWay);
  }

  /** Expects so many connections at the server. One that was closed may be there for a moment. */
  async expectAtServer(count: number, what: string): Promise<void> {
    await until(async () => (await this.#database.sessions()).length === count, 2_000);
    const seen = (await this.#database.sessions()).length;
    expectThat(seen === count, `${what}: the server had ${seen} connections; expected ${count}`);
  }

  /** Ends these connections as an administrator does, and waits until the server has none of them. */
  async kill(threadIds: readonly number[]): Promise<void> {
    for (const id of threadIds) await this.#database.admin.query(`KILL ${id}`);
    await this.#database.sessionsEnd(threadIds, 'the module after the judge had killed them');
  }
}
