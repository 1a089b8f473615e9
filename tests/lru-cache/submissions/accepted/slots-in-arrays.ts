export interface LruOptions<K, V> {
  max: number;
  maxBytes?: number;
  ttlMs?: number;
  sizeOf?: (value: V, key: K) => number;
  now?: () => number;
  dispose?: (value: V, key: K) => void;
}

const none = -1;

/** Slots in flat arrays, linked by their numbers. A slot that is free is linked to the next free one. */
export class LruCache<K, V> {
  #slotOf = new Map<K, number>();
  #loading = new Map<K, symbol>();
  #waiting = new Map<K, Promise<V>>();
  #keys: (K | undefined)[] = [];
  #values: (V | undefined)[] = [];
  #sizes: number[] = [];
  #births: number[] = [];
  #next: number[] = [];
  #previous: number[] = [];
  #free = none;
  #first = none;
  #last = none;
  #bytes = 0;
  readonly #options: LruOptions<K, V>;

  constructor(options: LruOptions<K, V>) {
    check(options.max);
    if ('maxBytes' in options) check(options.maxBytes);
    if ('ttlMs' in options) check(options.ttlMs);
    this.#options = options;
  }

  get size(): number {
    return this.#slotOf.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: K): V | undefined {
    const slot = this.#slot(key);
    if (slot === none) return undefined;
    this.#unlink(slot);
    this.#link(slot);
    return this.#values[slot];
  }

  peek(key: K): V | undefined {
    const slot = this.#slot(key);
    return slot === none ? undefined : this.#values[slot];
  }

  has(key: K): boolean {
    return this.#slot(key) !== none;
  }

  set(key: K, value: V): boolean {
    const { sizeOf = () => 0, maxBytes = Infinity, max, now = Date.now } = this.#options;
    const size = sizeOf(value, key);
    if (!(Number.isInteger(size) && size >= 0)) throw new Error(`a size must be a whole number`);
    this.#forgetLoad(key);
    const old = this.#slotOf.get(key);
    if (old !== undefined) this.#remove(old);
    if (size > maxBytes) return false;
    while (this.size === max || this.#bytes + size > maxBytes) this.#remove(this.#first);

    const slot = this.#free === none ? this.#keys.length : this.#free;
    if (slot === this.#free) this.#free = this.#next[slot]!;
    this.#keys[slot] = key;
    this.#values[slot] = value;
    this.#sizes[slot] = size;
    this.#births[slot] = this.#options.ttlMs === undefined ? 0 : now();
    this.#slotOf.set(key, slot);
    this.#link(slot);
    this.#bytes += size;
    return true;
  }

  delete(key: K): boolean {
    this.#forgetLoad(key);
    const slot = this.#slot(key);
    if (slot !== none) this.#remove(slot);
    return slot !== none;
  }

  clear(): void {
    this.#loading.clear();
    this.#waiting.clear();
    while (this.#last !== none) this.#remove(this.#last);
  }

  purge(): void {
    for (let slot = this.#last; slot !== none;) {
      const before = this.#previous[slot]!;
      if (this.#isStale(slot)) this.#remove(slot);
      slot = before;
    }
  }

  fetch(key: K, load: (key: K) => V | PromiseLike<V>): Promise<V> {
    const slot = this.#slot(key);
    if (slot !== none) return Promise.resolve(this.get(key) as V);
    let waiting = this.#waiting.get(key);
    if (!waiting) {
      waiting = this.#load(key, load);
      this.#waiting.set(key, waiting);
    }
    return waiting;
  }

  /** The keys of this moment, each looked up again when its turn comes. */
  [Symbol.iterator](): Iterator<[K, V]> {
    const keys: K[] = [];
    for (let slot = this.#last; slot !== none; slot = this.#previous[slot]!) keys.push(this.#keys[slot] as K);
    let at = 0;
    return {
      next: () => {
        while (at < keys.length) {
          const key = keys[at++]!;
          if (this.has(key)) return { done: false, value: [key, this.peek(key) as V] };
        }
        return { done: true, value: undefined };
      },
    };
  }

  async #load(key: K, load: (key: K) => V | PromiseLike<V>): Promise<V> {
    const ticket = Symbol('load');
    this.#loading.set(key, ticket);
    await Promise.resolve();
    try {
      const value = await load(key);
      if (this.#loading.get(key) === ticket) this.set(key, value);
      return value;
    } catch (error) {
      if (this.#loading.get(key) === ticket) this.#forgetLoad(key);
      throw error;
    }
  }

  #forgetLoad(key: K): void {
    this.#loading.delete(key);
    this.#waiting.delete(key);
  }

  #slot(key: K): number {
    const slot = this.#slotOf.get(key) ?? none;
    if (slot === none || !this.#isStale(slot)) return slot;
    this.#remove(slot);
    return none;
  }

  #isStale(slot: number): boolean {
    const { ttlMs, now = Date.now } = this.#options;
    return ttlMs !== undefined && now() - this.#births[slot]! >= ttlMs;
  }

  #link(slot: number): void {
    this.#previous[slot] = this.#last;
    this.#next[slot] = none;
    if (this.#last === none) this.#first = slot;
    else this.#next[this.#last] = slot;
    this.#last = slot;
  }

  #unlink(slot: number): void {
    const previous = this.#previous[slot]!;
    const next = this.#next[slot]!;
    if (previous === none) this.#first = next;
    else this.#next[previous] = next;
    if (next === none) this.#last = previous;
    else this.#previous[next] = previous;
  }

  #remove(slot: number): void {
    const key = this.#keys[slot] as K;
    const value = this.#values[slot] as V;
    this.#slotOf.delete(key);
    this.#unlink(slot);
    this.#bytes -= this.#sizes[slot]!;
    this.#keys[slot] = undefined;
    this.#values[slot] = undefined;
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#options.dispose?.(value, key);
  }
}

function check(limit: unknown): void {
  if (typeof limit !== 'number' || limit % 1 !== 0 || limit <= 0) throw new RangeError(`bad limit ${String(limit)}`);
}
