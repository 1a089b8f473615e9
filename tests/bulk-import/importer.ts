import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atRest, bytesRead, noBytesRead } from '../../helpers/instruments/gauges/gauges.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import type { MysqlProxy } from '../../helpers/instruments/mysql/proxy.ts';
import type { AccountOptions, TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/bulk-import/bulk-import.ts';
import { type Document, drawn } from './documents.ts';
import { type Outcome, beginImport, outcomeWithin } from './inside.ts';
import type { Table } from './table.ts';

/** How long one look at an import waits for its end, in ms. */
const lookMs = 1000;
/** An import that makes no progress in so many looks has stopped for ever. */
const looksWithoutProgress = 20;
/** Less than one chunk of a file, and more than the judge's own questions. */
const progressBytes = 64 * 1024;

/** What the importers of a test file share. */
export interface Stage {
  readonly database: TestDatabase;
  readonly subjects: SubjectsOfFile<typeof Kata>;
  readonly workspace: string;
  readonly table: Table;
}

/** A limit for what never comes, in ms. */
const settleLimitMs = 20_000;

let files = 0;

/** Writes a file into the workspace and returns its path. */
export async function writeDocument({ workspace }: Pick<Stage, 'workspace'>, { csv }: Document): Promise<string> {
  const path = join(workspace, `${drawn.word}-${++files}.csv`);
  await writeFile(path, csv);
  return path;
}

/** A process with the module, and the proxy through which it reaches the server. It runs one import at a time. */
export class Importer implements AsyncDisposable {
  readonly subject: Subject<typeof Kata>;
  readonly proxy: MysqlProxy;
  /** What the module is given. */
  readonly options: AccountOptions;
  /** The file of the last import. */
  path = '';
  readonly #stage: Stage;
  /** A module that leaves sessions is waited for once, and not after each import. */
  #leavesSessions = false;

  private constructor(stage: Stage, subject: Subject<typeof Kata>, proxy: MysqlProxy, options: AccountOptions) {
    this.#stage = stage;
    this.subject = subject;
    this.proxy = proxy;
    this.options = options;
  }

  /** Takes the running process. With `isDirect` the module gets the server's own address. */
  static async open(stage: Stage, { isDirect = false } = {}): Promise<Importer> {
    const proxy = await stage.database.proxy('A');
    const subject = await stage.subjects.running();
    const options = await subject.addressInside(stage.database.accountOptions(isDirect ? undefined : proxy));
    return new Importer(stage, subject, proxy, options);
  }

  /** Imports a document, or the file of this path, and waits until the module's sessions have ended. `options` replace the usual ones. */
  async imports(source: Document | string, options: Partial<AccountOptions> = {}): Promise<Outcome> {
    await this.begin(typeof source === 'string' ? source : await writeDocument(this.#stage, source), options);
    const outcome = await this.outcome();
    await this.settles();
    if (!this.#leavesSessions) this.#leavesSessions = !(await this.#stage.table.sessionsEnd());
    return outcome;
  }

  /** Waits until the server has ended the sessions whose connections are gone: until then it may be rolling back. */
  async settles(): Promise<void> {
    const goneSessions = async () =>
      (await this.#stage.database.sessions()).filter((id) => !this.proxy.threadIds.includes(id));
    await until(async () => (await goneSessions()).length === 0, settleLimitMs);
  }

  /** Begins an import and does not wait for its end. */
  async begin(path: string, options: Partial<AccountOptions> = {}): Promise<void> {
    this.path = path;
    await this.subject.run(beginImport, { path, options: { ...this.options, ...options } });
  }

  /** How the import ended, if it has. */
  async outcomeSoFar(): Promise<Outcome | undefined> {
    return await this.subject.run(outcomeWithin, { waitMs: 0 });
  }

  /** Waits for the end of the import. */
  async outcome(): Promise<Outcome> {
    const outcome = await this.waitFor(new Promise(() => undefined));
    expectThat(
      outcome !== undefined,
      `the import did not end; in its last ${looksWithoutProgress} s it sent nothing to the server, got no answer, and read no file`,
    );
    return outcome!;
  }

  /** Says whether something happens before the import is over and the server has all that the import sent. */
  async happens(event: Promise<unknown>): Promise<boolean> {
    let hasHappened = false;
    void event.then(() => (hasHappened = true));
    const outcome = await this.waitFor(event);
    if (outcome !== undefined)
      await until(async () => hasHappened || (await this.#stage.database.sessions()).length === 0);
    return hasHappened;
  }

  /**
   * Waits until something happens, and no longer than the import lasts or makes progress. `isEnough`, asked with each look, ends the
   * waiting too. Returns the outcome if the import ended first.
   */
  async waitFor(event: Promise<unknown>, isEnough: () => Promise<boolean> = async () => false) {
    let hasHappened = false;
    const happening = event.then(() => void (hasHappened = true));
    let last = await this.#progress();
    for (let looks = 0; looks < looksWithoutProgress; looks++) {
      const look = this.subject.run(outcomeWithin, { waitMs: lookMs });
      const outcome = await Promise.race([happening, look]);
      look.catch(() => undefined);
      if (hasHappened) return undefined;
      if (outcome !== undefined) return outcome;
      if (await isEnough()) return undefined;
      const now = await this.#progress();
      if (now.packets === last.packets && now.bytes < last.bytes + progressBytes) continue;
      [last, looks] = [now, 0];
    }
    return undefined;
  }

  async #progress(): Promise<{ packets: number; bytes: number }> {
    return {
      packets: this.proxy.activity,
      bytes: noBytesRead === undefined ? await bytesRead(this.subject) : 0,
    };
  }

  /** Ends the process unless its import is over, and ends what sessions it has left: the next promise is judged by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { subjects, table } = this.#stage;
    if (!(await this.#isIdle().catch(() => false))) await subjects.end();
    await this.proxy[Symbol.asyncDispose]();
    await table.endSessions();
  }

  async #isIdle(): Promise<boolean> {
    if (this.path === '') return true;
    if (!this.subject.alive || (await this.outcomeSoFar()) === undefined) return false;
    await atRest(this.subject);
    return (await this.#stage.database.sessions()).length === 0;
  }
}
