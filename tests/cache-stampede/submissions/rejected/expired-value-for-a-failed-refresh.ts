/*
breaks: [6]
why: When a refresh fails, those who wait for it get the value that was stale when it began, expired or not.
ask: A refresh takes until the old value has expired, and fails. What do those get who came after that?
*/
import type { Pool, PoolConnection, RowDataPacket } from 'mysql2/promise';

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
  value: V | undefined; // undefined: not found
  loadedAt: number;
}

// GET_LOCK belongs to the connection: it ends when the process dies. Names are at most 64 characters, of any case, and
// shared by all databases of the server; so hash the bytes.
const LOCK_NAME = "SHA2(CONCAT(CAST(DATABASE() AS BINARY), '/', ?), 224)";

export function createCachedLoader<V>(options: CachedLoaderOptions<V>): CachedLoader<V> {
  const { pool, load, ttlMs, staleMs, missingMs, maxKeys, now } = options;

  /** Reads that are asked for in this tick, and not yet sent. */
  const reads = new Map<string, Promise<Entry<V> | undefined>>();
  /** Per key, the one load or refresh of this process (it may be waiting for that of another process). */
  const flights = new Map<string, Promise<Entry<V>>>();
  /** The key whose load ended last, for values of the same millisecond. */
  let lastLoaded = '';

  const bytes = (key: string) => Buffer.from(key, 'utf8');
  const age = (entry: Entry<V>) => now() - entry.loadedAt;
  const isFresh = (entry: Entry<V>) => age(entry) < (entry.value === undefined ? missingMs : ttlMs);
  const isUsable = (entry: Entry<V>) => age(entry) < (entry.value === undefined ? missingMs : ttlMs + staleMs);

  async function readRow(db: Pool | PoolConnection, key: string): Promise<Entry<V> | undefined> {
    const [rows] = await db.query<RowDataPacket[]>('SELECT value, loaded_at FROM cache_entries WHERE cache_key = ?', [
      bytes(key),
    ]);
    const row = rows[0];
    if (!row) return undefined;
    return { value: row.value === null ? undefined : (JSON.parse(row.value) as V), loadedAt: Number(row.loaded_at) };
  }

  function read(key: string): Promise<Entry<V> | undefined> {
    let reading = reads.get(key);
    if (!reading) {
      reading = Promise.resolve().then(() => {
        reads.delete(key); // who comes from here on must not get an older answer
        return readRow(pool, key);
      });
      reads.set(key, reading);
    }
    return reading;
  }

  function fly(key: string, refresh: boolean): Promise<Entry<V>> {
    const current = flights.get(key);
    if (current) return current;
    const end = () => {
      if (flights.get(key) === flight) flights.delete(key);
    };
    const flight: Promise<Entry<V>> = run(key, refresh, end).finally(end);
    flight.catch(() => {}); // a refresh may have nobody who waits
    flights.set(key, flight);
    return flight;
  }

  async function run(key: string, refresh: boolean, end: () => void): Promise<Entry<V>> {
    const connection = await pool.getConnection();
    try {
      await lock(connection, key);
      // Another process may have loaded it while we waited.
      const found = await readRow(connection, key);
      if (found && (refresh ? isFresh(found) : isUsable(found))) return found;

      let value: V | undefined;
      try {
        value = await load(key);
      } catch (error) {
        end(); // the next call must not get this error
        if (refresh && found) return found; // better an old price than none
        throw error;
      }
      const entry = { value, loadedAt: now() };
      lastLoaded = key;
      await store(connection, key, entry);
      await prune(connection);
      return entry;
    } finally {
      await unlock(connection, key);
    }
  }

  async function lock(connection: PoolConnection, key: string): Promise<void> {
    for (;;) {
      const [rows] = await connection.query<RowDataPacket[]>(`SELECT GET_LOCK(${LOCK_NAME}, 600) AS got`, [bytes(key)]);
      if (rows[0]!.got === null) throw new Error('GET_LOCK failed');
      if (Number(rows[0]!.got) === 1) return;
    }
  }

  async function unlock(connection: PoolConnection, key: string): Promise<void> {
    try {
      await connection.query(`DO RELEASE_LOCK(${LOCK_NAME})`, [bytes(key)]);
      connection.release();
    } catch {
      connection.destroy(); // this ends the lock, too
    }
  }

  function store(connection: PoolConnection, key: string, { value, loadedAt }: Entry<V>): Promise<void> {
    return write(
      connection,
      `INSERT INTO cache_entries (cache_key, value, loaded_at) VALUES (?, ?, ?)
       ON DUPLICATE KEY UPDATE value = VALUES(value), loaded_at = VALUES(loaded_at)`,
      [bytes(key), value === undefined ? null : JSON.stringify(value), loadedAt],
    );
  }

  async function prune(connection: PoolConnection): Promise<void> {
    const [rows] = await connection.query<RowDataPacket[]>('SELECT COUNT(*) AS n FROM cache_entries');
    if (Number(rows[0]!.n) <= maxKeys) return;
    await write(
      connection,
      `DELETE cache_entries FROM cache_entries JOIN (
         SELECT cache_key FROM cache_entries
         ORDER BY loaded_at DESC, cache_key = ? DESC
         LIMIT ?, 18446744073709551615
       ) AS surplus ON surplus.cache_key = cache_entries.cache_key`,
      [bytes(lastLoaded), maxKeys],
    );
  }

  async function write(connection: PoolConnection, sql: string, values: unknown[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await connection.query(sql, values as never);
        return;
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (attempt === 10 || (errno !== 1213 && errno !== 1205)) throw error; // deadlock, lock wait timeout
      }
    }
  }

  return {
    async get(key) {
      for (;;) {
        let entry = await read(key);
        if (!entry || !isUsable(entry)) {
          entry = await fly(key, false);
        }
        if (!isFresh(entry) && isUsable(entry)) void fly(key, true);
        return entry.value;
      }
    },
  };
}
