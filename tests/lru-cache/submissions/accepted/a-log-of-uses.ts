export interface LruOptions<K, V> {
  max: number;
  maxBytes?: number;
  ttlMs?: number;
  sizeOf?: (value: V, key: K) => number;
  now?: () => number;
  dispose?: (value: V, key: K) => void;
}

interface Item<K, V> {
  readonly key: K;
  readonly value: V;
  readonly size: number;
  /** 0 when it never expires. */
  readonly end: number;
  /** The place of its latest use in the log; -1 before the first. */
  at: number;
}

/** Each use is noted at the end of a log, and the one before is wiped out. Whoever looks for the oldest passes the gaps. */
export class LruCache<K, V> {
  protected readonly items: Map<K, Item<K, V>> = new Map();
  private readonly log: (Item<K, V> | undefined)[] = [];
  private begin = 0;
  private end = 0;
  private total = 0;
  private loads: { key: K; promise: Promise<V> }[] = [];
  private readonly limits: { readonly max: number; readonly maxBytes: number; readonly ttlMs: number };
  private readonly dispose: LruOptions<K, V>['dispose'];
  private readonly hooks: Required<Pick<LruOptions<K, V>, 'sizeOf' | 'now'>>;

  constructor({ max, maxBytes, ttlMs, sizeOf = () => 0, now = () => Date.now(), dispose }: LruOptions<K, V>) {
    for (const [name, limit] of Object.entries({ max, maxBytes, ttlMs })) {
      const isLeftOut = limit === undefined && name !== 'max';
      if (!isLeftOut && !(typeof limit === 'number' && Number.isSafeInteger(limit) && limit >= 1))
        throw new Error(`${name} must be a positive whole number`);
    }
    this.limits = Object.freeze({ max, maxBytes: maxBytes ?? Infinity, ttlMs: ttlMs ?? Infinity });
    this.hooks = { sizeOf, now };
    this.dispose = dispose;
  }

  get size(): number {
    return this.items.size;
  }

  get bytes(): number {
    return this.total;
  }

  get(key: K): V | undefined {
    const item = this.fresh(key);
    if (item) this.note(item);
    return item?.value;
  }

  peek(key: K): V | undefined {
    return this.fresh(key)?.value;
  }

  has(key: K): boolean {
    return !!this.fresh(key);
  }

  set(key: K, value: V): boolean {
    const { sizeOf, now } = this.hooks;
    const size = sizeOf(value, key);
    if (typeof size !== 'number' || !(size >= 0) || !Number.isInteger(size)) throw new RangeError('bad size');
    if (this.loads.length > 0) this.stopLoads((load) => load.key === key || (load.key !== load.key && key !== key));
    const old = this.items.get(key);
    if (old) this.discard(old);
    const { max, maxBytes, ttlMs } = this.limits;
    if (size > maxBytes) return false;
    // Nothing that has expired may push out what has not.
    if (ttlMs !== Infinity && (this.size === max || this.total + size > maxBytes)) this.purge();
    while (this.size === max || this.total + size > maxBytes) this.discard(this.oldest());
    const item = { key, value, size, end: ttlMs === Infinity ? 0 : now() + ttlMs, at: -1 };
    this.items.set(key, item);
    this.total += size;
    this.note(item);
    return true;
  }

  delete(key: K): boolean {
    this.stopLoads((load) => Object.is(load.key, key));
    const item = this.fresh(key);
    if (item) this.discard(item);
    return !!item;
  }

  clear(): void {
    this.stopLoads(() => true);
    for (const item of this.items.values()) this.discard(item);
  }

  purge(): void {
    const now = this.hooks.now();
    for (const item of [...this.items.values()].filter(({ end }) => end > 0 && end <= now)) this.discard(item);
  }

  async fetch(key: K, load: (key: K) => V | PromiseLike<V>): Promise<V> {
    const item = this.fresh(key);
    if (item) return this.get(key) as V;
    let loading = this.loads.find((other) => Object.is(other.key, key));
    if (!loading) {
      loading = { key, promise: (async () => await load(key))() };
      this.loads.push(loading);
    }
    try {
      const value = await loading.promise;
      if (this.loads.includes(loading)) this.set(key, value);
      return value;
    } finally {
      this.stopLoads((other) => other === loading);
    }
  }

  *[Symbol.iterator](): Generator<[K, V], void> {
    const keys = [...this.items.values()].toSorted((one, other) => other.at - one.at).map(({ key }) => key);
    for (const key of keys) {
      const item = this.fresh(key);
      if (item) yield Object.freeze([key, item.value]) as [K, V];
    }
  }

  private fresh(key: K): Item<K, V> | undefined {
    const item = this.items.get(key);
    if (item && item.end > 0 && item.end <= this.hooks.now()) {
      this.discard(item);
      return undefined;
    }
    return item;
  }

  private note(item: Item<K, V>): void {
    if (item.at >= 0) this.log[item.at] = undefined;
    item.at = this.end;
    this.log[this.end++] = item;
    if (this.end > 8 * this.items.size + 16) this.compact();
  }

  private compact(): void {
    let end = 0;
    for (let at = this.begin; at < this.end; at++) {
      const item = this.log[at];
      if (!item) continue;
      item.at = end;
      this.log[end++] = item;
    }
    this.log.fill(undefined, end, this.end);
    this.begin = 0;
    this.end = end;
  }

  private oldest(): Item<K, V> {
    while (!this.log[this.begin]) this.begin++;
    return this.log[this.begin]!;
  }

  /** Callers hear of it later, when the cache is at rest. */
  private discard(item: Item<K, V>): void {
    this.items.delete(item.key);
    this.total -= item.size;
    this.log[item.at] = undefined;
    const { dispose } = this;
    if (dispose) queueMicrotask(() => dispose(item.value, item.key));
  }

  private stopLoads(which: (load: { key: K; promise: Promise<V> }) => boolean): void {
    if (this.loads.length > 0) this.loads = this.loads.filter((load) => !which(load));
  }
}
