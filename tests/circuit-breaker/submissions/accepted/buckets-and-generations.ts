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

const bucketsPerWindow = 10;

/** One class, plain fields. A call remembers the number of the generation in which it began. */
class CircuitBreaker<Request, Answer> {
  private generation = 0;
  private name: State = 'closed';
  private openUntil = 0;
  private failures = 0;
  private successes = 0;
  private probing = false;
  private buckets = new Map<number, { calls: number; failures: number }>();

  constructor(
    private readonly call: Call<Request, Answer>,
    private readonly options: BreakerOptions,
  ) {}

  /** Half-open as soon as the time has come, whether anybody calls or not. */
  get state(): State {
    return this.name === 'open' && this.now() >= this.openUntil ? 'half-open' : this.name;
  }

  async fire(request: Request): Promise<Answer> {
    if (this.name === 'open' && this.state === 'half-open') this.enter('half-open');
    if (this.name === 'open' || this.probing) throw new CircuitOpenError();
    this.probing = this.name === 'half-open';

    const { generation } = this;
    const controller = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, this.options.timeoutMs, 'late').unref();
    });
    // From here on the call has begun, so that a synchronous throw is its result as well.
    const started = (async () => ({ answer: await this.call(request, { signal: controller.signal }) }))();
    const result = await Promise.race([started.catch((error: unknown) => ({ error })), timeout]);
    clearTimeout(timer);

    if (result === 'late') {
      const error = new CallTimeoutError();
      this.settle(generation, true);
      controller.abort(error);
      throw error;
    }
    if ('error' in result) {
      this.settle(generation, this.options.isFailure?.(result.error) ?? true);
      throw result.error;
    }
    this.settle(generation, false);
    return result.answer;
  }

  private settle(generation: number, failed: boolean) {
    if (generation !== this.generation) return;
    this.probing = false;
    if (this.name === 'half-open') {
      if (failed) this.enter('open');
      else if (++this.successes >= this.options.successThreshold) this.enter('closed');
      return;
    }
    this.failures = failed ? this.failures + 1 : 0;
    this.fill(failed);
    if (failed && (this.failures >= this.options.failureThreshold || this.isRateExceeded())) this.enter('open');
  }

  private fill(failed: boolean) {
    if (!this.options.failureRate) return;
    const bucket = this.buckets.get(this.bucketNow) ?? { calls: 0, failures: 0 };
    this.buckets.set(this.bucketNow, {
      calls: bucket.calls + 1,
      failures: bucket.failures + Number(failed),
    });
    for (const number of this.buckets.keys())
      if (number <= this.bucketNow - bucketsPerWindow) this.buckets.delete(number);
  }

  private isRateExceeded(): boolean {
    const { failureRate } = this.options;
    if (!failureRate) return false;
    let [calls, failures] = [0, 0];
    for (const bucket of this.buckets.values()) [calls, failures] = [calls + bucket.calls, failures + bucket.failures];
    return calls >= failureRate.minimumCalls && failures / calls >= failureRate.share;
  }

  private get bucketNow(): number {
    return Math.floor((this.now() * bucketsPerWindow) / this.options.failureRate!.windowMs);
  }

  private now(): number {
    return this.options.now ? this.options.now() : Date.now();
  }

  private enter(next: State) {
    const from = this.name;
    this.generation++;
    this.name = next;
    this.failures = 0;
    this.successes = 0;
    this.probing = false;
    this.buckets.clear();
    if (next === 'open') this.openUntil = this.now() + this.options.resetTimeoutMs;
    try {
      this.options.onStateChange?.(next, from);
    } catch {
      // Listeners cannot stop the breaker.
    }
  }
}

export const createBreaker = <Request, Answer>(call: Call<Request, Answer>, options: BreakerOptions) =>
  new CircuitBreaker(call, options);
