import { describe, expect, test } from 'vitest';
import { collectAndFinalize, collectNow, endJob } from './collections.ts';

/** In functions of their own: what a waiting function's variables hold is no garbage. */
function garbage(): WeakRef<object> {
  return new WeakRef({});
}

function registerGarbage(registries: readonly FinalizationRegistry<number>[]): void {
  for (const [index, registry] of registries.entries()) registry.register({}, index);
}

function isThere(ref: WeakRef<object>): boolean {
  return ref.deref() !== undefined;
}

describe('collectNow', () => {
  test('collects what was created in an earlier job, before its finalizer runs', async () => {
    const finalized: number[] = [];
    const registry = new FinalizationRegistry<number>((index) => finalized.push(index));
    registerGarbage([registry]);
    const ref = garbage();
    await endJob();

    collectNow();

    expect(isThere(ref)).toBe(false);
    expect(finalized).toEqual([]);
    await collectAndFinalize();
    expect(finalized).toEqual([0]);
  });

  test('leaves what was created in the present job, and what is held', async () => {
    const held = {};
    const ofHeld = new WeakRef(held);
    await endJob();
    const ref = garbage();

    collectNow();

    expect([ref, ofHeld].map(isThere)).toEqual([true, true]);
    expect(held).toEqual({});
  });
});

describe('collectAndFinalize', () => {
  test('waits for the finalizers of as many registries as there are', async () => {
    const finalized: number[] = [];
    const registries = Array.from(
      { length: 20 },
      () => new FinalizationRegistry<number>((index) => finalized.push(index)),
    );
    registerGarbage(registries);

    await collectAndFinalize();

    expect(finalized.toSorted((one, other) => one - other)).toEqual(registries.map((_, index) => index));
  });

  test('waits for what a finalizer asks for in its turn', async () => {
    let isDone = false;
    const registry = new FinalizationRegistry<number>(() => setImmediate(() => (isDone = true)));
    registerGarbage([registry]);

    await collectAndFinalize();

    expect(isDone).toBe(true);
    expect(registry).toBeInstanceOf(FinalizationRegistry);
  });

  test('does not wait for what is held', async () => {
    const finalized: number[] = [];
    const registry = new FinalizationRegistry<number>((index) => finalized.push(index));
    const held = {};
    registry.register(held, 0);

    await collectAndFinalize();

    expect(finalized).toEqual([]);
    expect(held).toEqual({});
  });
});
