import type * as Starter from '../../katas/weak-registry/weak-registry.ts';

/** What the registry holds of a value: enough to find it, not enough to keep it. */
interface Entry<K, V extends object> {
  readonly key: K;
  readonly value: WeakRef<V>;
}

/** A registry without entries. */
export function createRegistry<K, V extends object>(): Starter.Registry<K, V> {
  const entries = new Map<K, Entry<K, V>>();
  // A WeakMap holds metadata only as long as its value lives, even if the metadata refers to the value.
  const metadata = new WeakMap<V, unknown>();
  const finalizers = new FinalizationRegistry<Entry<K, V>>((entry) => {
    // By now the key may have another entry.
    if (entries.get(entry.key) === entry) entries.delete(entry.key);
  });

  return {
    get(key, create) {
      const present = entries.get(key)?.value.deref();
      if (present) return present;

      const value = create(key);
      const entry = { key, value: new WeakRef(value) };
      entries.set(key, entry);
      finalizers.register(value, entry, entry);
      return value;
    },
    delete(key) {
      const entry = entries.get(key);
      if (!entry) return false;
      entries.delete(key);
      finalizers.unregister(entry);
      return entry.value.deref() !== undefined;
    },
    get size() {
      return entries.size;
    },
    setMetadata(value, data) {
      metadata.set(value, data);
    },
    getMetadata(value) {
      return metadata.get(value);
    },
    *[Symbol.iterator]() {
      for (const { key, value } of entries.values()) {
        const present = value.deref();
        if (present) yield [key, present];
      }
    },
  };
}

({ createRegistry }) satisfies typeof Starter;
