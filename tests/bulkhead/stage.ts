// Runs in the subject's process. The judge's side imports its types only.
import type * as Kata from '../../katas/bulkhead/bulkhead.ts';

/** What the work of a call does: most is held until the judge ends it. */
type Work = 'held' | 'returns' | 'throws' | 'rejects' | 'obeys its signal';

export interface CallOptions {
  /** The compartment; the bulkhead's own unless told. */
  readonly key?: string;
  /** Goes through a handle of that key that was taken at its first call. Otherwise it asks for a new one. */
  readonly keepsHandle?: boolean;
  /** The name of a signal; calls may share one. */
  readonly signal?: string;
  readonly work?: Work;
  /** Makes one more call, when this one begins or when its caller has the result. */
  readonly again?: 'at its begin' | 'at its result';
}

interface Call {
  readonly id: number;
  readonly key: string | undefined;
  readonly end: (how: 'returns' | 'rejects') => void;
  begun: number;
  hasEnded: boolean;
  signal: AbortSignal | undefined;
  outcome: string | undefined;
  /** Whether it was seen waiting. */
  hasWaited: boolean;
}

/** How many turns of the event loop, and how long, a module may take to come to rest. */
const [patienceTurns, patienceMs] = [100, 250];

/** One bulkhead, and the calls that the judge makes of it. It holds their work, and so it knows who is at work. */
export class Stage {
  readonly calls: Call[] = [];
  /** Ids of calls, in the order in which their work began. */
  readonly begun: number[] = [];
  /** The most calls of one compartment that were at work at once. */
  most = 0;
  readonly #bulkhead: Kata.Bulkhead;
  readonly #turns: (count: number) => Promise<void>;
  readonly #handles = new Map<string, Kata.Compartment>();
  readonly #signals = new Map<string, AbortController>();
  readonly #patience: { isSpent: boolean };
  readonly #thenables: boolean;
  #drains = 0;
  #drained = 0;
  #drainFault: string | undefined;

  /**
   * `patience` is shared by the stages of one promise: a module that has not come to rest once is not waited for again. With
   * `thenables`, some work returns what is no Promise, as query builders do.
   */
  constructor(
    { createBulkhead }: typeof Kata,
    options: Kata.BulkheadOptions,
    turns: (count: number) => Promise<void>,
    patience = { isSpent: false },
    { thenables = false } = {},
  ) {
    this.#bulkhead = createBulkhead(options);
    this.#turns = turns;
    this.#patience = patience;
    this.#thenables = thenables;
  }

  call({ key, keepsHandle = false, signal: name, work = 'held', again }: CallOptions = {}): void {
    const [value, error] = [{ valueOf: this.calls.length }, new Error(`the error of call ${this.calls.length}`)];
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call: Call = {
      id: this.calls.length,
      key,
      begun: 0,
      hasEnded: false,
      signal: undefined,
      outcome: undefined,
      hasWaited: false,
      end: (how) => {
        call.hasEnded = true;
        if (how === 'returns') resolve(value);
        else reject(error);
      },
    };
    // Whether the module looks at it or not, it is no rejection that nobody handles.
    promise.catch(() => undefined);
    this.calls.push(call);
    const given = name === undefined ? undefined : this.#signalOf(name);
    const fn = (signal?: AbortSignal): unknown => {
      call.begun += 1;
      call.signal = signal;
      this.begun.push(call.id);
      this.most = Math.max(this.most, this.atWork(key).length);
      if (again === 'at its begin') this.call({ ...(key !== undefined && { key }) });
      if (work === 'obeys its signal') signal?.addEventListener('abort', () => call.end('rejects'), { once: true });
      if (work === 'returns' || work === 'rejects') call.end(work);
      if (work !== 'throws') return this.#thenables && call.id % 3 === 1 ? thenable(promise) : promise;
      call.hasEnded = true;
      throw error;
    };
    const settle = (outcome: string) => {
      call.outcome = outcome;
      if (again === 'at its result') this.call({ ...(key !== undefined && { key }) });
    };
    try {
      const compartment = this.#compartment(key, keepsHandle);
      const returned = given === undefined ? compartment.run(fn) : compartment.run(fn, { signal: given });
      returned.then(
        (seen) => settle(seen === value ? 'returned' : 'returned another value'),
        (thrown: unknown) => settle(outcomeOf(thrown, { error, given, hasBegun: call.begun > 0 })),
      );
    } catch (thrown) {
      settle(`run threw ${inWords(thrown)} instead of returning a promise`);
    }
  }

  /** Calls at work, in the order in which they began. */
  atWork(key?: string): Call[] {
    return this.begun
      .map((id) => this.calls[id]!)
      .filter((call) => call.key === key && call.begun > 0 && !call.hasEnded);
  }

