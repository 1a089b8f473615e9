/*
breaks: [12]
why: fn is called outside of the chain, so a synchronous throw is thrown by retry.
ask: What may fn do before it returns a promise?
*/
import type * as Starter from '../../../../katas/retry/retry.ts';

interface Purse {
  fill(): void;
  take(): boolean;
}

type Options = Omit<Starter.RetryOptions, 'budget'> & { budget?: Purse };

interface Failure {
  readonly error: unknown;
  readonly before: Failure | undefined;
}

export class RetryError extends Error {
  override name = 'RetryError';
  errors: unknown[] = [];
}

/** Counts calls and retries. What goes beyond the maximum is written off. */
export function createBudget({ ratio, max }: { ratio: number; max: number }): Purse {
  let [calls, retries, lost] = [0, 0, 0];
  const left = () => calls * ratio - retries - lost;
  return {
    fill() {
      calls += 1;
      lost += Math.max(left() - max, 0);
    },
    take() {
      if (left() < 1) return false;
      retries += 1;
      return true;
    },
  };
}

/** No async function: each call is a link in a chain of promises. */
export function retry<T>(fn: () => T | PromiseLike<T>, options: Options): Promise<T> {
  const { retries, signal, budget, random, maxMs } = options;
  budget?.fill();
  const stop = () => Promise.reject<never>(signal?.reason as Error);

  const link = (left: number, backoffMs: number, before?: Failure): Promise<T> =>
    signal?.aborted
      ? stop()
      : Promise.resolve(fn()).catch((error: unknown) => {
          const failure = { error, before };
          if (signal?.aborted) return stop();
          if (left === 0 || options.shouldRetry?.(error) === false || budget?.take() === false)
            return Promise.reject(giveUp(failure));
          const ms = Math.min(backoffMs, maxMs);
          const told = toldMs(error, options.now());
          const wait = told === undefined ? (options.jitter === 'full' ? random() * ms : ms) : Math.min(told, maxMs);
          const next = () => link(left - 1, backoffMs * 2, failure);
          return wait === 0 ? next() : rest(wait, options).then(next, stop);
        });
  return link(retries, options.baseMs);
}

/** Sleeps under a signal of its own, which follows that of the caller. */
function rest(ms: number, { sleep, signal }: Options): Promise<void> {
  return sleep(ms, { signal: AbortSignal.any(signal ? [signal] : []) });
}

function giveUp(last: Failure): RetryError {
  const error = new RetryError('Too many failures', { cause: last.error });
  for (let one: Failure | undefined = last; one; one = one.before) error.errors.unshift(one.error);
  return error;
}

function toldMs(error: unknown, nowMs: number): number | undefined {
  const text = Object(error).retryAfter as unknown;
  if (typeof text !== 'string') return undefined;
  const [seconds, date] = [/^\d+$/.exec(text)?.[0], Date.parse(text)];
  if (seconds !== undefined) return +seconds * 1000;
  return Number.isFinite(date) ? Math.max(0, date - nowMs) : undefined;
}
