/*
breaks: [11]
why: A failed call takes from the budget before it is known whether a retry may follow.
ask: What does a caller take that has no retries left?
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
  readonly ratio: number;
  readonly max: number;
  left: number;
}

/** Thrown when retry gives up. */
export class RetryError extends Error {
  override name = 'RetryError';
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    const last = errors.at(-1);
    super(last instanceof Error ? `Gave up: ${last.message}` : `Gave up after ${errors.length} calls`, { cause: last });
    this.errors = [...errors];
  }
}

/** Creates a budget that may be passed to many calls. */
export function createBudget({ ratio, max }: { ratio: number; max: number }): Budget {
  return { ratio, max, left: 0 };
}

/** Ten times 0.1 must be 1. */
const tolerance = 1e-9;

function deposit(budget: Budget) {
  budget.left = Math.min(budget.left + budget.ratio, budget.max);
}

function withdraw(budget: Budget): boolean {
  if (budget.left < 1 - tolerance) return false;
  budget.left = Math.max(budget.left - 1, 0);
  return true;
}

/** Calls fn until it succeeds. */
export async function retry<T>(fn: Work<T>, options: RetryOptions): Promise<T> {
  const {
    retries,
    baseMs,
    maxMs,
    jitter = 'none',
    signal,
    shouldRetry = () => true,
    budget,
    sleep,
    random,
    now,
  } = options;
  const errors: unknown[] = [];
  let backoffMs = Math.min(baseMs, maxMs);

  if (budget) deposit(budget);
  if (signal?.aborted) throw signal.reason;

  for (;;) {
    try {
      return await fn();
    } catch (error) {
      errors.push(error);
    }
    const error = errors.at(-1);

    if (signal?.aborted) throw signal.reason;
    if (!shouldRetry(error)) throw new RetryError(errors);
    if (budget && !withdraw(budget)) throw new RetryError(errors);
    if (errors.length > retries) throw new RetryError(errors);

    const askedMs = retryAfterMs(error, now);
    const waitMs =
      askedMs !== undefined ? Math.min(askedMs, maxMs) : jitter === 'full' ? random() * backoffMs : backoffMs;
    backoffMs = Math.min(backoffMs * 2, maxMs);

    try {
      await sleep(waitMs, { signal });
    } catch (reason) {
      throw signal?.aborted ? signal.reason : reason;
    }
    // The abort may have come just after the wait ended.
    if (signal?.aborted) throw signal.reason;
  }
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const httpDate = new RegExp(
  `^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d\\d) (${months.join('|')}) (\\d{4}) ([01]\\d|2[0-3]):([0-5]\\d):([0-5]\\d|60) GMT$`,
);

/** How long the server asks us to wait; undefined without a proper header. */
function retryAfterMs(error: unknown, now: () => number): number | undefined {
  const text = (error as { retryAfter?: unknown } | null | undefined)?.retryAfter;
  if (typeof text !== 'string') return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;

  const match = httpDate.exec(text);
  if (!match) return undefined;
  const [, day, month, year, hour, minute, second] = match;
  const midnight = Date.UTC(Number(year), months.indexOf(month!), Number(day));
  if (new Date(midnight).getUTCDate() !== Number(day)) return undefined; // 31 Feb
  const date = midnight + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000;
  return Math.max(date - now(), 0);
}
