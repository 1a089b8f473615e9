export interface LruOptions<K, V> {
  max: number;
  maxBytes?: number;
  ttlMs?: number;
  sizeOf?: (value: V, key: K) => number;
  now?: () => number;
  dispose?: (value: V, key: K) => void;
}

interface Entry<V> {
  readonly value: V;
  readonly bytes: number;
  readonly until: number;
}

type Load<K, V> = (key: K) => V | PromiseLike<V>;

/** A Map in order of use. One iterator stands before the oldest key, so that nobody has to pass the keys that were deleted. */
export class LruCache<K, V> {
  private readonly entries = new Map<K, Entry<V>>();
  private readonly pending = new Map<K, { promise: Promise<V> }>();
  private oldest = this.entries.keys();
  private sum = 0;
  private readonly options: LruOptions<K, V>;

  constructor(options: LruOptions<K, V>) {
    const { max, maxBytes = 1, ttlMs = 1 } = options;
    for (const value of [max, maxBytes, ttlMs])
      if (!Number.isInteger(value) || value < 1) throw new TypeError(`not a positive whole number: ${String(value)}`);
    this.options = { ...options };
  }

  get size() {
    return this.entries.size;
  }

  get bytes() {
    return this.sum;
  }

  has(key: K) {
    return this.alive(key) !== undefined;
  }

  peek(key: K) {
    return this.alive(key)?.value;
  }

  get(key: K): V | undefined {
    const entry = this.alive(key);
    if (entry === undefined) return undefined;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  set(key: K, value: V): boolean {
    const { max, maxBytes = Infinity, ttlMs = Infinity, sizeOf } = this.options;
    const bytes = sizeOf === undefined ? 0 : sizeOf(value, key);
    if (!Number.isInteger(bytes) || bytes < 0) throw new TypeError('sizeOf must return a whole number');
    this.pending.delete(key);
    this.drop(key);
    if (bytes > maxBytes) return false;
    while (this.entries.size >= max || this.sum + bytes > maxBytes) this.evict();
    this.entries.set(key, { value, bytes, until: ttlMs === Infinity ? Infinity : this.time() + ttlMs });
    this.sum += bytes;
    return true;
  }

  delete(key: K): boolean {
    this.pending.delete(key);
    return this.alive(key) !== undefined && this.drop(key);
  }

  clear(): void {
    this.pending.clear();
    for (const key of this.entries.keys()) this.drop(key);
  }

  purge(): void {
    for (const key of this.entries.keys()) this.alive(key);
  }

  fetch(key: K, load: Load<K, V>): Promise<V> {
    if (this.has(key)) return Promise.resolve(this.get(key) as V);
    const known = this.pending.get(key);
    if (known) return known.promise;
    const { promise, resolve, reject } = Promise.withResolvers<V>();
    const ticket = { promise };
    this.pending.set(key, ticket);
    const isCurrent = () => this.pending.get(key) === ticket;
    const loading = new Promise<V>((settle) => settle(load(key)));
    const stored = loading.then((value) => {
      if (isCurrent()) this.set(key, value);
      return value;
    });
    stored.then(resolve, (error: unknown) => {
      if (isCurrent()) this.pending.delete(key);
      reject(error);
    });
    return promise;
  }

  *[Symbol.iterator](): Generator<[K, V]> {
    for (const key of [...this.entries.keys()].reverse()) {
      const entry = this.alive(key);
      if (entry) yield [key, entry.value];
    }
  }

  private time() {
    const { now = Date.now } = this.options;
    return now();
  }

  private alive(key: K): Entry<V> | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.until === Infinity || this.time() < entry.until) return entry;
    this.drop(key);
    return undefined;
  }

  private evict(): void {
    const { value: key, done } = this.oldest.next();
    if (done) this.oldest = this.entries.keys();
    else this.remove(key);
  }

  /** The iterator may keep an older table of the Map alive, with this entry in it. */
  private drop(key: K): boolean {
    if (!this.entries.has(key)) return false;
    this.remove(key);
    this.oldest = this.entries.keys();
    return true;
  }

  private remove(key: K): void {
    const { value, bytes } = this.entries.get(key)!;
    this.entries.delete(key);
    this.sum -= bytes;
    this.options.dispose?.(value, key);
  }
}
