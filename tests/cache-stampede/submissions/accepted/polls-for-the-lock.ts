import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import type { CachedLoaderOptions } from '../../../../katas/cache-stampede/cache-stampede.ts';

interface Slot<V> {
  readonly freshUntil: number;
  readonly goodUntil: number;
  readonly value: V | undefined;
}

const pauseMs = 10;

/** Asks for the lock again and again, and writes down until when a value is good. */
class CachedLoader<V> {
  readonly #options: CachedLoaderOptions<V>;
  readonly #slots = new Map<string, Slot<V>>();
  readonly #flights = new Map<string, Promise<Slot<V>>>();

  constructor(options: CachedLoaderOptions<V>) {
    this.#options = Object.freeze({ ...options });
  }

  async get(key: string): Promise<V | undefined> {
    const now = this.#options.now();
    let slot = this.#slots.get(key);
    if (slot && now < slot.freshUntil) return slot.value;
    if (!slot || now >= slot.goodUntil) {
      const flight = this.#flights.get(key);
      if (flight) return (await flight).value;
      // The lookup is a part of the flight, and tells early what is stale.
      let early!: (slot: Slot<V> | undefined) => void;
      const old = new Promise<Slot<V> | undefined>((resolve) => (early = resolve));
      const begun = this.#fly(key, early);
      begun.catch(() => undefined);
      slot = await old;
      if (slot === undefined) return (await begun).value;
      return slot.value;
    }
    void this.#fly(key).catch(() => undefined);
    return slot.value;
  }

  #fly(key: string, early?: (slot: Slot<V> | undefined) => void): Promise<Slot<V>> {
    const known = this.#flights.get(key);
    if (known) return known;
    const flight = this.#refresh(key, early).then(
      (slot) => {
        this.#flights.delete(key);
        return slot;
      },
      (error: unknown) => {
        this.#flights.delete(key);
        throw error;
      },
    );
    this.#flights.set(key, flight);
    return flight;
  }

  async #refresh(key: string, early?: (slot: Slot<V> | undefined) => void): Promise<Slot<V>> {
    const { pool, now } = this.#options;
    const connection = await pool.getConnection();
    try {
      const name = createHash('sha1').update(key, 'utf8').digest('hex');
      const before = await this.#read(connection, key);
      if (before && now() < before.freshUntil) {
        early?.(before);
        return before;
      }
      early?.(before && now() < before.goodUntil ? before : undefined);
      for (;;) {
        const [rows] = await connection.execute<RowDataPacket[]>('SELECT GET_LOCK(?, 0) AS got', [name]);
        if (rows[0]?.got === 1) break;
        await sleep(pauseMs);
      }
      try {
        const meanwhile = await this.#read(connection, key);
        if (meanwhile && now() < meanwhile.freshUntil) return meanwhile;
        // The age counts from the begin of the load.
        const at = now();
        const value = await this.#options.load(key);
        return await this.#store(connection, key, value, at);
      } finally {
        await connection.execute('SELECT RELEASE_LOCK(?)', [name]);
      }
    } finally {
      connection.release();
    }
  }

  async #read(connection: PoolConnection, key: string): Promise<Slot<V> | undefined> {
    const [rows] = await connection.execute<RowDataPacket[]>(
      'SELECT value, loaded_at FROM cache_entries WHERE cache_key = ?',
      [key],
    );
    const row = rows[0];
    if (!row) return undefined;
    const text = row.value as string | null;
    return this.#keep(key, text === null ? undefined : (JSON.parse(text) as V), Number(row.loaded_at));
  }

  async #store(connection: PoolConnection, key: string, value: V | undefined, at: number): Promise<Slot<V>> {
    await connection.query('REPLACE INTO cache_entries SET cache_key = ?, value = ?, loaded_at = ?', [
      key,
      value === undefined ? null : JSON.stringify(value),
      at,
    ]);
    const [keys] = await connection.query<RowDataPacket[]>(
      'SELECT cache_key FROM cache_entries ORDER BY loaded_at DESC',
    );
    const others = keys.map((row) => row.cache_key as Buffer).filter((other) => !other.equals(Buffer.from(key)));
    const gone = others.slice(this.#options.maxKeys - 1);
    if (gone.length > 0) await connection.query('DELETE FROM cache_entries WHERE cache_key IN (?)', [gone]);
    return this.#keep(key, value, at);
  }

  #keep(key: string, value: V | undefined, at: number): Slot<V> {
    const { ttlMs, staleMs, missingMs, maxKeys } = this.#options;
    const freshUntil = at + (value === undefined ? missingMs : ttlMs);
    const slot = Object.freeze({
      value,
      freshUntil,
      goodUntil: value === undefined ? freshUntil : freshUntil + staleMs,
    });
    if (this.#slots.size >= maxKeys && !this.#slots.has(key)) this.#slots.clear();
    this.#slots.set(key, slot);
    return slot;
  }
}

export function createCachedLoader<V>(options: CachedLoaderOptions<V>): CachedLoader<V> {
  return new CachedLoader(options);
}
