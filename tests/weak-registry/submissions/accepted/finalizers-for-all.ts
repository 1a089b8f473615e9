import type { Registry } from '../../../../katas/weak-registry/weak-registry.ts';

/** One for all registries. What it holds is what to do. */
const finalizers = new FinalizationRegistry<() => void>((act) => act());

interface Slot<V extends object> {
  ref: WeakRef<V>;
  /** Counts the values that this slot has had. */
  turn: number;
}

/** In a scope of its own: an arrow function next to the value would hold the value. */
function emptier<K, V extends object>(slots: Map<K, Slot<V>>, key: K, turn: number): () => void {
  return () => {
    if (slots.get(key)?.turn === turn) slots.delete(key);
  };
}

let turns = 0;

export function createRegistry<K, V extends object>(): Registry<K, V> {
  const slots = new Map<K, Slot<V>>();
  const metadata = new WeakMap<V, unknown>();

  function get(key: K, create: (key: K) => V): V {
    const slot = slots.get(key);
    const present = slot?.ref.deref();
    if (present) return present;

    const value = create(key);
    const ref = new WeakRef(value);
    const turn = ++turns;
    if (slot) Object.assign(slot, { ref, turn });
    else slots.set(key, { ref, turn });
    finalizers.register(value, emptier(slots, key, turn), ref);
    return value;
  }

  function remove(key: K): boolean {
    const slot = slots.get(key);
    if (slot) finalizers.unregister(slot.ref);
    slots.delete(key);
    return slot?.ref.deref() !== undefined;
  }

  class Entries implements Iterator<[K, V]> {
    readonly #slots = slots.entries();
    next(): IteratorResult<[K, V], undefined> {
      while (true) {
        const { done, value: slot } = this.#slots.next();
        if (done) return { done, value: undefined };
        const value = slot[1].ref.deref();
        if (value !== undefined) return { done: false, value: [slot[0], value] };
      }
    }
  }

  return {
    get,
    delete: remove,
    get size() {
      return slots.size;
    },
    setMetadata: metadata.set.bind(metadata),
    getMetadata: metadata.get.bind(metadata),
    [Symbol.iterator]: () => new Entries(),
  };
}
