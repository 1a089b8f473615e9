/*
breaks: [6]
why: When reset fails, it tries once more, and onError hears the same error twice.
ask: What is different at the second attempt?
*/
import type { Lease, ObjectPool, ObjectPoolOptions } from '../../../../katas/object-pool/object-pool.ts';

class DoubleReleaseError extends Error {
  override get name(): string {
    return 'DoubleReleaseError';
  }
}

class ForeignReleaseError extends Error {
  override get name(): string {
    return 'ForeignReleaseError';
  }
}

/** An idle object, between one that was released before it and one that was released after it. */
interface Node<T> {
  readonly object: T;
  readonly endMs: number;
  older: Node<T> | undefined;
  newer: Node<T> | undefined;
}

/** Cleans twice, makes room for the newest, and registers an object only while it is held. */
export function createObjectPool<T extends object>(options: ObjectPoolOptions<T>): ObjectPool<T> {
  let oldest: Node<T> | undefined;
  let newest: Node<T> | undefined;
  let idle = 0;
  let held = 0;
  /** For each object that was handed out: the token of its registration, while it is held. */
  const tokens = new WeakMap<T, object | false>();
  const forgotten = new FinalizationRegistry<void>(() => held--);

  function append(object: T): void {
    const node: Node<T> = { object, endMs: options.now() + options.idleMs, older: newest, newer: undefined };
    if (newest) newest.newer = node;
    oldest ??= node;
    newest = node;
    idle++;
  }

  function removeOldest(): void {
    oldest = oldest?.newer;
    if (oldest) oldest.older = undefined;
    else newest = undefined;
    idle--;
  }

  function removeNewest(): T | undefined {
    if (!newest) return undefined;
    const { object } = newest;
    newest = newest.older;
    if (newest) newest.newer = undefined;
    else oldest = undefined;
    idle--;
    return object;
  }

  function tidy(): void {
    const now = options.now();
    while (oldest && (oldest.endMs <= now || idle > options.max)) removeOldest();
  }

  function isClean(object: T): boolean {
    try {
      options.reset(object);
      return true;
    } catch (error) {
      options.onError(error);
      return false;
    }
  }

  const pool: ObjectPool<T> = {
    acquire() {
      tidy();
      let object = removeNewest();
      while (object && !isClean(object)) object = removeNewest();
      object ??= options.create();
      const token = {};
      forgotten.register(object, undefined, token);
      tokens.set(object, token);
      held++;
      return object;
    },
    release(object) {
      const token = tokens.get(object);
      if (token === undefined) throw new ForeignReleaseError('This object never came from this pool');
      if (token === false) throw new DoubleReleaseError('This object has come back before');
      tokens.set(object, false);
      forgotten.unregister(token);
      held--;
      if (isClean(object) || isClean(object)) append(object);
      tidy();
    },
    lease(): Lease<T> {
      let object: T | undefined = pool.acquire();
      const end = () => {
        const released = object;
        object = undefined;
        if (released) pool.release(released);
      };
      return Object.defineProperty({ [Symbol.dispose]: end } as Lease<T>, 'object', {
        get() {
          if (object) return object;
          throw new ReferenceError('no object any more');
        },
      });
    },
    get idle() {
      return idle;
    },
    get held() {
      return held;
    },
  };
  return pool;
}
