import type { AccountOptions } from '../../helpers/instruments/mysql/test-database.ts';
import type { Inside } from '../../helpers/judging/subject/subject-types.ts';
import type * as Kata from '../../katas/race-condition/race-condition.ts';

/** How a call ended. */
export type Outcome = { readonly value: number } | { readonly error: string };

interface Kept {
  counter: Kata.Counter;
}

/** Creates this process's counter. */
export function createCounter({ kata, args, kept }: Inside<typeof Kata, AccountOptions, Kept>): void {
  kept.counter = kata.createCounter(args);
}

/** Makes `calls` calls at once and returns the outcome of each. */
export async function incrementAtOnce({
  args: { id, calls },
  kept: { counter },
}: Inside<typeof Kata, { id: string; calls: number }, Kept>): Promise<Outcome[]> {
  const settled = await Promise.allSettled(Array.from({ length: calls }, async () => counter.increment(id)));
  return settled.map((one) =>
    one.status === 'fulfilled' ? { value: one.value } : { error: String(one.reason?.message ?? one.reason) },
  );
}

/** Closes this process's counter. */
export async function closeCounter({ kept }: Inside<typeof Kata, undefined, Kept>): Promise<void> {
  await kept.counter.close();
}
