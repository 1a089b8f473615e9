export interface LruOptions<K, V> {
  max: number;
  maxBytes?: number;
  ttlMs?: number;
  sizeOf?: (value: V, key: K) => number;
  now?: () => number;
  dispose?: (value: V, key: K) => void;
}

interface Entry<V> {
  value: V;
  setAt: number;
}

/** Keeps the entries that were used most recently. */
export class LruCache<K, V> {
  private readonly entries = new Map<K, Entry<V>>();

  private readonly options: LruOptions<K, V>;

  constructor(options: LruOptions<K, V>) {
    this.options = options;
  }

  get size(): number {
    return this.entries.size;
  }

  get bytes(): number {
    const { sizeOf } = this.options;
    let sum = 0;
    if (sizeOf) for (const [key, { value }] of this.entries) sum += sizeOf(value, key);
    return sum;
  }

  get(key: K): V | undefined {
    const entry = this.alive(key);
    if (entry) entry.setAt = this.now();
    return entry?.value;
  }

  peek(key: K): V | undefined {
    return this.alive(key)?.value;
  }

  has(key: K): boolean {
    return this.peek(key) !== undefined;
  }

  set(key: K, value: V): boolean {
    const { max, maxBytes } = this.options;
    this.entries.set(key, { value, setAt: this.now() });
    if (this.entries.size > max + 1) this.evict();
    while (maxBytes && this.bytes > maxBytes) this.evict();
    return true;
  }

  delete(key: K): boolean {
    const entry = this.entries.get(key);
    if (entry) this.options.dispose?.(entry.value, key);
    return this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
  }

  purge(): void {
    for (const key of this.entries.keys()) this.alive(key);
  }

  async fetch(key: K, load: (key: K) => V | PromiseLike<V>): Promise<V> {
    const cached = this.get(key);
    if (cached) return cached;
    const value = await load(key);
    this.set(key, value);
    return value;
  }

  *[Symbol.iterator](): Generator<[K, V]> {
    for (const [key, { value }] of [...this.entries].reverse()) yield [key, value];
  }

  private now(): number {
    return this.options.now ? this.options.now() : Date.now();
  }

  private alive(key: K): Entry<V> | undefined {
    const entry = this.entries.get(key);
    const { ttlMs } = this.options;
    if (!entry || !ttlMs || this.now() - entry.setAt < ttlMs) return entry;
    this.entries.delete(key);
    return undefined;
  }

  private evict(): void {
    const [oldest] = this.entries.keys();
    if (oldest !== undefined) this.delete(oldest);
  }
}
