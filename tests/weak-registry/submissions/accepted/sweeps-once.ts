import type { Registry } from '../../../../katas/weak-registry/weak-registry.ts';

/** A finalizer says only that something has died. One sweep then looks at all entries. Each value is registered once in its life. */
export function createRegistry<K, V extends object>(): Registry<K, V> {
  const refs = new Map<K, WeakRef<V>>();
  const metadata = new WeakMap<V, unknown>();
  const registered = new WeakSet<V>();
  let isSweeping = false;
  const finalizers = new FinalizationRegistry<undefined>(() => {
    if (isSweeping) return;
    isSweeping = true;
    queueMicrotask(() => {
      isSweeping = false;
      for (const [key, ref] of refs) if (!ref.deref()) refs.delete(key);
    });
  });
  const has = (key: K) => refs.get(key)?.deref() !== undefined;

  return Object.freeze({
    get(key: K, create: (key: K) => V): V {
      if (!has(key)) {
        const value = create(key);
        refs.set(key, new WeakRef(value));
        if (!registered.has(value)) finalizers.register(value, undefined);
        registered.add(value);
      }
      return refs.get(key)!.deref()!;
    },
    delete(key: K): boolean {
      const had = has(key);
      refs.delete(key);
      return had;
    },
    get size(): number {
      return refs.size;
    },
    setMetadata: (value: V, data: unknown) => void metadata.set(value, data),
    getMetadata: (value: V) => metadata.get(value),
    *[Symbol.iterator](): Generator<[K, V]> {
      const keys = [...refs.keys()];
      for (const key of keys) {
        const value = refs.get(key)?.deref();
        if (value) yield [key, value];
      }
    },
  });
}
