import { getEventListeners } from 'node:events';
import type * as Kata from '../../katas/retry/retry.ts';

/** How one `retry` is set up. Options that are left out have usual values. */
export interface Setup {
  readonly options: Partial<Pick<Kata.RetryOptions, 'retries' | 'baseMs' | 'maxMs' | 'jitter'>>;
  /** What call number `call`, from 1, does: it returns, rejects, or waits for something real. */
  readonly work: (call: number) => unknown;
  /** Which calls throw synchronously. */
  readonly throwsAtOnce?: (call: number) => boolean;
  /** Which calls end with an error that `shouldRetry` refuses; without it, no `shouldRetry` is given. */
  readonly isRefused?: (call: number) => boolean;
  readonly random?: () => number;
  readonly nowMs?: number;
  /** By how much the clock moves during each call. */
  readonly callMs?: number;
}

/** What was seen of one `retry`. */
export interface Report {
  readonly calls: number;
  /** How many calls began before the one before them had ended. */
  readonly overlaps: number;
  /** How many calls began while a wait was pending. */
  readonly early: number;
  /** How many ms were slept before the first call, and after each call; as text, because NaN is possible. */
  readonly waits: readonly string[];
  readonly outcome: string;
  /** The name of the cause of the RetryError. */
  readonly cause: string | undefined;
  /** Names of what the calls threw, and of the `errors` of the RetryError. Equal values have equal names. */
  readonly thrown: readonly string[];
  readonly errors: readonly string[] | undefined;
  /** Sleeps that are still pending, and listeners on the signal. */
  readonly sleeping: number;
  readonly listeners: number;
}

interface Sleep {
  end(): void;
}

/** How many turns of the event loop, and how long, a module may take before its next step. */
const [patienceTurns, patienceMs] = [100, 250];
/** How many turns each call and each wait lasts at least. */
const holdTurns = 2;

/**
 * Lets the event loop turn until `isThere`, or until the module has had its time without anything being under way.
 * @returns whether it is there
 */
export async function waitFor(
  isThere: () => boolean,
  turns: (count: number) => Promise<void>,
  { isWorking = () => false, isPatient = true }: { isWorking?: () => boolean; isPatient?: boolean },
): Promise<boolean> {
  let startMs = performance.now();
  for (let turn = 1; !isThere(); turn++) {
    if (isWorking()) [turn, startMs] = [1, performance.now()];
    if (turn > patienceTurns && (!isPatient || performance.now() - startMs > patienceMs)) return false;
    await turns(1);
  }
  return true;
}

/** One `retry`. Its calls and its waits end when the stage says so. */
export class Stage {
  readonly #kata: typeof Kata;
  readonly #setup: Setup;
  readonly #turns: (count: number) => Promise<void>;
  readonly #patience: { isSpent: boolean };
  readonly #controller = new AbortController();
  readonly #held: (() => Promise<unknown>)[] = [];
  readonly #sleeps = new Set<Sleep>();
  readonly #thrown: unknown[] = [];
  readonly #waits = [0];
  #returned: { value: unknown } | undefined;
  #calls = 0;
  #underWay = 0;
  #overlaps = 0;
  #early = 0;
  #outcome: string | undefined;
  #failure: Kata.RetryError | undefined;

  /** `patience` is shared by the stages of one promise: a module that has not moved once is not waited for again. */
  constructor(kata: typeof Kata, setup: Setup, turns: (count: number) => Promise<void>, patience = { isSpent: false }) {
    this.#kata = kata;
    this.#setup = setup;
    this.#turns = turns;
    this.#patience = patience;
  }

  /** The options of this stage's calls of `retry`. */
  readonly options = (): Kata.RetryOptions => ({
    retries: 3,
    baseMs: 100,
    maxMs: 10_000,
    signal: this.#controller.signal,
    sleep: (ms, options) => this.#sleep(ms, options),
    random: this.#setup.random ?? (() => 0.5),
    now: () => (this.#setup.nowMs ?? 0) + this.#calls * (this.#setup.callMs ?? 0),
    ...(this.#setup.isRefused && {
      shouldRetry: (error) => !this.#thrown.some((one, at) => this.#setup.isRefused!(at + 1) && Object.is(one, error)),
    }),
    ...this.#setup.options,
  });

