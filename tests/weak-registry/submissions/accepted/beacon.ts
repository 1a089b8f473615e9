import type { Registry } from '../../../../katas/weak-registry/weak-registry.ts';

/** Registers no value at all: an object that nobody holds tells of each collection, and then all entries are looked at. */
export function createRegistry<K, V extends object>(): Registry<K, V> {
  const refs = new Map<K, WeakRef<V>>();
  const metadata = new WeakMap<V, unknown>();
  const collections = new FinalizationRegistry<undefined>(() => {
    for (const [key, ref] of refs) if (!ref.deref()) refs.delete(key);
    lightBeacon();
  });
  const lightBeacon = () => collections.register({}, undefined);
  lightBeacon();

  return {
    get(key, create) {
      let value = refs.get(key)?.deref();
      if (value === undefined) {
        value = create(key);
        refs.set(key, new WeakRef(value));
      }
      return value;
    },
    delete: (key) => refs.delete(key),
    get size() {
      return refs.size;
    },
    setMetadata: (value, data) => void metadata.set(value, data),
    getMetadata: (value) => metadata.get(value),
    *[Symbol.iterator]() {
      for (const [key, ref] of refs) {
        const value = ref.deref();
        if (value) yield [key, value];
      }
    },
  };
}
