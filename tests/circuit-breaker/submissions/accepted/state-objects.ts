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

/** What a breaker does depends on the object that stands for its present state. A late result reaches an object that is past. */
abstract class BreakerState {
  abstract readonly name: State;
  protected readonly breaker: CircuitBreaker<any, any>;

  constructor(breaker: CircuitBreaker<any, any>) {
    this.breaker = breaker;
  }

  /** Returns the state that takes the call. */
  abstract admit(): BreakerState;
  abstract succeeded(): void;
  abstract failed(): void;

  protected get isPast(): boolean {
    return this.breaker.current !== this;
  }
}

class Closed extends BreakerState {
  readonly name = 'closed';
  #failures = 0;
  #window = new Window(this.breaker.options.failureRate, this.breaker.now);

  admit() {
    return this;
  }

  succeeded() {
    this.#failures = 0;
    this.#window.add(false);
  }

  failed() {
    this.#failures += 1;
    this.#window.add(true);
    if (this.isPast) return;
    if (this.#failures === this.breaker.options.failureThreshold || this.#window.isBad)
      this.breaker.moveTo(new Open(this.breaker));
  }
}

class Open extends BreakerState {
  readonly name = 'open';
  readonly #until = this.breaker.now() + this.breaker.options.resetTimeoutMs;

  admit(): BreakerState {
    if (this.breaker.now() < this.#until) throw new CircuitOpenError('open');
    this.breaker.moveTo(new HalfOpen(this.breaker));
    return this.breaker.current.admit();
  }

  succeeded() {}
  failed() {}
}

class HalfOpen extends BreakerState {
  readonly name = 'half-open';
  #successes = 0;
  #isBusy = false;

  admit() {
    if (this.#isBusy) throw new CircuitOpenError('half-open');
    this.#isBusy = true;
    return this;
  }

  succeeded() {
    this.#isBusy = false;
    this.#successes += 1;
    if (this.#successes === this.breaker.options.successThreshold) this.breaker.moveTo(new Closed(this.breaker));
  }

  failed() {
    this.breaker.moveTo(new Open(this.breaker));
  }
}

class Window {
  #results: [at: number, hasFailed: boolean][] = [];
  readonly #rate;
  readonly #now;

  constructor(rate: BreakerOptions['failureRate'], now: () => number) {
    this.#rate = rate;
    this.#now = now;
  }

  add(hasFailed: boolean) {
    if (!this.#rate) return;
    this.#results.push([this.#now(), hasFailed]);
    while (this.#results[0]![0] < this.#now() - this.#rate.windowMs) this.#results.shift();
  }

  get isBad() {
    if (!this.#rate || this.#results.length < this.#rate.minimumCalls) return false;
    return this.#results.filter(([, hasFailed]) => hasFailed).length >= this.#rate.share * this.#results.length;
  }
}

class CircuitBreaker<Request, Answer> {
  readonly options: BreakerOptions;
  readonly now: () => number;
  readonly #call: Call<Request, Answer>;
  current: BreakerState;

  constructor(call: Call<Request, Answer>, options: BreakerOptions) {
    this.#call = call;
    this.options = options;
    this.now = options.now ?? performance.now.bind(performance);
    this.current = new Closed(this);
  }

  get state(): State {
    return this.current.name;
  }

  moveTo(next: BreakerState) {
    const from = this.current.name;
    this.current = next;
    try {
      this.options.onStateChange?.(next.name, from);
    } catch (error) {
      console.error('onStateChange threw', error);
    }
  }

  fire = async (request: Request): Promise<Answer> => {
    const state = this.current.admit();
    let answer: Answer;
    try {
      answer = await withTimeout((signal) => this.#call(request, { signal }), this.options.timeoutMs);
    } catch (error) {
      const isFailure = error instanceof CallTimeoutError || (this.options.isFailure?.(error) ?? true);
      if (isFailure) state.failed();
      else state.succeeded();
      throw error;
    }
    state.succeeded();
    return answer;
  };
}

function withTimeout<T>(run: (signal: AbortSignal) => Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      controller.abort();
      reject(new CallTimeoutError(`no answer within ${ms} ms`));
    }, ms);
    (async () => run(controller.signal))()
      .finally(() => clearTimeout(timer))
      .then(resolve, reject);
  });
}

export function createBreaker<Request, Answer>(call: Call<Request, Answer>, options: BreakerOptions) {
  return new CircuitBreaker(call, options);
}
