/** Values by key, each as long as somebody else holds it. */
export interface Registry<K, V extends object> extends Iterable<[K, V]> {
  /** The value of the key. If there is none, what create returns becomes the value. */
  get(key: K, create: (key: K) => V): V;
  /** Forgets the value of the key. Says whether there was one. */
  delete(key: K): boolean;
  /** How many keys have a value. */
  readonly size: number;
  setMetadata(value: V, metadata: unknown): void;
  /** What was set last; undefined if nothing was. */
  getMetadata(value: V): unknown;
}

interface Entry<K, V> {
  key: K;
  value?: V;
}

/** A registry without entries. */
export function createRegistry<K, V extends object>(): Registry<K, V> {
  const entries = new Map<string, Entry<K, V>>();
  const metadata = new Map<V, unknown>();

  return {
    get(key, create) {
      const id = String(key);
      let entry = entries.get(id);
      if (!entry) {
        entry = { key };
        entries.set(id, entry);
        entry.value = create(key);
      }
      return entry.value!;
    },
    delete(key) {
      return entries.delete(String(key));
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
      for (const { key, value } of entries.values()) yield [key, value!];
    },
  };
}
