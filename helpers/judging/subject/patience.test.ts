import { expect, test } from 'vitest';
import { Patience } from './patience.ts';

const never = new Promise<never>(() => undefined);

/** A process that is asked to wait, and notes for how long. */
function idleProcess(limits: number[]) {
  const note = async <Result>(limitMs: number | undefined, result: Result) => {
    limits.push(limitMs!);
    return await Promise.resolve(result);
  };
  return {
    settles: (promise: Promise<unknown>, limitMs?: number) => note(limitMs, promise !== never),
    ended: (limitMs?: number) => note(limitMs, undefined),
  };
}

test('the first wait in vain takes the full limit, and later ones less', async () => {
  const limits: number[] = [];
  const subject = idleProcess(limits);
  const patience = new Patience({ firstMs: 50, laterMs: 10 });

  expect(await patience.settles(subject, Promise.resolve())).toBe(true);
  expect(await patience.settles(subject, never)).toBe(false);
  expect(await patience.ended(subject)).toBeUndefined();

  expect(limits).toEqual([50, 50, 10]);
});

test('an end in vain and a condition in vain shorten the limit as well', async () => {
  for (const inVain of ['ended', 'sees'] as const) {
    const limits: number[] = [];
    const subject = idleProcess(limits);
    const patience = new Patience({ firstMs: 50, laterMs: 10 });

    expect(await patience.sees(() => true)).toBe(true);
    await (inVain === 'ended' ? patience.ended(subject) : patience.sees(() => false));
    await patience.settles(subject, never);

    expect(limits.at(-1), inVain).toBe(10);
  }
});
