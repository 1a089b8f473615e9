/*
breaks: [2, 9]
why: A call counts as failed only when it threw something truthy.
ask: What may JavaScript throw?
*/
interface Options {
  retries: number;
  baseMs: number;
  maxMs: number;
  jitter?: 'none' | 'full' | undefined;
  signal?: AbortSignal | undefined;
  shouldRetry?: ((error: unknown) => boolean) | undefined;
  budget?: Budget | undefined;
  sleep: (ms: number, options: { signal?: AbortSignal | undefined }) => Promise<void>;
  random: () => number;
  now: () => number;
}

/** Counts retries that are owed, so that a full budget owes less than nothing. */
class Budget {
  private owed = 0;
  private readonly ratio: number;
  private readonly max: number;

  constructor({ ratio, max }: { ratio: number; max: number }) {
    this.ratio = ratio;
    this.max = max;
  }

  earn(): void {
    this.owed = Math.max(this.owed - this.ratio, -this.max);
  }

  spend(): boolean {
    const isAllowed = this.owed + 1 <= 0;
    if (isAllowed) this.owed++;
    return isAllowed;
  }
}

export class RetryError extends AggregateError {
  override name = 'RetryError';
}

export function createBudget(options: { ratio: number; max: number }): Budget {
  return new Budget(options);
}

export async function retry<T>(fn: () => T | PromiseLike<T>, options: Options): Promise<T> {
  options.budget?.earn();
  return await attempt(fn, options, []);
}

/** One call, and all that follow it. */
async function attempt<T>(fn: () => T | PromiseLike<T>, options: Options, earlier: readonly unknown[]): Promise<T> {
  const { retries, signal, shouldRetry = () => true, budget, sleep } = options;
  if (signal?.aborted) throw signal.reason;
  let error: unknown;
  try {
    return await fn();
  } catch (thrown) {
    error = thrown;
  }
  if (signal?.aborted) throw signal.reason;
  if (!error) return undefined as T;
  const errors = [...earlier, error];
  const mayRetry = earlier.length < retries && shouldRetry(error) && (budget === undefined || budget.spend());
  if (!mayRetry) throw new RetryError(errors, `${errors.length} calls failed`, { cause: error });
  // Whatever the sleep says about the abort, the next attempt asks the signal.
  await sleep(waitFor(error, earlier.length, options), signal ? { signal } : {}).catch(() => undefined);
  return await attempt(fn, options, errors);
}

function waitFor(error: unknown, doublings: number, { baseMs, maxMs, jitter, random, now }: Options): number {
  const header = error instanceof Object && 'retryAfter' in error ? error.retryAfter : null;
  let ms = baseMs * Math.pow(2, doublings);
  let factor = jitter === 'full' ? random() : 1;
  if (typeof header === 'string' && header !== '') {
    const asked = Number.isNaN(Number(header)) ? new Date(header).getTime() - now() : Number(header) * 1000;
    if (!Number.isNaN(asked)) [ms, factor] = [Math.max(asked, 0), 1];
  }
  return Math.round(factor * Math.min(ms, maxMs));
}
