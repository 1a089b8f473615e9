type State = 'closed' | 'open' | 'half-open';
type Call<Request, Answer> = (request: Request, context: { signal: AbortSignal }) => Promise<Answer>;

interface BreakerOptions {
  failureThreshold: number;
  successThreshold: number;
  timeoutMs: number;
  resetTimeoutMs: number;
  now?: () => number;
  isFailure?: (error: unknown) => boolean;
  onStateChange?: (to: State, from: State) => void;
  failureRate?: { share: number; minimumCalls: number; windowMs: number };
}

export class CircuitOpenError extends Error {
  override name = 'CircuitOpenError';
}

export class CallTimeoutError extends Error {
  override name = 'CallTimeoutError';
}

type Entry =
  | { readonly kind: 'moved'; readonly to: State; readonly at: number }
  | { readonly kind: 'began'; readonly id: symbol; readonly at: number }
  | { readonly kind: 'ended'; readonly id: symbol; readonly at: number; readonly failed: boolean };

/** Keeps what happened since the last change of state, as far as it can still matter, and counts whenever a count is needed. */
class Journal {
  #entries: Exclude<Entry, { kind: 'moved' }>[] = [];
  readonly #windowMs: number;
  state: State = 'closed';
  since = -Infinity;

  constructor(windowMs = 0) {
    this.#windowMs = windowMs;
  }

  write(entry: Entry) {
    if (entry.kind === 'moved') {
      this.#entries = [];
      this.state = entry.to;
      this.since = entry.at;
      return;
    }
    this.#entries.push(entry);
    if (entry.kind === 'began') return;
    const isNeeded = this.state === 'half-open' || entry.failed;
    this.#entries = this.#entries.filter((old) => old.id !== entry.id || old === entry);
    if (isNeeded) return;
    // Behind a success, only the failure rate asks for older results.
    this.#entries = this.#entries.filter(
      (old) => old === entry || old.kind !== 'ended' || old.at >= entry.at - this.#windowMs,
    );
  }

  /** Only calls that began in this journal's present chapter can end in it. */
  knows(id: symbol) {
    return this.#entries.some((entry) => entry.kind === 'began' && entry.id === id);
  }

  get ended() {
    return this.#entries.filter((entry) => entry.kind === 'ended');
  }

  get underWay() {
    return this.#entries.filter((entry) => entry.kind === 'began').length;
  }

  get failuresInARow() {
    return this.ended.length - 1 - this.ended.findLastIndex(({ failed }) => !failed);
  }

  get successes() {
    return this.ended.filter(({ failed }) => !failed).length;
  }
}

export function createBreaker<Request, Answer>(call: Call<Request, Answer>, options: BreakerOptions) {
  const { failureThreshold, successThreshold, resetTimeoutMs, failureRate } = options;
  const now = options.now ?? (() => performance.now());
  const journal = new Journal(failureRate?.windowMs);

  function move(to: State) {
    const from = journal.state;
    journal.write({ kind: 'moved', to, at: now() });
    try {
      options.onStateChange?.(to, from);
    } catch {}
  }

  function tooManyFail() {
    if (journal.failuresInARow >= failureThreshold) return true;
    if (!failureRate) return false;
    const recent = journal.ended.filter(({ at }) => now() - at < failureRate.windowMs);
    const failures = recent.filter(({ failed }) => failed);
    return recent.length >= failureRate.minimumCalls && failures.length >= recent.length * failureRate.share;
  }

  function ended(id: symbol, failed: boolean) {
    if (!journal.knows(id)) return;
    journal.write({ kind: 'ended', id, at: now(), failed });
    if (journal.state === 'half-open') {
      if (failed) move('open');
      else if (journal.successes >= successThreshold) move('closed');
    } else if (failed && tooManyFail()) move('open');
  }

  async function fire(request: Request): Promise<Answer> {
    if (journal.state === 'open' && now() >= journal.since + resetTimeoutMs) move('half-open');
    const isFull = journal.state === 'half-open' && journal.underWay > 0;
    if (journal.state === 'open' || isFull) throw new CircuitOpenError('No call is made at present');
    const id = Symbol('call');
    journal.write({ kind: 'began', id, at: now() });
    try {
      const signal = AbortSignal.timeout(options.timeoutMs);
      // A call that throws at once must not leave a promise behind that nobody listens to.
      const answer = await Promise.race([(async () => await call(request, { signal }))(), aborted(signal)]);
      ended(id, false);
      return answer;
    } catch (error) {
      ended(id, error instanceof CallTimeoutError || !options.isFailure || options.isFailure(error));
      throw error;
    }
  }

  return {
    fire,
    get state() {
      return journal.state;
    },
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new CallTimeoutError('Timed out')), { once: true });
  });
}
