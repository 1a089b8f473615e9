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
  const { retries, signal, shouldRetry, budget, sleep } = options;
  const errors: unknown[] = [];
  budget?.addCall();
  signal?.throwIfAborted();
  for (;;) {
    try {
      return await fn();
    } catch (error) {
      signal?.throwIfAborted();
      errors.push(error);
      if (errors.length > retries || shouldRetry?.(error) === false || (budget && !budget.takeRetry()))
        throw new RetryError(errors);
      try {
        await sleep(waitMs(error, errors.length, options), { signal });
      } finally {
        signal?.throwIfAborted();
      }
    }
  }
}

/** The wait after so many failed calls. */
function waitMs(error: unknown, failures: number, { baseMs, maxMs, jitter, random, now }: RetryOptions): number {
  const askedMs = retryAfterMs(error, now);
  if (askedMs !== undefined) return Math.min(askedMs, maxMs);
  const backoffMs = Math.min(baseMs * 2 ** (failures - 1), maxMs);
  return jitter === 'full' ? random() * backoffMs : backoffMs;
}

function retryAfterMs(error: unknown, now: () => number): number | undefined {
  const text = (error as { retryAfter?: unknown } | null | undefined)?.retryAfter;
  if (typeof text !== 'string') return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(atMs - now(), 0);
}