  /** Calls that have neither begun nor been settled. */
  waiting(key?: string): Call[] {
    return this.calls.filter((call) => call.key === key && call.begun === 0 && call.outcome === undefined);
  }

  /** Ends one of those at work, if there is one. */
  end(how: 'returns' | 'rejects' = 'returns', key?: string, which = 0): void {
    const atWork = this.atWork(key);
    atWork[which % atWork.length]?.end(how);
  }

  abort(name: string, reason?: unknown): void {
    this.#signalOf(name);
    this.#signals.get(name)!.abort(reason);
  }

  drain(): void {
    this.#drains += 1;
    try {
      this.#bulkhead.drain().then(
        () => (this.#drained += 1),
        (thrown: unknown) => (this.#drainFault = `drain() rejected with ${inWords(thrown)}`),
      );
    } catch (thrown) {
      this.#drainFault = `drain() threw ${inWords(thrown)}`;
    }
  }

  stats(): string {
    const { running, waiting } = this.#bulkhead.stats();
    return `running ${running}, waiting ${waiting}`;
  }

  /** Lets the module do whatever it is going to do: until it has come where it should, and a few turns longer. */
  async rest(isThere: () => boolean, turnsAfter = 0): Promise<void> {
    await this.#turns(1);
    const endMs = performance.now() + patienceMs;
    for (let turn = 1; !isThere() && !this.#patience.isSpent; turn++) {
      await this.#turns(1);
      if (turn > patienceTurns && performance.now() > endMs) this.#patience.isSpent = true;
    }
    if (turnsAfter > 0) await this.#turns(turnsAfter);
    for (const call of this.calls) call.hasWaited ||= call.begun === 0 && call.outcome === undefined;
  }

  /** Where the calls are, by number: `1 at work, 2 waiting, 1 returned`; compartment by compartment where there are keys. */
  account(): string {
    const keys = [...new Set(this.calls.map(({ key }) => key))];
    const parts = keys.map((key) => {
      const calls = this.calls.filter((call) => call.key === key);
      const outcomes = Map.groupBy(
        calls.flatMap(({ outcome, hasWaited }) => {
          if (outcome === undefined) return [];
          return [hasWaited && outcome.startsWith('refused') ? `${outcome}, although accepted` : outcome];
        }),
        (outcome) => outcome,
      );
      const atWork = this.atWork(key);
      const told = atWork.filter(({ signal }) => signal?.aborted).length;
      const counts: [number, string][] = [
        [atWork.length, told > 0 ? `at work (${told} aborted)` : 'at work'],
        [this.waiting(key).length, 'waiting'],
        ...[...outcomes]
          .map(([outcome, all]): [number, string] => [all.length, outcome])
          .toSorted(([, one], [, two]) => (one < two ? -1 : 1)),
        [calls.filter(({ hasEnded, outcome }) => hasEnded && outcome === undefined).length, 'ended, but not settled'],
        [calls.filter(({ begun }) => begun > 1).length, 'begun twice'],
      ];
      const text = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
      return (key === undefined ? '' : `${JSON.stringify(key)}: `) + text.join(', ');
    });
    if (this.#drains > 0) parts.push(`${this.#drained} of ${this.#drains} drained`);
    if (this.#drainFault !== undefined) parts.push(this.#drainFault);
    return parts.join('; ');
  }

  #compartment(key: string | undefined, keepsHandle: boolean): Kata.Compartment {
    if (key === undefined) return this.#bulkhead;
    if (!keepsHandle) return this.#bulkhead.for(key);
    const handle = this.#handles.get(key) ?? this.#bulkhead.for(key);
    this.#handles.set(key, handle);
    return handle;
  }

  #signalOf(name: string): AbortSignal {
    const controller = this.#signals.get(name) ?? new AbortController();
    this.#signals.set(name, controller);
    return controller.signal;
  }
}

function thenable(promise: Promise<unknown>): PromiseLike<unknown> {
  // oxlint-disable-next-line unicorn/no-thenable -- a module must wait for it as for a promise
  return { then: promise.then.bind(promise) };
}

function outcomeOf(
  thrown: unknown,
  { error, given, hasBegun }: { error: Error; given: AbortSignal | undefined; hasBegun: boolean },
): string {
  if (thrown === error) return 'failed';
  const outcome =
    given?.aborted && thrown === given.reason
      ? 'aborted'
      : thrown instanceof Error && thrown.name === 'BulkheadFullError'
        ? 'refused, full'
        : thrown instanceof Error && thrown.name === 'BulkheadClosedError'
          ? 'refused, closed'
          : `rejected with ${inWords(thrown)}`;
  return hasBegun ? `${outcome} after fn was called` : outcome;
}

function inWords(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}`.slice(0, 100) : typeof thrown;
}
