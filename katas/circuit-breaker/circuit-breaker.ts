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

/** Puts a circuit breaker in front of `call`. */
export function createBreaker<Request, Answer>(
  call: Call<Request, Answer>,
  options: BreakerOptions,
): Breaker<Request, Answer> {
  return new CircuitBreaker(call, options);
}

class CircuitBreaker<Request, Answer> implements Breaker<Request, Answer> {
  state: State = 'closed';
  #failures = 0;
  #successes = 0;
  #openedAt = 0;
  #call: Call<Request, Answer>;
  #options: BreakerOptions;
  #now: () => number;

  constructor(call: Call<Request, Answer>, options: BreakerOptions) {
    this.#call = call;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  async fire(request: Request): Promise<Answer> {
    if (this.state === 'open') {
      if (this.#now() - this.#openedAt < this.#options.resetTimeoutMs)
        throw new CircuitOpenError('The circuit is open');
      this.#become('half-open');
    }
    try {
      const answer = await this.#callWithTimeout(request);
      this.#succeeded();
      return answer;
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  #callWithTimeout(request: Request): Promise<Answer> {
    const { timeoutMs } = this.#options;
    const { signal } = new AbortController();
    const timeout = new Promise<never>((_resolve, reject) => {
      setTimeout(() => reject(new CallTimeoutError(`No answer after ${timeoutMs} ms`)), timeoutMs);
    });
    return Promise.race([this.#call(request, { signal }), timeout]);
  }

  #succeeded() {
    if (this.state !== 'half-open') return;
    this.#successes++;
    if (this.#successes >= this.#options.successThreshold) this.#become('closed');
  }

  #failed(error: unknown) {
    const { failureThreshold, isFailure = () => true } = this.#options;
    if (!isFailure(error)) return;
    this.#failures++;
    if (this.state === 'half-open' || this.#failures >= failureThreshold) {
      this.#openedAt = this.#now();
      this.#become('open');
    }
  }

  #become(state: State) {
    const from = this.state;
    this.state = state;
    this.#options.onStateChange?.(state, from);
  }
}