  /** Calls `retry`. After it has settled, another start goes on counting. */
  start(options = this.options()): void {
    this.#outcome = undefined;
    try {
      this.#kata
        .retry(() => this.#call(), options)
        .then(
          (value) => (this.#outcome = this.#nameOfValue(value)),
          (error: unknown) => (this.#outcome = this.#nameOfFailure(error)),
        );
    } catch (error) {
      this.#outcome = `retry threw ${inWords(error)} instead of returning a promise`;
    }
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  /** Goes on until call number `call` is under way. */
  async untilCall(call: number): Promise<void> {
    await this.#advance(() => this.#calls >= call && this.#underWay > 0);
  }

  /** Goes on until the module waits after call number `call`. */
  async untilWait(call: number): Promise<void> {
    await this.#advance(() => this.#calls >= call && this.#sleeps.size > 0);
  }

  /** Lets the calls under way end, and nothing else. */
  async endCall(): Promise<void> {
    await Promise.all(this.#held.splice(0).map((end) => end()));
  }

  endWait(): void {
    for (const sleep of this.#sleeps) sleep.end();
  }

  /** Goes on until `retry` has settled. */
  async finish(): Promise<void> {
    await this.#advance(() => false);
  }

  /** Waits until `retry` has settled, and lets nothing end. */
  async settle(): Promise<void> {
    await this.#waitFor(() => this.#outcome !== undefined);
  }

  async report(): Promise<Report> {
    await this.#turns(holdTurns);
    const names = (errors: readonly unknown[]) => errors.map((error) => this.#nameOfError(error));
    return {
      calls: this.#calls,
      overlaps: this.#overlaps,
      early: this.#early,
      waits: this.#waits.map(String),
      outcome: this.#outcome ?? 'not settled',
      thrown: names(this.#thrown),
      cause: this.#failure && this.#nameOfError(this.#failure.cause),
      errors: Array.isArray(this.#failure?.errors) ? names(this.#failure.errors) : undefined,
      sleeping: this.#sleeps.size,
      listeners: getEventListeners(this.#controller.signal, 'abort').length,
    };
  }

  #call(): unknown {
    if (this.#isEndless) return new Promise(() => undefined);
    const call = ++this.#calls;
    this.#waits.push(0);
    if (this.#underWay > 0) this.#overlaps += 1;
    if (this.#sleeps.size > 0) this.#early += 1;
    const gate = Promise.withResolvers<void>();
    const perform = async () => {
      await gate.promise;
      try {
        const value = await this.#setup.work(call);
        this.#returned ??= { value };
        return value;
      } catch (error) {
        this.#thrown.push(error);
        throw error;
      } finally {
        this.#underWay -= 1;
      }
    };
    if (this.#setup.throwsAtOnce?.(call)) {
      const error = new Error(`call ${call} throws at once`);
      this.#thrown.push(error);
      throw error;
    }
    this.#underWay += 1;
    const performed = perform();
    const ended = performed.catch(() => undefined);
    this.#held.push(() => {
      gate.resolve();
      return ended;
    });
    return performed;
  }

  #sleep(ms: number, options?: { signal?: AbortSignal | undefined }): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const signal = options?.signal;
    const over = () => {
      this.#sleeps.delete(sleep);
      signal?.removeEventListener('abort', abort);
    };
    const sleep: Sleep = {
      end() {
        over();
        resolve();
      },
    };
    const abort = () => {
      over();
      reject(new DOMException('The operation was aborted', 'AbortError'));
    };
    if (signal?.aborted) {
      abort();
      return promise;
    }
    this.#waits[this.#waits.length - 1]! += ms;
    this.#sleeps.add(sleep);
    signal?.addEventListener('abort', abort);
    return promise;
  }

  /** A module that makes many more calls than it may gets no further. */
  get #isEndless(): boolean {
    return this.#calls > 2 * this.options().retries + 7;
  }

  async #advance(isThere: () => boolean): Promise<void> {
    const hasMoved = () =>
      isThere() || this.#outcome !== undefined || this.#held.length > 0 || this.#sleeps.size > 0 || this.#isEndless;
    for (;;) {
      await this.#waitFor(hasMoved);
      if (this.#held.length === 0 && this.#sleeps.size === 0) return;
      await this.#turns(holdTurns);
      if (isThere() || this.#outcome !== undefined || this.#isEndless) return;
      if (this.#held.length > 0) await this.endCall();
      else this.endWait();
    }
  }

  async #waitFor(isThere: () => boolean): Promise<void> {
    const isPatient = !this.#patience.isSpent;
    if (!(await waitFor(isThere, this.#turns, { isPatient }))) this.#patience.isSpent = true;
  }

  #nameOfValue(value: unknown): string {
    if (this.#returned === undefined) return `returned ${inWords(value)}, although no call did`;
    return Object.is(value, this.#returned.value) ? 'returned the value of fn' : `returned ${inWords(value)}`;
  }

  #nameOfFailure(error: unknown): string {
    const { aborted, reason } = this.#controller.signal;
    if (aborted && Object.is(error, reason)) return 'rejected with the reason';
    if (!(error instanceof this.#kata.RetryError)) return `rejected with ${inWords(error)}`;
    this.#failure = error;
    return 'gave up';
  }

  #nameOfError(error: unknown): string {
    const at = this.#thrown.findIndex((one) => Object.is(one, error));
    return at === -1 ? inWords(error) : `error of call ${at + 1}`;
  }
}

function inWords(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`.slice(0, 100);
  return typeof value === 'object' && value !== null ? 'another object' : String(value).slice(0, 100);
}
