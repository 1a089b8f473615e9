import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import type { CachedLoader, CachedLoaderOptions } from '../../../../katas/cache-stampede/cache-stampede.ts';

/** A lock is a row that names the session of its owner. Whoever finds one asks the server whether that session lives. */
class SessionLock {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async take(connection: PoolConnection, key: string): Promise<void> {
    for (;;) {
      const [{ affectedRows }] = await connection.query<ResultSetHeader>(
        'INSERT IGNORE INTO cache_locks (cache_key, owner) VALUES (?, CONNECTION_ID())',
        [key],
      );
      if (affectedRows === 1) return;
      const [[lock]] = await connection.query<RowDataPacket[]>('SELECT owner FROM cache_locks WHERE cache_key = ?', [
        key,
      ]);
      const [sessions] = await connection.query<RowDataPacket[]>('SHOW PROCESSLIST');
      if (lock && !sessions.some(({ Id }) => String(Id) === lock.owner))
        await connection.query('DELETE FROM cache_locks WHERE cache_key = ? AND owner = ?', [key, lock.owner]);
      await sleep(5);
    }
  }

  async give(key: string): Promise<void> {
    await this.#pool.query('DELETE FROM cache_locks WHERE cache_key = ?', [key]);
  }
}

type Entry<V> = { value?: V; loadedAt: number };

export const createCachedLoader = <V>(options: CachedLoaderOptions<V>): CachedLoader<V> => {
  const { pool, ttlMs, staleMs, missingMs, maxKeys, now } = options;
  const lock = new SessionLock(pool);
  const copies = new Map<string, Entry<V>>();
  const running = new Map<string, { readonly result: Promise<V | undefined> }>();

  const isFresh = ({ loadedAt, ...rest }: Entry<V>) => now() < loadedAt + ('value' in rest ? ttlMs : missingMs);
  const isUsable = (entry: Entry<V>) =>
    isFresh(entry) || ('value' in entry && now() < entry.loadedAt + ttlMs + staleMs);

  async function fromTable(key: string): Promise<Entry<V> | undefined> {
    const [rows] = await pool.execute<RowDataPacket[]>('SELECT * FROM cache_entries WHERE cache_key = ?', [key]);
    const [row] = rows;
    if (!row) return undefined;
    const loadedAt = Number(row.loaded_at);
    const entry: Entry<V> = row.value === null ? { loadedAt } : { value: JSON.parse(row.value), loadedAt };
    copy(key, entry);
    return entry;
  }

  function copy(key: string, entry: Entry<V>): void {
    copies.set(key, entry);
    while (copies.size > maxKeys) copies.delete([...copies.keys()].find((other) => other !== key)!);
  }

  async function load(key: string): Promise<V | undefined> {
    const connection = await pool.getConnection();
    try {
      await lock.take(connection, key);
      try {
        const entry = await fromTable(key);
        if (entry && isFresh(entry)) return entry.value;
        const value = await options.load(key);
        const loadedAt = now();
        copy(key, value === undefined ? { loadedAt } : { value, loadedAt });
        await pool.execute('REPLACE INTO cache_entries VALUES (?, ?, ?)', [
          key,
          value === undefined ? null : JSON.stringify(value),
          loadedAt,
        ]);
        await trim(key);
        return value;
      } finally {
        await lock.give(key);
      }
    } finally {
      connection.release();
    }
  }

  async function trim(key: string): Promise<void> {
    const [[count]] = await pool.query<RowDataPacket[]>('SELECT COUNT(*) - ? AS tooMany FROM cache_entries', [maxKeys]);
    // Anyone but the newest may go.
    for (let left = Number(count!.tooMany); left > 0; left--)
      await pool.query('DELETE FROM cache_entries WHERE cache_key <> ? ORDER BY RAND() LIMIT 1', [key]);
  }

  function begin(key: string) {
    const result = load(key);
    const flight = { result };
    running.set(key, flight);
    const over = () => {
      if (running.get(key) === flight) running.delete(key);
    };
    result.then(over, over);
    return flight;
  }

  return {
    get(key) {
      const mine = copies.get(key);
      if (mine && isFresh(mine)) return Promise.resolve(mine.value);
      if (mine && isUsable(mine)) {
        (running.get(key) ?? begin(key)).result.catch(() => {});
        return Promise.resolve(mine.value);
      }
      const flight = running.get(key);
      if (flight) return flight.result;
      return fromTable(key).then((entry) => {
        if (entry && isFresh(entry)) return entry.value;
        const { result } = running.get(key) ?? begin(key);
        if (!entry || !isUsable(entry)) return result;
        result.catch(() => {});
        return entry.value;
      });
    },
  };
};
