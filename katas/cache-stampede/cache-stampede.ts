import type { Pool } from 'mysql2/promise';

export interface CachedLoaderOptions<V> {
  /** Its database has the tables of `schema.sql`. */
  pool: Pool;
  /** Asks the slow service. Resolves to undefined when it has nothing for the key. */
  load: (key: string) => Promise<V | undefined>;
  /** How long a value is fresh. */
  ttlMs: number;
  /** How long after that the old value may still be returned. */
  staleMs: number;
  /** How long "not found" is fresh. */
  missingMs: number;
  /** How many keys are kept. */
  maxKeys: number;
  /** The time in ms. */
  now: () => number;
}

export interface CachedLoader<V> {
  get(key: string): Promise<V | undefined>;
}

interface Entry<V> {
  value: V | undefined;
  loadedAt: number;
}

export function createCachedLoader<V>({ load, ttlMs, now }: CachedLoaderOptions<V>): CachedLoader<V> {
  const entries: Record<string, Entry<V>> = {};

  return {
    async get(key) {
      const entry = entries[key];
      if (entry && now() - entry.loadedAt < ttlMs) return entry.value;

      const value = await load(key);
      entries[key] = { value, loadedAt: now() };
      return value;
    },
  };
}
