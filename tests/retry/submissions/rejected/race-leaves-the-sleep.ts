/*
breaks: [10]
why: The abort wins the race, and the sleep goes on.
ask: What holds the process now?
*/
import type * as Starter from '../../../../katas/retry/retry.ts';

const accounts = new WeakMap<object, { left: number; ratio: number; max: number }>();

type Options = Omit<Starter.RetryOptions, 'budget'> & { budget?: object };
type Decision = { do: 'wait'; ms: number } | { do: 'give up' };

export class RetryError extends Error {
  override readonly name = 'RetryError';
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    super('fn failed', { cause: errors[errors.length - 1] });
    this.errors = Object.freeze([...errors]);
  }
}

export function createBudget(options: { ratio: number; max: number }): object {
  const budget = Object.freeze({});
  accounts.set(budget, { left: 0, ...options });
  return budget;
}

/** Races fn and the sleep with the abort. One decision follows each failure. */
export async function retry<T>(fn: () => T | PromiseLike<T>, options: Options): Promise<T> {
  const { signal, sleep } = options;
  const account = options.budget && accounts.get(options.budget);
  if (account) account.left = Math.min(account.left + account.ratio, account.max);
  const errors: unknown[] = [];
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => undefined);
  const abort = () => reject(signal?.reason);
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  try {
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await Promise.race([aborted, (async () => await fn())()]);
      } catch (error) {
        signal?.throwIfAborted();
        errors.push(error);
      }
      const decision = decide(errors, options);
      if (decision.do === 'give up') throw new RetryError(errors);
      await Promise.race([aborted, sleep(decision.ms, {})]);
    }
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function decide(errors: readonly unknown[], options: Options): Decision {
  const { retries, baseMs, maxMs, jitter = 'none', random, now, shouldRetry = () => true } = options;
  const error = errors.at(-1);
  const account = options.budget && accounts.get(options.budget);
  if (errors.length > retries || !shouldRetry(error) || (account && account.left < 1)) return { do: 'give up' };
  if (account) account.left -= 1;

  const header = error instanceof Error && 'retryAfter' in error ? error.retryAfter : undefined;
  if (typeof header === 'string') {
    const ms = /^\d+$/.test(header) ? 1000 * Number(header) : Date.parse(header) - now();
    if (!Number.isNaN(ms)) return { do: 'wait', ms: Math.min(Math.max(ms, 0), maxMs) };
  }
  const cap = Math.min(maxMs, baseMs * 2 ** (errors.length - 1));
  return { do: 'wait', ms: { none: () => cap, full: () => random() * cap }[jitter]() };
}
