import { describe, expect, test } from 'vitest';
import type * as Kata from '../../../katas/event-emitter/event-emitter.ts';
import { useSubject } from './use-subject.ts';

interface Kept {
  furnishings?: number;
}

const { running, end, aside } = useSubject<typeof Kata, Kept>('event-emitter', async (subject) => {
  await subject.evaluate((_kata, _args, kept) => void (kept.furnishings = (kept.furnishings ?? 0) + 1));
});
const pids: number[] = [];
const note = async () => pids.push((await running()).pid);

describe('one process for all promises', () => {
  test('the first one starts it', async () => {
    await note();
    expect(pids[0]).toBeGreaterThan(0);
  });
  test('the next one finds it, furnished once', async () => {
    await note();
    expect(pids[1]).toBe(pids[0]);
    expect(await (await running()).evaluate((_kata, _args, { furnishings }) => furnishings)).toBe(1);
  });
  // It fails on purpose, and has to: the next test is about what comes after a promise that is broken.
  test.fails('a promise that is broken', () => {
    expect(pids, 'broken on purpose').toBe('broken');
  });
  test('is followed by a new process, furnished too', async () => {
    await note();
    expect(pids[2]).not.toBe(pids[1]);
    expect(await (await running()).evaluate((_kata, _args, { furnishings }) => furnishings)).toBe(1);
  });
  test('who ends it gets a new one', async () => {
    const before = await running();
    await end();
    expect(before.alive).toBe(false);
    expect((await running()).pid).not.toBe(before.pid);
  });
});

describe('work aside', () => {
  const pidAside = aside(async (subject) => {
    const alive = await subject.evaluate((_kata, _args, { furnishings }) => furnishings === 1);
    return { subject, alive };
  });
  const hopeless = aside(() => Promise.reject(new Error('no use')));

  test('is done once, in a furnished process of its own, which ends with it', async () => {
    pidAside.begin();
    const [one, other] = [await pidAside.done(), await pidAside.done()];
    expect(one).toBe(other);
    expect(one.alive).toBe(true);
    expect(one.subject.pid).not.toBe((await running()).pid);
    expect(one.subject.alive).toBe(false);
  });
  test('that fails is told to each who asks, and to nobody else', async () => {
    hopeless.begin();
    await expect(hopeless.done()).rejects.toThrow('no use');
    await expect(hopeless.done()).rejects.toThrow('no use');
  });
});
