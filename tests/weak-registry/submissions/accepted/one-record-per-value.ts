import type { Registry } from '../../../../katas/weak-registry/weak-registry.ts';

/** A value's place under one key. */
interface Place<K, V extends object> {
  readonly key: K;
  readonly ref: WeakRef<V>;
}

/** What is known of a value. A WeakMap holds it, so that it may lead to the value. */
interface About<K, V extends object> {
  /** The finalizer holds these as well, so they must not lead to the value. */
  readonly places: Set<Place<K, V>>;
  metadata?: unknown;
}

class Records<K, V extends object> implements Registry<K, V> {
  private readonly byKey = new Map<K, Place<K, V>>();
  private readonly about = new WeakMap<V, About<K, V>>();
  private readonly finalizers = new FinalizationRegistry<Set<Place<K, V>>>((places) => {
    for (const place of places) if (this.byKey.get(place.key) === place) this.byKey.delete(place.key);
  });

  get(key: K, create: (key: K) => V): V {
    const present = this.byKey.get(key)?.ref.deref();
    if (present) return present;
    const value = create(key);
    const place = { key, ref: new WeakRef(value) };
    this.byKey.set(key, place);
    this.recordOf(value).places.add(place);
    return value;
  }

  delete(key: K): boolean {
    const place = this.byKey.get(key);
    const value = place?.ref.deref();
    if (place && value) this.recordOf(value).places.delete(place);
    return this.byKey.delete(key);
  }

  get size(): number {
    return this.byKey.size;
  }

  setMetadata(value: V, metadata: unknown): void {
    this.recordOf(value).metadata = metadata;
  }

  getMetadata(value: V): unknown {
    return this.about.get(value)?.metadata;
  }

  *[Symbol.iterator](): Generator<[K, V]> {
    for (const { key, ref } of this.byKey.values()) {
      const value = ref.deref();
      if (value) yield [key, value];
    }
  }

  private recordOf(value: V): About<K, V> {
    let record = this.about.get(value);
    if (!record) {
      record = { places: new Set() };
      this.about.set(value, record);
      this.finalizers.register(value, record.places);
    }
    return record;
  }
}

export function createRegistry<K, V extends object>(): Registry<K, V> {
  return new Records<K, V>();
}
