import { Agent, request } from 'undici';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import type * as Kata from '../../katas/retry/retry.ts';
import { type Report, type Setup, Stage, waitFor } from './stage.ts';

/** One `retry`, as plain data. */
export interface Play {
  readonly options: Setup['options'];
  /** How many calls fail before one succeeds; all do unless told. */
  readonly failures?: number;
  /** The number of the call whose error `shouldRetry` refuses. */
  readonly refused?: number;
  /** What `random` returns, one after the other. */
  readonly randoms?: readonly number[];
  /** Whether the first of these calls throw synchronously, and how many. */
  readonly throwsAtOnce?: number;
  readonly abort?: Abort;
}

export interface Abort {
  readonly when: 'before' | 'during call' | 'during wait' | 'as wait ends';
  /** The number of the call, or of the call before the wait. */
  readonly call: number;
  /** A reason that is a text; a DOMException unless told. */
  readonly reason?: string;
  /** Whether the wait goes on until `retry` has settled. Otherwise the wait ends when `retry` has had its chance. */
  readonly isHeld?: boolean;
}

type In<Args = undefined> = Inside<typeof Kata, Args>;

const dispatcher = new Agent({ connections: 10 });

/** Plays each on a stage of its own. */
export async function playAll({ kata, args: plays, tools }: In<readonly Play[]>): Promise<Report[]> {
  const patience = { isSpent: false };
  const reports: Report[] = [];
  for (const play of plays) {
    const stage = new Stage(kata, setupOf(play), tools.turns, patience);
    await run(stage, play.abort);
    reports.push(await stage.report());
  }
  return reports;
}

/** Starts one `retry` after the other with the same options object. */
export async function playTwice({ kata, args: plays, tools }: In<readonly Play[]>): Promise<Report[]> {
  const patience = { isSpent: false };
  const reports: Report[] = [];
  for (const play of plays) {
    const stage = new Stage(kata, setupOf(play), tools.turns, patience);
    const options = stage.options();
    for (let time = 1; time <= 2; time++) {
      stage.start(options);
      await stage.finish();
    }
    reports.push(await stage.report());
  }
  return reports;
}

/** Plays all at the same time. */
export async function playTogether({ kata, args: plays, tools }: In<readonly Play[]>): Promise<Report[]> {
  const patience = { isSpent: false };
  const stages = plays.map((play) => new Stage(kata, setupOf(play), tools.turns, patience));
  for (const stage of stages) stage.start();
  await Promise.all(stages.map((stage) => stage.finish()));
  return await Promise.all(stages.map((stage) => stage.report()));
}

/** Lets calls return and throw values of all kinds. The last call returns one, or throws one. */
export async function playValues({
  kata,
  args: { calls, succeeds },
  tools,
}: In<{ calls: number; succeeds: boolean }>): Promise<{ what: string; report: Report }[]> {
  const patience = { isSpent: false };
  const error = new Error('an error that several calls throw');
  const values = [error, undefined, null, false, 0, '', 'a text', { rows: 3 }, () => 1];
  const played: { what: string; report: Report }[] = [];
  for (const [at, value] of values.entries()) {
    const work = (call: number): unknown => {
      if (call < calls) throw values[(at + ((calls - call) % 2)) % values.length];
      if (!succeeds) throw value;
      return value;
    };
    const stage = new Stage(
      kata,
      { options: { retries: succeeds ? calls + 1 : calls - 1 }, work },
      tools.turns,
      patience,
    );
    stage.start();
    await stage.finish();
    const name =
      value instanceof Error ? 'an Error' : typeof value === 'function' ? 'a function' : JSON.stringify(value);
    played.push({
      what: `${calls} calls, the last one ${succeeds ? 'returns' : 'throws'} ${name}`,
      report: await stage.report(),
    });
  }
  return played;
}

