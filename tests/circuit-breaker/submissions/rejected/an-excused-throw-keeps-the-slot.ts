/*
breaks: [10]
why: When call throws at once, only a change of state frees the half-open slot. An excused throw frees it never.
ask: successThreshold is 2, and isFailure excuses what call throws. What does the next call get?
*/
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

/** Node fires a longer timer at once. */
const longestTimer = 2 ** 31 - 1;

class CircuitBreaker<Request, Answer> implements Breaker<Request, Answer> {
  readonly #call: Call<Request, Answer>;
  readonly #options: BreakerOptions;
  #state: State = 'closed';
  /** Grows with each change of state; tells the calls of one stay in a state from those of the next. */
  #epoch = 0;
  #failures = 0;
  #successes = 0;
  #openedAt = 0;
  /** Whether the one call of a half-open breaker is on its way. */
  #trial = false;
  /** The calls that ended in this epoch and within windowMs, oldest first. */
  #ended: { at: number; failed: boolean }[] = [];

  constructor(call: Call<Request, Answer>, options: BreakerOptions) {
    this.#call = call;
    this.#options = options;
  }

  get state(): State {
    return this.#state;
  }

  fire(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#admit();
      const epoch = this.#epoch;
      const { timeoutMs } = this.#options;
      const controller = new AbortController();
      let over = false;

      const leave = () => {
        if (!over && epoch === this.#epoch) this.#trial = false;
      };
      const end = (failed: () => boolean, settle: () => void) => {
        if (over) return;
        over = true;
        clearTimeout(timer);
        this.#record(epoch, failed());
        settle();
      };
      const succeed = (answer: Answer) =>
        end(
          () => false,
          () => resolve(answer),
        );
      const fail = (error: unknown) =>
        end(
          () => this.#isFailure(error),
          () => reject(error),
        );
      const expire = () => {
        const error = new CallTimeoutError(`No answer after ${timeoutMs} ms`);
        end(
          () => true,
          () => reject(error),
        );
        controller.abort(error);
      };

      const timer = setTimeout(expire, Math.min(timeoutMs, longestTimer));
      try {
        Promise.resolve(this.#call(request, { signal: controller.signal })).then(
          (answer) => {
            leave();
            succeed(answer);
          },
          (error: unknown) => {
            leave();
            fail(error);
          },
        );
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Lets one call in, or throws. */
  #admit() {
    if (this.#state === 'open' && this.#now() - this.#openedAt >= this.#options.resetTimeoutMs)
      this.#become('half-open');
    if (this.#state === 'open') throw new CircuitOpenError('The circuit is open');
    if (this.#state === 'half-open') {
      if (this.#trial) throw new CircuitOpenError('The circuit is half-open and busy');
      this.#trial = true;
    }
  }

  #record(epoch: number, failed: boolean) {
    if (epoch !== this.#epoch) return;
    if (this.#state === 'half-open') {
      if (failed) this.#become('open');
      else if (++this.#successes >= this.#options.successThreshold) this.#become('closed');
      return;
    }
    this.#failures = failed ? this.#failures + 1 : 0;
    const tooMany = this.#rateReached(failed);
    if (failed && (this.#failures >= this.#options.failureThreshold || tooMany)) this.#become('open');
  }

  /** Notes the end of a call, and tells whether too many of the recent calls have failed. */
  #rateReached(failed: boolean): boolean {
    const { failureRate } = this.#options;
    if (!failureRate) return false;
    const at = this.#now();
    this.#ended.push({ at, failed });
    const recent = this.#ended.findIndex((ended) => at - ended.at < failureRate.windowMs);
    if (recent > 0) this.#ended.splice(0, recent);
    const total = this.#ended.length;
    const failures = this.#ended.filter((ended) => ended.failed).length;
    return total >= failureRate.minimumCalls && failures / total >= failureRate.share;
  }

  #become(state: State) {
    const from = this.#state;
    this.#state = state;
    this.#epoch++;
    this.#failures = 0;
    this.#successes = 0;
    this.#trial = false;
    this.#ended = [];
    if (state === 'open') this.#openedAt = this.#now();
    try {
      this.#options.onStateChange?.(state, from);
    } catch {
      // A listener must not disturb the breaker.
    }
  }

  #now(): number {
    return this.#options.now ? this.#options.now() : performance.now();
  }

  #isFailure(error: unknown): boolean {
    return this.#options.isFailure ? this.#options.isFailure(error) : true;
  }
}
