import type { ObjectPool, ObjectPoolOptions } from '../../../../katas/object-pool/object-pool.ts';

type State = 'held' | 'at rest';

/** What was released at the same time is one group, and grows old as one. A lease is a DisposableStack. */
export function createObjectPool<T extends object>(options: ObjectPoolOptions<T>): ObjectPool<T> {
  const groups = new Map<number, Set<T>>();
  const states = new WeakMap<T, { now: State }>();
  let [idle, forgotten, handedOut, returned] = [0, 0, 0, 0];
  const finalizers = new FinalizationRegistry<{ now: State }>((state) => {
    if (state.now === 'held') forgotten++;
  });

  function dropGroups() {
    const time = options.now();
    for (const [ms, group] of groups) {
      if (time - ms < options.idleMs) break;
      groups.delete(ms);
      idle -= group.size;
    }
  }

  function takeLast(): T | undefined {
    const ms = [...groups.keys()].at(-1);
    if (ms === undefined) return undefined;
    const group = groups.get(ms)!;
    const [object] = group;
    group.delete(object!);
    idle--;
    if (group.size === 0) groups.delete(ms);
    return object;
  }

  function acquire(): T {
    dropGroups();
    let object = takeLast();
    if (object) {
      states.get(object)!.now = 'held';
    } else {
      object = options.create();
      const state = { now: 'held' as const };
      states.set(object, state);
      finalizers.register(object, state);
    }
    handedOut++;
    return object;
  }

  function release(object: T): void {
    const state = states.get(object);
    if (!state) throw new DOMException('not from here', 'ForeignReleaseError');
    if (state.now !== 'held') throw new DOMException('released twice', 'DoubleReleaseError');
    state.now = 'at rest';
    returned++;
    dropGroups();
    let isClean = idle < options.max;
    try {
      options.reset(object);
    } catch (error) {
      isClean = false;
      options.onError(error);
    }
    if (!isClean) return;
    const ms = options.now();
    if (!groups.has(ms)) groups.set(ms, new Set());
    groups.get(ms)!.add(object);
    idle++;
  }

  return {
    acquire,
    release,
    lease() {
      const object = acquire();
      const stack = new DisposableStack();
      const box = stack.adopt([object], ([one]) => {
        box.length = 0;
        release(one!);
      });
      return {
        get object() {
          if (stack.disposed) throw new Error('The lease is over');
          return box[0]!;
        },
        [Symbol.dispose]: () => stack.dispose(),
      };
    },
    get idle() {
      return idle;
    },
    get held() {
      return handedOut - returned - forgotten;
    },
  };
}