/** Lets all calls throw the same kind of error: some are the program's own mistakes, others have a code or a status. */
export async function playErrors({
  kata,
  args: retries,
  tools,
}: In<number>): Promise<{ what: string; report: Report }[]> {
  const patience = { isSpent: false };
  const errors: [what: string, make: () => unknown][] = [
    ['a TypeError', () => new TypeError('rows.map is not a function')],
    ['a TypeError of fetch', () => new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })],
    ['a RangeError', () => new RangeError('Invalid array length')],
    ['a ReferenceError', () => new ReferenceError('rows is not defined')],
    ['a SyntaxError', () => new SyntaxError('Unexpected end of JSON input')],
    ['an AggregateError', () => new AggregateError([new Error('one'), new Error('two')], 'All promises were rejected')],
    ['an AbortError', () => new DOMException('The operation was aborted', 'AbortError')],
    ['a TimeoutError', () => new DOMException('The operation was aborted due to timeout', 'TimeoutError')],
    ['an error with code ENOENT', () => Object.assign(new Error('no such file'), { code: 'ENOENT' })],
    ['an error with status 404', () => Object.assign(new Error('Not Found'), { status: 404, statusCode: 404 })],
  ];
  const played: { what: string; report: Report }[] = [];
  for (const [what, make] of errors) {
    const work = () => {
      throw make();
    };
    const stage = new Stage(kata, { options: { retries }, work }, tools.turns, patience);
    stage.start();
    await stage.finish();
    played.push({ what, report: await stage.report() });
  }
  return played;
}

/** Lets a budget refuse each retry, or each but the first ones. Returns what was seen, by the number of calls. */
export async function spendBudget({ kata, args: callCounts, tools }: In<readonly number[]>): Promise<Report[]> {
  const reports: Report[] = [];
  for (const calls of callCounts) {
    const work = (call: number) => {
      throw new Error(`call ${call} failed`);
    };
    const stage = new Stage(kata, { options: { retries: 9 }, work }, tools.turns);
    stage.start({ ...stage.options(), budget: kata.createBudget({ ratio: calls - 0.5, max: 100 }) });
    await stage.finish();
    reports.push(await stage.report());
  }
  return reports;
}

/** Asks a server, call by call, whose answers may have the header Retry-After. Returns the waits. */
export async function obey({
  kata,
  args: { origin, nowMs, plays },
  tools,
}: In<{ origin: string; nowMs: number; plays: readonly Pick<Setup, 'options' | 'callMs'>[] }>): Promise<Report[]> {
  const patience = { isSpent: false };
  const reports: Report[] = [];
  for (const [at, { options, callMs = 0 }] of plays.entries()) {
    const work = (call: number) => ask(`${origin}/${at}/${call}`);
    const stage = new Stage(kata, { options, work, nowMs, callMs }, tools.turns, patience);
    stage.start();
    await stage.finish();
    reports.push(await stage.report());
  }
  return reports;
}

/** Calls of `retry` with one budget. */
export interface Phase {
  /**
   * Calls ask for a path that begins with `/succeeds`, with `/fails`, with `/recovers`, which fails the first time only, or with
   * `/refused`, whose errors `shouldRetry` refuses.
   */
  readonly path: string;
  readonly calls: number;
  readonly isAtOnce: boolean;
  /** By default 12. */
  readonly retries?: number;
}

/** Makes the calls of all phases with one budget. Returns what became of them. */
export async function spend({
  kata,
  args: { origin, ratio, max, phases },
  tools,
}: In<{ origin: string; ratio: number; max: number; phases: readonly Phase[] }>): Promise<string[]> {
  const budget = kata.createBudget({ ratio, max });
  const outcomes: string[] = [];
  for (const { path, calls, isAtOnce, retries = 12 } of phases) {
    const crowd = new Crowd(kata, budget, tools.turns);
    const urls = Array.from({ length: calls }, (_, at) => `${origin}${path}/${at}`);
    for (const group of isAtOnce ? [urls] : urls.map((url) => [url])) {
      for (const url of group) crowd.start(url, retries);
      if (!(await crowd.finish())) return [...outcomes, crowd.account()];
    }
    outcomes.push(crowd.account());
  }
  return outcomes;
}

