export interface LruOptions<K, V> {
  max: number;
  maxBytes?: number;
  ttlMs?: number;
  sizeOf?: (value: V, key: K) => number;
  now?: () => number;
  dispose?: (value: V, key: K) => void;
}

interface Entry<K, V> {
  readonly key: K;
  value: V;
  bytes: number;
  expiresAt: number;
  /** It has left. Iterators that have it on their list pass it over. */
  isGone: boolean;
  older: Entry<K, V> | undefined;
  newer: Entry<K, V> | undefined;
}

/** A map from keys to entries, and a list of the entries from the least to the most recently used. */
export class LruCache<K, V> {
  readonly #max: number;
  readonly #maxBytes: number;
  readonly #ttlMs: number;
  readonly #sizeOf: ((value: V, key: K) => number) | undefined;
  readonly #now: () => number;
  readonly #dispose: ((value: V, key: K) => void) | undefined;
  readonly #entries = new Map<K, Entry<K, V>>();
  readonly #loads = new Map<K, Promise<V>>();
  #oldest: Entry<K, V> | undefined;
  #newest: Entry<K, V> | undefined;
  #bytes = 0;

  constructor({ max, maxBytes, ttlMs, sizeOf, now = Date.now, dispose }: LruOptions<K, V>) {
    this.#max = limit('max', max);
    this.#maxBytes = maxBytes === undefined ? Infinity : limit('maxBytes', maxBytes);
    this.#ttlMs = ttlMs === undefined ? Infinity : limit('ttlMs', ttlMs);
    this.#sizeOf = sizeOf;
    this.#now = now;
    this.#dispose = dispose;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: K): V | undefined {
    const entry = this.#find(key);
    if (entry) this.#use(entry);
    return entry?.value;
  }

  peek(key: K): V | undefined {
    return this.#find(key)?.value;
  }

  has(key: K): boolean {
    return this.#find(key) !== undefined;
  }

  set(key: K, value: V): boolean {
    const bytes = this.#sizeOf ? this.#sizeOf(value, key) : 0;
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new RangeError(`sizeOf returned ${String(bytes)}; expected a whole number, 0 or more`);

    this.#loads.delete(key);
    const known = this.#entries.get(key);
    if (bytes > this.#maxBytes) {
      if (known) this.#remove(known);
      return false;
    }
    const expiresAt = this.#ttlMs === Infinity ? Infinity : this.#now() + this.#ttlMs;
    if (known) {
      const { value: replaced } = known;
      this.#bytes += bytes - known.bytes;
      known.value = value;
      known.bytes = bytes;
      known.expiresAt = expiresAt;
      this.#use(known);
      this.#dispose?.(replaced, key);
    } else {
      if (this.#entries.size === this.#max) this.#remove(this.#oldest!);
      const entry = { key, value, bytes, expiresAt, isGone: false, older: undefined, newer: undefined };
      this.#entries.set(key, entry);
      this.#append(entry);
      this.#bytes += bytes;
    }
    while (this.#bytes > this.#maxBytes) this.#remove(this.#oldest!);
    return true;
  }

  delete(key: K): boolean {
    this.#loads.delete(key);
    const entry = this.#find(key);
    if (entry) this.#remove(entry);
    return entry !== undefined;
  }

  clear(): void {
    this.#loads.clear();
    while (this.#oldest) this.#remove(this.#oldest);
  }

  purge(): void {
    for (const entry of this.#entries.values()) if (this.#isExpired(entry)) this.#remove(entry);
  }

  async fetch(key: K, load: (key: K) => V | PromiseLike<V>): Promise<V> {
    const entry = this.#find(key);
    if (entry) {
      this.#use(entry);
      return entry.value;
    }
    const others = this.#loads.get(key);
    if (others) return await others;
    const loading = Promise.resolve(key).then(load);
    this.#loads.set(key, loading);
    // As long as it is the key's load, nothing newer has come.
    const isNewest = () => this.#loads.get(key) === loading;
    try {
      const value = await loading;
      if (isNewest()) this.set(key, value);
      return value;
    } finally {
      if (isNewest()) this.#loads.delete(key);
    }
  }

  /** Goes through the entries of this moment; those that leave before their turn are passed over. */
  *[Symbol.iterator](): Generator<[K, V]> {
    const entries: Entry<K, V>[] = [];
    for (let entry = this.#newest; entry; entry = entry.older) entries.push(entry);
    for (const entry of entries) if (!entry.isGone && !this.#isExpired(entry)) yield [entry.key, entry.value];
  }

  #find(key: K): Entry<K, V> | undefined {
    const entry = this.#entries.get(key);
    if (!entry || !this.#isExpired(entry)) return entry;
    this.#remove(entry);
    return undefined;
  }

  #isExpired({ expiresAt }: Entry<K, V>): boolean {
    return expiresAt !== Infinity && this.#now() >= expiresAt;
  }

  #use(entry: Entry<K, V>): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  #append(entry: Entry<K, V>): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
  }

  #unlink({ older, newer }: Entry<K, V>): void {
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
  }

  #remove(entry: Entry<K, V>): void {
    this.#entries.delete(entry.key);
    this.#unlink(entry);
    entry.isGone = true;
    this.#bytes -= entry.bytes;
    this.#dispose?.(entry.value, entry.key);
  }
}

function limit(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`${name} is ${String(value)}; expected a whole number, 1 or more`);
}
