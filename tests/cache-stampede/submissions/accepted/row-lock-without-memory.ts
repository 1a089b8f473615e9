import type { Pool, PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import type { CachedLoader, CachedLoaderOptions } from '../../../../katas/cache-stampede/cache-stampede.ts';

type Found<V> = { kind: 'fresh' | 'stale'; value: V | undefined } | { kind: 'none' };

/** Keeps no value in memory. A row of cache_locks is locked by the transaction of whoever loads. */
export function createCachedLoader<V>(options: CachedLoaderOptions<V>): CachedLoader<V> {
  const { pool, ttlMs, staleMs, missingMs, maxKeys, now } = options;
  const underWay = new Map<string, Promise<V | undefined>>();

  async function look(session: Pool | PoolConnection, key: string, lock = ''): Promise<Found<V>> {
    const [[row]] = await session.query<RowDataPacket[]>(
      `SELECT value, loaded_at AS loadedAt FROM cache_entries WHERE cache_key = ? ${lock}`,
      [key],
    );
    if (!row) return { kind: 'none' };
    const age = now() - row.loadedAt;
    if (row.value === null) return age < missingMs ? { kind: 'fresh', value: undefined } : { kind: 'none' };
    const value: V = JSON.parse(row.value);
    if (age < ttlMs) return { kind: 'fresh', value };
    return age < ttlMs + staleMs ? { kind: 'stale', value } : { kind: 'none' };
  }

  async function loadUnderLock(key: string): Promise<V | undefined> {
    const connection = await pool.getConnection();
    try {
      await connection.query('INSERT IGNORE INTO cache_locks (cache_key) VALUES (?)', [key]);
      await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
      await connection.beginTransaction();
      for (;;) {
        try {
          await connection.query('SELECT 1 FROM cache_locks WHERE cache_key = ? FOR UPDATE', [key]);
          break;
        } catch (error) {
          // A lock wait timeout: the other load takes long.
          if ((error as { errno?: number }).errno !== 1205) throw error;
        }
      }
      const found = await look(connection, key);
      if (found.kind === 'fresh') return found.value;
      const value = await options.load(key);
      await connection.query(
        'INSERT INTO cache_entries VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value), loaded_at = VALUES(loaded_at)',
        [key, value === undefined ? null : JSON.stringify(value), now()],
      );
      await connection.commit();
      return value;
    } finally {
      await connection.rollback();
      connection.release();
    }
  }

  async function trim(newest: string): Promise<void> {
    for (;;) {
      const [[row]] = await pool.query<RowDataPacket[]>('SELECT COUNT(*) AS size FROM cache_entries');
      if (row!.size <= maxKeys) return;
      const [{ affectedRows }] = await pool.query<ResultSetHeader>(
        'DELETE FROM cache_entries WHERE cache_key <> ? ORDER BY loaded_at, cache_key LIMIT 1',
        [newest],
      );
      if (affectedRows === 0) return;
    }
  }

  function join(key: string): Promise<V | undefined> {
    let running = underWay.get(key);
    if (!running) {
      running = (async () => {
        try {
          const value = await loadUnderLock(key);
          await trim(key);
          return value;
        } finally {
          underWay.delete(key);
        }
      })();
      underWay.set(key, running);
    }
    return running;
  }

  return {
    get: async (key) => {
      // Whoever comes during a load belongs to it, unless there is an old value.
      const running = underWay.get(key);
      const found = await look(pool, key);
      switch (found.kind) {
        case 'fresh':
          return found.value;
        case 'stale':
          join(key).catch(() => {});
          return found.value;
        case 'none':
          return await (running ?? join(key));
      }
    },
  };
}