/** Callers of one budget. Nobody's wait ends before everybody waits or has settled. */
class Crowd {
  readonly #kata: typeof Kata;
  readonly #budget: Kata.Budget;
  readonly #turns: (count: number) => Promise<void>;
  readonly #outcomes: string[] = [];
  #sleepers: (() => void)[] = [];
  #slept = 0;
  #requests = 0;
  #started = 0;
  #asking = 0;

  constructor(kata: typeof Kata, budget: Kata.Budget, turns: (count: number) => Promise<void>) {
    this.#kata = kata;
    this.#budget = budget;
    this.#turns = turns;
  }

  start(url: string, retries: number): void {
    this.#started += 1;
    const fn = async () => {
      this.#requests += 1;
      this.#asking += 1;
      return await ask(url).finally(() => (this.#asking -= 1));
    };
    this.#kata
      .retry(fn, {
        retries,
        baseMs: 100,
        maxMs: 1000,
        budget: this.#budget,
        shouldRetry: () => !new URL(url).pathname.startsWith('/refused'),
        random: () => 0.5,
        now: () => 0,
        sleep: () => this.#sleep(),
      })
      .then(
        () => this.#outcomes.push('returned'),
        (error: unknown) => this.#outcomes.push(error instanceof this.#kata.RetryError ? 'gave up' : 'rejected'),
      );
  }

  /**
   * Goes on until all have settled, or nothing moves any more.
   * @returns whether all have settled
   */
  async finish(): Promise<boolean> {
    while (this.#outcomes.length < this.#started) {
      const isAtRest = () => this.#asking === 0 && this.#sleepers.length + this.#outcomes.length >= this.#started;
      if (!(await waitFor(isAtRest, this.#turns, { isWorking: () => this.#asking > 0 }))) return false;
      for (const wake of this.#sleepers.splice(0)) wake();
    }
    return true;
  }

  /** As in `0 returned, 20 gave up, 0 waits without a call`. */
  account(): string {
    const kinds = new Set(['returned', 'gave up', ...this.#outcomes]);
    const counts = [...kinds].map((kind) => `${this.#outcomes.filter((one) => one === kind).length} ${kind}`);
    const idle = this.#slept - (this.#requests - this.#started);
    return [...counts, `${idle} waits without a call`].join(', ');
  }

  #sleep(): Promise<void> {
    this.#slept += 1;
    return new Promise((resolve) => this.#sleepers.push(resolve));
  }
}

async function run(stage: Stage, abort: Abort | undefined): Promise<void> {
  if (abort?.when === 'before') stage.abort(abort.reason);
  stage.start();
  if (abort?.when === 'during call') {
    await stage.untilCall(abort.call);
    stage.abort(abort.reason);
    await stage.endCall();
  }
  if (abort?.when === 'during wait') {
    await stage.untilWait(abort.call);
    stage.abort(abort.reason);
    await stage.settle();
    if (abort.isHeld) return;
  }
  if (abort?.when === 'as wait ends') {
    await stage.untilWait(abort.call);
    stage.endWait();
    stage.abort(abort.reason);
  }
  await stage.finish();
}

function setupOf({ options, failures = Infinity, refused, randoms, throwsAtOnce = 0 }: Play): Setup {
  let drawn = 0;
  return {
    options,
    work(call) {
      if (call <= failures) throw new Error(`call ${call} fails`);
      return `the value of call ${call}`;
    },
    throwsAtOnce: (call) => call <= throwsAtOnce,
    ...(refused !== undefined && { isRefused: (call: number) => call === refused }),
    ...(randoms && { random: () => randoms[drawn++ % randoms.length]! }),
  };
}

/** Returns the text of an answer. A status of 400 and more throws an error with the answer's Retry-After. */
async function ask(url: string): Promise<string> {
  const { statusCode, headers, body } = await request(url, { dispatcher });
  const text = await body.text();
  if (statusCode < 400) return text;
  const retryAfter = headers['retry-after'] ?? null;
  throw Object.assign(new Error(`The server answered with ${statusCode}.`), { retryAfter });
}
