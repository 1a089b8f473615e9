/*
breaks: [9]
why: held leaves out references that are empty, but they stay in the Set.
ask: How large is the Set after a week?
*/
import type { Lease, ObjectPool, ObjectPoolOptions } from '../../../../katas/object-pool/object-pool.ts';

/** Cleans an object when somebody wants it. What is held is counted by weak references, without finalizers. */
class Pool<T extends object> implements ObjectPool<T> {
  readonly #options: ObjectPoolOptions<T>;
  /** What is idle, and since when, in the order of release. */
  readonly #idle: [object: T, sinceMs: number][] = [];
  readonly #refs = new WeakMap<T, WeakRef<T>>();
  readonly #out = new Set<WeakRef<T>>();

  constructor(options: ObjectPoolOptions<T>) {
    this.#options = options;
  }

  acquire(): T {
    this.#expire();
    const object = this.#takeClean() ?? this.#options.create();
    let ref = this.#refs.get(object);
    if (!ref) this.#refs.set(object, (ref = new WeakRef(object)));
    this.#out.add(ref);
    return object;
  }

  release(object: T): void {
    const ref = this.#refs.get(object);
    if (!ref) throw new Refusal('ForeignReleaseError', 'The object is not of this pool');
    if (!this.#out.delete(ref)) throw new Refusal('DoubleReleaseError', 'The object is not held');
    this.#expire();
    this.#idle.push([object, this.#options.now()]);
    if (this.#idle.length > this.#options.max) this.#idle.shift();
  }

  lease(): Lease<T> {
    return new Hold(this, this.acquire());
  }

  get idle(): number {
    return this.#idle.length;
  }

  get held(): number {
    return this.#sweep();
  }

  #takeClean(): T | undefined {
    for (let last = this.#idle.pop(); last; last = this.#idle.pop()) {
      try {
        this.#options.reset(last[0]);
        return last[0];
      } catch (error) {
        this.#options.onError(error);
      }
    }
    return undefined;
  }

  #expire(): void {
    const { now, idleMs } = this.#options;
    while (this.#idle[0] && now() - this.#idle[0][1] >= idleMs) this.#idle.shift();
  }

  #sweep(): number {
    let alive = 0;
    for (const ref of this.#out) if (ref.deref() !== undefined) alive++;
    return alive;
  }
}

class Hold<T extends object> implements Lease<T> {
  readonly #pool: Pool<T>;
  #object: T | null;

  constructor(pool: Pool<T>, object: T) {
    this.#pool = pool;
    this.#object = object;
  }

  get object(): T {
    if (this.#object === null) throw new Error('This lease has ended');
    return this.#object;
  }

  [Symbol.dispose](): void {
    const object = this.#object;
    this.#object = null;
    if (object !== null) this.#pool.release(object);
  }
}

class Refusal extends Error {
  override readonly name: string;
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

export function createObjectPool<T extends object>(options: ObjectPoolOptions<T>): ObjectPool<T> {
  return new Pool(options);
}
