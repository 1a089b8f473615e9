import { readNeeds } from '../../foundations/catalogue/front-matter.ts';
import { settings } from '../../foundations/settings.ts';
import { moduleName, targetFile } from '../../foundations/catalogue/target.ts';
import { showPrinted } from './start-subject.ts';
import { Subject } from './subject.ts';
import type { Run, SubjectOptions } from './subject-types.ts';

export interface SubjectsOptions {
  /** The folder that the needs `read-files` and `write-files` are about. */
  readonly workspace: string;
  /** The functions that may be run in the processes; see `Subject.run`. */
  readonly insideFile?: string;
  /** Run in each new process before anything else. */
  readonly furnish?: Run<never, undefined, unknown>;
  /** How many processes are started ahead of the calls that ask for a fresh one. */
  readonly spares: number;
  /** The limit of those that are not given one. */
  readonly limitMs?: number;
}

/** How a process of one's own differs from the others. `needs` may only leave out some: without `heap`, V8 optimizes the module. */
export type FreshOptions = Pick<SubjectOptions, 'limitMs' | 'needs' | 'collectsEarly'>;

const usualLimitMs = 10_000;
/** What a process gets of its limit after so many processes of the same file have hung; the last one counts for all that follow. */
const shareAfterHangs = [1, 0.25, 0.25, 0.15];

/** The processes of one test file, all of them with the module that this run judges. */
export class SubjectsOfFile<Kata> implements AsyncDisposable {
  readonly #slug: string;
  readonly #options: SubjectsOptions;
  readonly #file: string;
  readonly #needs: ReturnType<typeof readNeeds>;
  readonly #spares: Subject<Kata>[] = [];
  /** All that were handed out; each one that has hung shortens the limit of those that follow. */
  readonly #handedOut: Subject<Kata>[] = [];
  #hungLoad: unknown;
  #running: Subject<Kata> | undefined;
  #isStarting = false;
  #isOver = false;

  constructor(slug: string, options: SubjectsOptions) {
    this.#slug = slug;
    this.#options = options;
    this.#file = targetFile(slug);
    this.#needs = readNeeds(slug);
  }

  /** The process that serves from test to test until `end` is called or it ends by itself. */
  async running(): Promise<Subject<Kata>> {
    if (!this.#running?.alive) this.#running = await this.fresh();
    showPrinted(this.#running);
    return this.#running;
  }

  /** Ends the running process, so that the next caller gets a new one. */
  async end(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
    this.#running = undefined;
  }

  /**
   * A process of its own, which the caller disposes. A module that hangs costs one full limit: after that, later processes get a
   * quarter of theirs, and less after the third time, and a module that hung while it loaded is not loaded again.
   * @throws SubjectError when the module does not compile, does not load, or does not do so within its limit
   */
  async fresh(options: FreshOptions = {}): Promise<Subject<Kata>> {
    if (this.#hungLoad !== undefined) throw this.#hungLoad;
    const subject = this.#take(options);
    showPrinted(subject);
    this.#handedOut.push(subject);
    try {
      await subject.load();
    } catch (error) {
      if (subject.hasHung) this.#hungLoad = error;
      throw error;
    }
    if (this.#options.furnish) await subject.run(this.#options.furnish as Run<Kata, undefined, unknown>);
    this.#refill();
    return subject;
  }

  /** Ends them all. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all([this.end(), ...this.#spares.splice(0).map((spare) => spare[Symbol.asyncDispose]())]);
  }

  #take(options: FreshOptions): Subject<Kata> {
    const hangs = this.#handedOut.filter(({ hasHung }) => hasHung).length;
    if (hangs > 0)
      return this.#create({
        ...options,
        limitMs:
          (options.limitMs ?? this.#options.limitMs ?? usualLimitMs) *
          shareAfterHangs[Math.min(hangs, shareAfterHangs.length - 1)]!,
      });
    const spare = Object.keys(options).length === 0 ? this.#spares.shift() : undefined;
    return spare?.alive ? spare : this.#create(options);
  }

  #create(options: FreshOptions): Subject<Kata> {
    const { workspace, insideFile, limitMs } = this.#options;
    return new Subject<Kata>(this.#file, {
      needs: this.#needs,
      name: moduleName(this.#slug, this.#file),
      workspace,
      ...(insideFile !== undefined && { insideFile }),
      ...(limitMs !== undefined && { limitMs }),
      ...options,
    });
  }

  /** One after the other, because the judge's own work needs the cores as well. */
  #refill(): void {
    if (!settings().keepsSpares || this.#isStarting || this.#isOver || this.#spares.length >= this.#options.spares)
      return;
    this.#isStarting = true;
    const spare = this.#create({});
    spare.unref();
    this.#spares.push(spare);
    const ready = spare.warm(this.#needs.includes('mysql') ? ['mysql2/promise'] : []);
    void ready
      .catch(() => undefined)
      .then(() => {
        this.#isStarting = false;
        this.#refill();
      });
  }
}
