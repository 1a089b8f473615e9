import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import type { CachedLoader, CachedLoaderOptions } from '../../../../katas/cache-stampede/cache-stampede.ts';

type Result<V> = V | undefined;

/** The lock is a row that is inserted and never committed: others wait for it, and a rollback, or the end of the session, frees it. */
async function withRow<T>(connection: PoolConnection, key: string, work: () => Promise<T>): Promise<T> {
  await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
  for (;;) {
    await connection.query('START TRANSACTION');
    try {
      await connection.query('INSERT INTO cache_locks (cache_key) VALUES (?)', [key]);
      break;
    } catch (error) {
      await connection.query('ROLLBACK');
      // Deadlock among those who wait, or a load that takes long.
      if (![1205, 1213].includes((error as { errno: number }).errno)) throw error;
    }
  }
  try {
    return await work();
  } finally {
    await connection.query('ROLLBACK');
  }
}

/** All that is known of one key. Several callers share it. */
abstract class Key<V> {
  static create<V>(name: string, cache: Cache<V>): Key<V> {
    return new (class extends Key<V> {})(name, cache);
  }

  readonly name: string;
  readonly #cache: Cache<V>;
  #loading: Promise<Result<V>> | undefined;
  #looking: Promise<void> | undefined;
  #value: { readonly is: Result<V>; readonly loadedAt: number } | undefined;

  protected constructor(name: string, cache: Cache<V>) {
    this.name = name;
    this.#cache = cache;
  }

  get state(): 'fresh' | 'stale' | 'gone' {
    if (!this.#value) return 'gone';
    const { ttlMs, staleMs, missingMs, now } = this.#cache.options;
    const age = now() - this.#value.loadedAt;
    if (this.#value.is === undefined) return age >= missingMs ? 'gone' : 'fresh';
    return age >= ttlMs + staleMs ? 'gone' : age >= ttlMs ? 'stale' : 'fresh';
  }

  async get(): Promise<Result<V>> {
    if (this.state === 'gone' && !this.#loading)
      await (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)));
    if (this.state === 'fresh') return this.#value?.is;
    const loading = (this.#loading ??= this.#load());
    if (this.state === 'gone') return await loading;
    loading.then(null, () => null);
    return this.#value?.is;
  }

  get isBusy(): boolean {
    return this.#loading !== undefined || this.#looking !== undefined;
  }

  async #look(): Promise<void> {
    const [[row]] = await this.#cache.options.pool.query<RowDataPacket[]>(
      'SELECT value, loaded_at FROM cache_entries WHERE cache_key = ?',
      [this.name],
    );
    if (row) this.#value = { is: row.value === null ? undefined : JSON.parse(row.value), loadedAt: row.loaded_at };
  }

  async #load(): Promise<Result<V>> {
    const { pool, load, now } = this.#cache.options;
    const connection = await pool.getConnection();
    try {
      const isNew = await withRow(connection, this.name, async () => {
        await this.#look();
        if (this.state === 'fresh') return false;
        const is = await load(this.name);
        this.#value = { is, loadedAt: now() };
        // On a session of its own: this one rolls back.
        await pool.query('REPLACE INTO cache_entries VALUES (?)', [
          [this.name, is === undefined ? null : JSON.stringify(is), this.#value.loadedAt],
        ]);
        return true;
      });
      if (isNew) await this.#cache.trim(this);
      return this.#value?.is;
    } finally {
      connection.release();
      this.#loading = undefined;
    }
  }
}

class Cache<V> implements CachedLoader<V> {
  readonly options: CachedLoaderOptions<V>;
  readonly #keys = new Map<string, Key<V>>();

  constructor(options: CachedLoaderOptions<V>) {
    this.options = options;
  }

  get = async (name: string): Promise<Result<V>> => {
    const key = this.#keys.get(name) ?? Key.create(name, this);
    this.#keys.set(name, key);
    try {
      return await key.get();
    } finally {
      for (const [old, { isBusy }] of this.#keys) {
        if (this.#keys.size <= this.options.maxKeys) break;
        if (!isBusy && old !== name) this.#keys.delete(old);
      }
    }
  };

  async trim({ name }: Key<V>): Promise<void> {
    const { pool, maxKeys } = this.options;
    await pool.query(
      'DELETE FROM cache_entries WHERE cache_key <> ? AND cache_key NOT IN (SELECT cache_key FROM (SELECT cache_key FROM cache_entries WHERE cache_key <> ? ORDER BY loaded_at DESC LIMIT ?) AS kept)',
      [name, name, maxKeys - 1],
    );
  }
}

export function createCachedLoader<V>(options: CachedLoaderOptions<V>): CachedLoader<V> {
  return new Cache(options);
}
