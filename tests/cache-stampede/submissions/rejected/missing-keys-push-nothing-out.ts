/*
breaks: [12]
why: Only a value that is stored pushes others out of the table. Keys that are not found fill it without end.
ask: What does a crawler do that asks for keys it has made up?
*/
import { createHash } from 'node:crypto';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import type * as Starter from '../../../../katas/cache-stampede/cache-stampede.ts';

interface Entry<V> {
  /** Undefined: the service has nothing for the key. */
  readonly value: V | undefined;
  readonly loadedAt: number;
}

/** GET_LOCK is asked again after so many seconds: a load may take longer. */
const lockWaitSeconds = 60;

export const createCachedLoader = (<V>(options: Starter.CachedLoaderOptions<V>): Starter.CachedLoader<V> => {
  const { pool, load, ttlMs, staleMs, missingMs, maxKeys, now } = options;
  const memory = new Map<string, Entry<V>>();
  const reads = new Map<string, Promise<Entry<V> | undefined>>();
  const loads = new Map<string, Promise<V | undefined>>();

  function stateOf(entry: Entry<V> | undefined): 'fresh' | 'stale' | 'expired' {
    if (!entry) return 'expired';
    const age = now() - entry.loadedAt;
    if (entry.value === undefined) return age < missingMs ? 'fresh' : 'expired';
    if (age < ttlMs) return 'fresh';
    return age < ttlMs + staleMs ? 'stale' : 'expired';
  }

  function remember(key: string, entry: Entry<V>): void {
    memory.delete(key);
    memory.set(key, entry);
    // A Map lists its keys in the order in which they came.
    for (const oldest of memory.keys()) {
      if (memory.size <= maxKeys) break;
      memory.delete(oldest);
    }
  }

  async function read(key: string, session: Pick<PoolConnection, 'query'>): Promise<Entry<V> | undefined> {
    const sql = 'SELECT value, loaded_at FROM cache_entries WHERE cache_key = ?';
    const [[row]] = await session.query<RowDataPacket[]>(sql, [key]);
    if (!row) return undefined;
    const entry = {
      value: row.value === null ? undefined : (JSON.parse(row.value) as V),
      loadedAt: Number(row.loaded_at),
    };
    remember(key, entry);
    return entry;
  }

  async function write(key: string, { value, loadedAt }: Entry<V>, connection: PoolConnection): Promise<void> {
    const text = value === undefined ? null : JSON.stringify(value);
    await connection.query('REPLACE INTO cache_entries (cache_key, value, loaded_at) VALUES (?, ?, ?)', [
      key,
      text,
      loadedAt,
    ]);
    if (value === undefined) return;
    const [[row]] = await connection.query<RowDataPacket[]>('SELECT COUNT(*) AS count FROM cache_entries');
    const excess = Number(row?.count) - maxKeys;
    if (excess > 0)
      await connection.query('DELETE FROM cache_entries WHERE cache_key <> ? ORDER BY loaded_at LIMIT ?', [
        key,
        excess,
      ]);
  }

  /** Runs `work` while no other session, of this process or of another, does so for the same key. */
  async function withLock<T>(key: string, work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    // The name of a lock has 64 characters at most, and upper case equals lower case.
    const name = createHash('sha256').update(key).digest('hex');
    const connection = await pool.getConnection();
    try {
      for (let isMine = false; !isMine;) {
        const [[row]] = await connection.query<RowDataPacket[]>('SELECT GET_LOCK(?, ?) AS isMine', [
          name,
          lockWaitSeconds,
        ]);
        isMine = row?.isMine === 1;
      }
      try {
        return await work(connection);
      } finally {
        // The lock belongs to this session. If it cannot be given back, the session has to end.
        await connection.query('DO RELEASE_LOCK(?)', [name]).catch(() => connection.destroy());
      }
    } finally {
      connection.release();
    }
  }

  async function reload(key: string): Promise<V | undefined> {
    return await withLock(key, async (connection) => {
      // Whoever had the lock before may have loaded the value.
      const known = await read(key, connection);
      if (known && stateOf(known) === 'fresh') return known.value;

      const value = await load(key);
      const entry = { value, loadedAt: now() };
      await write(key, entry, connection);
      remember(key, entry);
      return value;
    });
  }

  return {
    async get(key) {
      let known = memory.get(key);
      if (stateOf(known) === 'expired') {
        const running = loads.get(key);
        if (running) return await running;
        known = await shared(reads, key, () => read(key, pool));
      }
      const state = stateOf(known);
      if (state === 'fresh') return known?.value;

      const loading = shared(loads, key, () => reload(key));
      if (state === 'expired') return await loading;
      // Nobody waits for a refresh. If it fails, the next call tries again.
      loading.catch(() => undefined);
      return known?.value;
    },
  };
}) satisfies typeof Starter.createCachedLoader;

/** Joins what is running for the key, or starts it. */
function shared<T>(running: Map<string, Promise<T>>, key: string, start: () => Promise<T>): Promise<T> {
  const known = running.get(key);
  if (known) return known;
  const started = start().finally(() => running.delete(key));
  running.set(key, started);
  return started;
}
