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
  ratio: number;
  max: number;
  left: number;
}

/** Thrown when retry gives up. */
export class RetryError extends Error {
  override name = 'RetryError';
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    const last = errors.at(-1);
    super(`Gave up: ${last instanceof Error ? last.message : String(last)}`, { cause: last });
    this.errors = errors;
  }
}

/** Creates a budget that may be passed to many calls. */
export function createBudget({ ratio, max }: { ratio: number; max: number }): Budget {
  return { ratio, max, left: max };
}

/** Calls fn until it succeeds. */
export async function retry<T>(fn: Work<T>, options: RetryOptions): Promise<T> {
  const { retries, baseMs, jitter = 'none', sleep, random } = options;
  const budget = options.budget && { ...options.budget };
  let lastError: unknown;
  let delayMs = baseMs;

  for (let attempt = 0; attempt <= retries; attempt++) {
    try {
      return await fn();
    } catch (error) {
      lastError = error;
    }

    if (budget) {
      if (budget.left < 1) break;
      budget.left = Math.min(budget.left - 1 + budget.ratio, budget.max);
    }

    const seconds = Number((lastError as { retryAfter?: string } | undefined)?.retryAfter);
    if (seconds > 0) await sleep(seconds * 1000, {});
    else await sleep(jitter === 'full' ? delayMs + random() * delayMs : delayMs, {});
    delayMs *= 2;
  }

  throw new RetryError([lastError]);
}
