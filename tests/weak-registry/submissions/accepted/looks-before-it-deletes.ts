import type { Registry } from '../../../../katas/weak-registry/weak-registry.ts';

/** The finalizer knows only the key. It deletes what it finds there if nothing lives in it. */
class WeakValues<K, V extends object> implements Registry<K, V> {
  readonly #refs = new Map<K, WeakRef<V>>();
  readonly #metadata = new WeakMap<V, { data: unknown }>();
  readonly #finalizers = new FinalizationRegistry<K>((key) => {
    if (this.#find(key) === undefined) this.#refs.delete(key);
  });

  get(key: K, create: (key: K) => V): V {
    return this.#find(key) ?? this.#add(key, create(key));
  }

  delete(key: K): boolean {
    const ref = this.#refs.get(key);
    if (ref) this.#finalizers.unregister(ref);
    return this.#refs.delete(key);
  }

  get size(): number {
    let count = 0;
    for (const ref of this.#refs.values()) if (ref.deref()) count++;
    return count;
  }

  setMetadata(value: V, data: unknown): void {
    this.#metadata.set(value, { data });
  }

  getMetadata(value: V): unknown {
    return this.#metadata.get(value)?.data;
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    const keys = this.#refs.keys();
    const find = (key: K) => this.#find(key);
    return {
      next() {
        for (let { done, value: key } = keys.next(); !done; { done, value: key } = keys.next()) {
          const value = find(key!);
          if (value) return { done: false, value: [key!, value] };
        }
        return { done: true, value: undefined };
      },
    };
  }

  #find(key: K): V | undefined {
    return this.#refs.get(key)?.deref();
  }

  #add(key: K, value: V): V {
    const ref = new WeakRef(value);
    this.#refs.set(key, ref);
    this.#finalizers.register(value, key, ref);
    return value;
  }
}

export function createRegistry<K, V extends object>(): Registry<K, V> {
  return new WeakValues();
}
