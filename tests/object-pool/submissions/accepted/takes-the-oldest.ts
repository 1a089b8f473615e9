import type * as Starter from '../../../../katas/object-pool/object-pool.ts';

/** What the pool knows of an object. It must not lead to the object. */
interface State {
  isHeld: boolean;
}

interface Idle<T> {
  readonly object: T;
  readonly sinceMs: number;
}

/** Keeps objects for reuse. It holds those that are idle, and no others. */
export function createObjectPool<T extends object>({
  create,
  reset,
  max,
  idleMs,
  now,
  onError,
}: Starter.ObjectPoolOptions<T>): Starter.ObjectPool<T> {
  /** The one that was released last is at the end, and is the next to be used. So the others grow old. */
  const idle: Idle<T>[] = [];
  /** All objects that were ever created here and are not collected. */
  const states = new WeakMap<T, State>();
  let held = 0;
  /** Each object is registered once in its life. */
  const finalizers = new FinalizationRegistry<State>((state) => {
    if (state.isHeld) held--;
  });

  function dropOld(): void {
    const endMs = now() - idleMs;
    const firstYoung = idle.findIndex(({ sinceMs }) => sinceMs > endMs);
    idle.splice(0, firstYoung === -1 ? idle.length : firstYoung);
  }

  function createNew(): T {
    const object = create();
    const state = { isHeld: false };
    states.set(object, state);
    finalizers.register(object, state);
    return object;
  }

  function acquire(): T {
    dropOld();
    const object = idle.shift()?.object ?? createNew();
    states.get(object)!.isHeld = true;
    held++;
    return object;
  }

  function release(object: T): void {
    const state = states.get(object);
    if (!state) throw named('ForeignReleaseError', 'release: this pool did not hand out the object');
    if (!state.isHeld) throw named('DoubleReleaseError', 'release: the object was already released');
    state.isHeld = false;
    held--;
    dropOld();
    if (idle.length >= max) return;
    try {
      reset(object);
    } catch (error) {
      onError(error);
      return;
    }
    idle.push({ object, sinceMs: now() });
  }

  function lease(): Starter.Lease<T> {
    let object: T | undefined = acquire();
    return {
      get object() {
        if (!object) throw new Error('The lease is disposed');
        return object;
      },
      [Symbol.dispose]() {
        if (!object) return;
        const released = object;
        object = undefined;
        release(released);
      },
    };
  }

  return {
    acquire,
    release,
    lease,
    get idle() {
      return idle.length;
    },
    get held() {
      return held;
    },
  };
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}
