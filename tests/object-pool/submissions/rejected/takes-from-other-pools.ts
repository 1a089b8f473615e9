/*
breaks: [5]
why: All pools share one table, and nobody looks which pool an object is from.
ask: What if two pools have buffers of different sizes?
*/
import type { Lease, ObjectPool, ObjectPoolOptions } from '../../../../katas/object-pool/object-pool.ts';

/** Figures of one pool. They lead to no object. */
interface Figures {
  held: number;
}

interface Record {
  readonly owner: Figures;
  isOut: boolean;
}

/** One for all pools. */
const records = new WeakMap<object, Record>();
const finalizers = new FinalizationRegistry<Record>(({ owner, isOut }) => {
  if (isOut) owner.held -= 1;
});

/** As many slots as the pool may keep. The first ones are used most, so that the last ones grow old. */
export function createObjectPool<T extends object>({
  create,
  reset,
  max,
  idleMs,
  now,
  onError,
}: ObjectPoolOptions<T>): ObjectPool<T> {
  const slots: (T | undefined)[] = Array.from({ length: max }, () => undefined);
  const releasedMs: number[] = slots.map(() => 0);
  const figures: Figures = { held: 0 };

  const clearOld = () => {
    const time = now();
    for (let slot = 0; slot < max; slot++)
      if (slots[slot] && time - releasedMs[slot]! >= idleMs) slots[slot] = undefined;
  };

  const acquire = (): T => {
    clearOld();
    const slot = slots.findIndex((object) => object !== undefined);
    let object = slots[slot];
    if (object === undefined) {
      object = create();
      const record = { owner: figures, isOut: false };
      records.set(object, record);
      finalizers.register(object, record);
    } else {
      slots[slot] = undefined;
    }
    records.get(object)!.isOut = true;
    figures.held += 1;
    return object;
  };

  const release = (object: T): void => {
    const record = records.get(object);
    if (!record) throw Object.defineProperty(new TypeError('foreign'), 'name', { value: 'ForeignReleaseError' });
    if (!record.isOut) throw Object.defineProperty(new TypeError('double'), 'name', { value: 'DoubleReleaseError' });
    record.isOut = false;
    figures.held -= 1;
    clearOld();
    try {
      reset(object);
    } catch (error) {
      return onError(error);
    }
    const slot = slots.findIndex((other) => other === undefined);
    if (slot === -1) return;
    slots[slot] = object;
    releasedMs[slot] = now();
  };

  const lease = (): Lease<T> => {
    const state: { object?: T } = { object: acquire() };
    return Object.freeze({
      get object(): T {
        if (!state.object) throw new Error('disposed');
        return state.object;
      },
      [Symbol.dispose](): void {
        const { object } = state;
        delete state.object;
        if (object) release(object);
      },
    });
  };

  return Object.freeze({
    acquire,
    release,
    lease,
    get idle() {
      return slots.filter(Boolean).length;
    },
    get held() {
      return figures.held;
    },
  });
}
