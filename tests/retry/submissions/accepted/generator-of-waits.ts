import type * as Starter from '../../../../katas/retry/retry.ts';

type Options = Omit<Starter.RetryOptions, 'budget'> & { budget?: Budget };
type Budget = ReturnType<typeof createBudget>;

export class RetryError extends Error {
  constructor(readonly errors: unknown[]) {
    super('All calls failed.', { cause: errors.at(-1) });
    this.name = 'RetryError';
  }
}

/** Counts in millionths, as whole numbers add up without error. */
export function createBudget({ ratio, max }: { ratio: number; max: number }) {
  const whole = 1_000_000;
  const [earned, most] = [Math.round(ratio * whole), Math.round(max * whole)];
  let saved = 0;
  return {
    call: () => void (saved = Math.min(most, saved + earned)),
    retry: () => (saved >= whole ? ((saved -= whole), true) : false),
  };
}

export async function retry<T>(fn: () => T | PromiseLike<T>, options: Options): Promise<T> {
  const { signal, sleep, shouldRetry, budget } = options;
  const errors: unknown[] = [];
  budget?.call();
  const throwIfOver = () => signal?.throwIfAborted();

  throwIfOver();
  for (const backoff of waits(options)) {
    const result = await (async () => await fn())().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ('value' in result) return result.value;
    throwIfOver();
    const { error } = result;
    errors.push(error);
    if (backoff === 'none left') break;
    if (shouldRetry && !shouldRetry(error)) break;
    if (budget && !budget.retry()) break;
    try {
      await sleep(asked(error, options) ?? backoff(), { signal });
    } finally {
      throwIfOver();
    }
  }
  throw new RetryError(errors);
}

function* waits({ retries, baseMs, maxMs, jitter, random }: Options) {
  let next = Math.min(baseMs, maxMs);
  for (let made = 0; made < retries; made++) {
    const ms = next;
    yield () => (jitter === 'full' ? ms * random() : ms);
    next = Math.min(next * 2, maxMs);
  }
  yield 'none left' as const;
}

function asked(error: unknown, { maxMs, now }: Options): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { retryAfter } = error as { retryAfter?: unknown };
  if (typeof retryAfter !== 'string' || retryAfter.trim() === '') return undefined;
  const ms = Number.isInteger(Number(retryAfter)) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - now();
  return Number.isNaN(ms) ? undefined : Math.min(maxMs, Math.max(0, ms));
}
