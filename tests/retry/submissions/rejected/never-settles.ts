/*
breaks: [1, 2, 4, 9, 10, 11, 12]
why: The promise of the last failure is lost, so retry never settles.
ask: Who rejects this promise?
*/
type Sleep = (ms: number, options: { signal?: AbortSignal | undefined }) => Promise<void>;

interface Options {
  retries: number;
  baseMs: number;
  maxMs: number;
  jitter?: 'none' | 'full' | undefined;
  signal?: AbortSignal | undefined;
  shouldRetry?: ((error: unknown) => boolean) | undefined;
  budget?: Budget | undefined;
  sleep: Sleep;
  random: () => number;
  now: () => number;
}

interface Budget {
  tokens: number;
  readonly ratio: number;
  readonly max: number;
}

export class RetryError extends Error {
  override name = 'RetryError';
  readonly errors: unknown[];

  constructor(errors: unknown[]) {
    super(`No luck in ${errors.length} calls`);
    this.errors = errors;
    this.cause = errors[errors.length - 1];
  }
}

export const createBudget = ({ ratio, max }: { ratio: number; max: number }): Budget => ({ tokens: 0, ratio, max });

/** One retry: rejects as soon as the signal is aborted, also while fn works. */
class Run<T> {
  private readonly errors: unknown[] = [];
  private readonly over = new AbortController();
  private readonly fn: () => T | PromiseLike<T>;
  private readonly options: Options;
  private readonly resolve: (value: T) => void;
  private readonly reject: (error: unknown) => void;
  private isSettled = false;

  constructor(
    fn: () => T | PromiseLike<T>,
    options: Options,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.fn = fn;
    this.options = options;
    this.resolve = resolve;
    this.reject = reject;
  }

  begin(): void {
    const { signal, budget } = this.options;
    if (budget) budget.tokens = Math.min(budget.max, budget.tokens + budget.ratio);
    if (signal?.aborted) return this.reject(signal.reason);
    signal?.addEventListener('abort', this.onAbort);
    this.call();
  }

  private readonly onAbort = () => this.settle(() => this.reject(this.options.signal!.reason));

  private call(): void {
    if (this.isSettled) return;
    let result: T | PromiseLike<T>;
    try {
      result = this.fn();
    } catch (error) {
      return this.onError(error);
    }
    Promise.resolve(result).then(
      (value) => this.settle(() => this.resolve(value)),
      (error: unknown) => this.onError(error),
    );
  }

  private onError(error: unknown): void {
    if (this.isSettled) return;
    this.errors.push(error);
    if (!this.mayRetry(error)) return;
    this.options.sleep(this.waitAfter(error), { signal: this.over.signal }).then(
      () => this.call(),
      (failed: unknown) => this.settle(() => this.reject(failed)),
    );
  }

  private mayRetry(error: unknown): boolean {
    const { retries, shouldRetry, budget } = this.options;
    if (this.errors.length > retries) return false;
    if (shouldRetry && !shouldRetry(error)) return false;
    if (!budget) return true;
    if (budget.tokens < 1) return false;
    budget.tokens--;
    return true;
  }

  private waitAfter(error: unknown): number {
    const { baseMs, maxMs, jitter, random } = this.options;
    const asked = this.askedBy(error);
    if (asked !== undefined) return Math.min(Math.max(asked, 0), maxMs);
    let backoff = baseMs;
    for (let failed = 1; failed < this.errors.length && backoff < maxMs; failed++) backoff *= 2;
    const capped = Math.min(backoff, maxMs);
    return jitter === 'full' ? Math.floor(random() * capped) : capped;
  }

  private askedBy(error: unknown): number | undefined {
    const text: unknown = (error as { retryAfter?: unknown } | undefined | null)?.retryAfter;
    if (typeof text !== 'string') return undefined;
    if (/^[0-9]+$/.test(text)) return parseInt(text, 10) * 1000;
    const date = Date.parse(text);
    return isNaN(date) ? undefined : date - this.options.now();
  }

  private settle(how: () => void): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.options.signal?.removeEventListener('abort', this.onAbort);
    this.over.abort();
    how();
  }
}

export function retry<T>(fn: () => T | PromiseLike<T>, options: Options): Promise<T> {
  return new Promise((resolve, reject) => new Run(fn, options, resolve, reject).begin());
}
