import { expect, test } from 'vitest';
import { type CpuTimes, Orders } from './orders.ts';

const limitMs = 20;

/** A process that tells these times one after the other, the last one from then on; its event loop turns. */
function processWith(...times: CpuTimes[]) {
  let asked = 0;
  const { promise: hung, resolve } = Promise.withResolvers<string>();
  const orders: Orders = new Orders({
    name: 'a module',
    limitMs,
    send: (order) => {
      const { id, kind } = order as { id: string; kind: string };
      if (kind === 'turns') orders.settle({ id, ok: true, value: undefined } as never);
    },
    cpuTimes: () => Promise.resolve(times[Math.min(asked++, times.length - 1)]),
    hung: resolve,
  });
  const given = orders.give('working', { kind: 'call' });
  void given.catch(() => undefined);
  return { hung, timesAsked: () => asked };
}

test('A process whose event loop turns, with nothing to do, is stopped at its limit.', async () => {
  const { hung, timesAsked } = processWith({ usedMs: 0, waitedMs: 0 });
  expect(await hung).toContain('its event loop is free');
  expect(timesAsked()).toBe(2);
});

test('A process that works and seldom gets a processor is given its CPU time.', async () => {
  const { hung, timesAsked } = processWith(
    { usedMs: 0, waitedMs: 0 },
    { usedMs: 4, waitedMs: 15 },
    { usedMs: 8, waitedMs: 30 },
    { usedMs: 12, waitedMs: 45 },
  );
  await hung;
  // Three limits in which it worked, and one in which it did nothing.
  expect(timesAsked()).toBe(5);
});

test('A process that has had its CPU time is stopped, however long it waited for it.', async () => {
  const { hung, timesAsked } = processWith({ usedMs: 0, waitedMs: 0 }, { usedMs: limitMs, waitedMs: 100 });
  expect(await hung).toContain('it is still at work');
  expect(timesAsked()).toBe(2);
});
