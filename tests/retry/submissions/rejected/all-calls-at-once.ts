/*
breaks: [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
why: All calls begin at the same time, and the first value wins.
ask: How many calls see a server that is down?
*/
/** Work that may fail. */
export type Work<T> = () => T | PromiseLike<T>;

export interface RetryOptions {
  /** How many calls may follow the first. */
  retries: number;
  baseMs: number;
  maxMs: number;
  /** Default 'none'. */
  jitter?: 'none' | 'full' | undefined;
  signal?: AbortSignal | undefined;
  /** By default every error may be retried. */
  shouldRetry?: ((error: unknown) => boolean) | undefined;
  budget?: Budget | undefined;
  sleep: (ms: number, options: { signal?: AbortSignal | undefined }) => Promise<void>;
  random: () => number;
  now: () => number;
}

export interface Budget {
  /** Adds what one call earns. */
  addCall(): void;
  /** Takes one retry. Returns false when less than one is left. */
  takeRetry(): boolean;
}

/** Thrown when retry gives up. Its cause is the last error. */
export class RetryError extends Error {
  override name = 'RetryError';
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    const last = errors.at(-1);
    const message = last instanceof Error ? last.message : String(last);
    super(`Gave up after ${errors.length} failed calls. The last error: ${message}`, { cause: last });
    this.errors = errors;
  }
}

/** Creates a budget that may be passed to many calls. */
export function createBudget({ ratio, max }: { ratio: number; max: number }): Budget {
  let left = 0;
  return {
    addCall() {
      left = Math.min(left + ratio, max);
    },
    takeRetry() {
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}

/** Calls fn until it succeeds, the signal aborts, or there is a reason to give up. */
export async function retry<T>(fn: Work<T>, options: RetryOptions): Promise<T> {
  options.signal?.throwIfAborted();
  const calls = Array.from({ length: options.retries + 1 }, async () => await fn());
  return await Promise.any(calls).catch(({ errors }: AggregateError) => {
    options.signal?.throwIfAborted();
    throw new RetryError(errors);
  });
}
