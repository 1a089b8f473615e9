/*
breaks: [9, 10, 11]
why: Each process has a correct cache of its own, and knows nothing of the others.
ask: How many processes does your shop run?
*/
import type { CachedLoader, CachedLoaderOptions } from '../../../../katas/cache-stampede/cache-stampede.ts';

/** Correct in one process. */
export function createCachedLoader<V>(options: CachedLoaderOptions<V>): CachedLoader<V> {
  const { load, ttlMs, staleMs, missingMs, maxKeys, now } = options;
  const values = new Map<string, { value: V | undefined; freshUntil: number; goodUntil: number }>();
  const loads = new Map<string, Promise<V | undefined>>();

  async function reload(key: string): Promise<V | undefined> {
    try {
      const value = await load(key);
      const freshUntil = now() + (value === undefined ? missingMs : ttlMs);
      values.delete(key);
      values.set(key, { value, freshUntil, goodUntil: freshUntil + (value === undefined ? 0 : staleMs) });
      for (const oldest of values.keys()) if (values.size > maxKeys) values.delete(oldest);
      return value;
    } finally {
      loads.delete(key);
    }
  }

  return {
    async get(key) {
      const known = values.get(key);
      if (known && now() < known.freshUntil) return known.value;
      const loading = loads.get(key) ?? Promise.resolve().then(() => reload(key));
      loads.set(key, loading);
      if (!known || now() >= known.goodUntil) return await loading;
      loading.catch(() => undefined);
      return known.value;
    },
  };
}
