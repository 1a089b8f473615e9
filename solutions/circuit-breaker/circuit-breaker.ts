export type State = 'closed' | 'open' | 'half-open';

/** Makes one request. */
export type Call<Request, Answer> = (request: Request, context: { signal: AbortSignal }) => Promise<Answer>;

export interface BreakerOptions {
  /** Failures in a row that open the breaker. */
  failureThreshold: number;
  /** Successes that close a half-open breaker. */
  successThreshold: number;
  /** How long one call may take. */
  timeoutMs: number;
  /** How long the breaker stays open, by `now`. */
  resetTimeoutMs: number;
  /** A clock in ms. Default `performance.now`. */
  now?: () => number;
  /** Which errors of `call` are failures. Default: all. */
  isFailure?: (error: unknown) => boolean;
  onStateChange?: (to: State, from: State) => void;
  /** Opens the breaker also when this share of the calls of the last `windowMs` has failed. */
  failureRate?: { share: number; minimumCalls: number; windowMs: number };
}

export interface Breaker<Request, Answer> {
  fire(request: Request): Promise<Answer>;
  readonly state: State;
}

/** The breaker made no call. */
export class CircuitOpenError extends Error {
  override name = 'CircuitOpenError';
}

/** The call took too long. */
export class CallTimeoutError extends Error {
  override name = 'CallTimeoutError';
}

/** The time from one change of state to the next. A call belongs to the period in which it began. */
interface Period {
  readonly state: State;
  readonly beganAt: number;
  failuresInARow: number;
  successes: number;
  /** Whether the one call of a half-open breaker is on its way. */
  isProbing: boolean;
  /** The latest results, for the failure rate. */
  readonly results: { readonly at: number; readonly hasFailed: boolean }[];
}

/** Puts a circuit breaker in front of `call`. */
export function createBreaker<Request, Answer>(
  call: Call<Request, Answer>,
  options: BreakerOptions,
): Breaker<Request, Answer> {
  const { failureThreshold, successThreshold, timeoutMs, resetTimeoutMs, failureRate } = options;
  const { now = () => performance.now(), isFailure = () => true, onStateChange } = options;
  let period = newPeriod('closed');

  function newPeriod(state: State): Period {
    return { state, beganAt: now(), failuresInARow: 0, successes: 0, isProbing: false, results: [] };
  }

  function enter(state: State) {
    const from = period.state;
    period = newPeriod(state);
    try {
      onStateChange?.(state, from);
    } catch {
      // What the listener does is its own affair.
    }
  }

  /** Returns the period that the call belongs to. @throws CircuitOpenError */
  function admit(): Period {
    if (period.state === 'open' && now() - period.beganAt >= resetTimeoutMs) enter('half-open');
    if (period.state === 'open') throw new CircuitOpenError('The circuit is open; no call was made.');
    if (period.isProbing) throw new CircuitOpenError('The circuit is half-open and another call is on its way.');
    period.isProbing = period.state === 'half-open';
    return period;
  }

  function record(own: Period, hasFailed: boolean) {
    if (own !== period) return;
    own.isProbing = false;
    note(own, hasFailed);
    if (!hasFailed) {
      own.failuresInARow = 0;
      own.successes++;
      if (own.state === 'half-open' && own.successes >= successThreshold) enter('closed');
      return;
    }
    own.failuresInARow++;
    if (own.state === 'half-open' || own.failuresInARow >= failureThreshold || exceedsRate(own)) enter('open');
  }

  /** Keeps the results of the window and no older ones. */
  function note({ results }: Period, hasFailed: boolean) {
    if (!failureRate) return;
    results.push({ at: now(), hasFailed });
    while (results[0]!.at < now() - failureRate.windowMs) results.shift();
  }

  function exceedsRate({ results }: Period): boolean {
    if (!failureRate || results.length < failureRate.minimumCalls) return false;
    const failures = results.filter(({ hasFailed }) => hasFailed).length;
    return failures / results.length >= failureRate.share;
  }

  async function callWithTimeout(request: Request): Promise<Answer> {
    const over = new AbortController();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const error = new CallTimeoutError(`The call took longer than ${timeoutMs} ms and was aborted.`);
      reject(error);
      over.abort(error);
    }, timeoutMs);
    try {
      // The race ends with the timeout although the call may ignore its signal.
      return await Promise.race([call(request, { signal: over.signal }), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    get state() {
      return period.state;
    },
    async fire(request) {
      const own = admit();
      try {
        const answer = await callWithTimeout(request);
        record(own, false);
        return answer;
      } catch (error) {
        record(own, error instanceof CallTimeoutError || isFailure(error));
        throw error;
      }
    },
  };
}
