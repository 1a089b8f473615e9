export interface ObjectPoolOptions<T extends object> {
  /** Returns a new, clean object. */
  create: () => T;
  /** Cleans an object. */
  reset: (object: T) => void;
  /** Idle objects that the pool may keep; 0 or more. */
  max: number;
  /** How long an object may be idle before it must go; more than 0. */
  idleMs: number;
  /** The time in ms. It never goes back. */
  now: () => number;
  /** Hears what reset threw. */
  onError: (error: unknown) => void;
}

export interface ObjectPool<T extends object> {
  acquire(): T;
  release(object: T): void;
  /** Acquires an object that is released when the lease is disposed. */
  lease(): Lease<T>;
  /** Objects that are kept for reuse. */
  readonly idle: number;
  /** Objects that were handed out and are neither released nor collected. */
  readonly held: number;
}

export interface Lease<T extends object> extends Disposable {
  /** Throws when the lease is disposed. */
  readonly object: T;
}

/** Keeps objects for reuse. */
export function createObjectPool<T extends object>(options: ObjectPoolOptions<T>): ObjectPool<T> {
  const { create, reset, idleMs, now } = options;
  const idle: T[] = [];
  const held = new Set<T>();
  let lastUseMs = now();

  return {
    acquire() {
      if (now() - lastUseMs > idleMs) idle.length = 0;
      lastUseMs = now();
      let object = idle.shift();
      if (!object) {
        object = create();
        reset(object);
      }
      held.add(object);
      return object;
    },
    release(object) {
      held.delete(object);
      idle.push(object);
    },
    lease() {
      const object = this.acquire();
      return { object, [Symbol.dispose]: () => this.release(object) };
    },
    get idle() {
      return idle.length;
    },
    get held() {
      return held.size;
    },
  };
}
