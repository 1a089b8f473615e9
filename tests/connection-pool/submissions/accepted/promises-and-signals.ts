import type { AcquireOptions, ConnectionPool, PoolOptions } from '../../../../katas/connection-pool/connection-pool.ts';

function failure(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

/** A semaphore of places, whose permits are given back by whoever closes a connection. */
class Places {
  free: number;

  constructor(count: number) {
    this.free = count;
  }

  take(): boolean {
    if (this.free === 0) return false;
    this.free -= 1;
    return true;
  }
}

/**
 * Every connection is a chain of promises. Each is validated before it is handed out, wherever it comes from; who gets it is
 * decided when it is ready.
 */
export function createPool<C extends object>(options: PoolOptions<C>): ConnectionPool<C> {
  const { max, min, idleTimeoutMs, acquireTimeoutMs } = options;
  const places = new Places(max);
  const waiting = new Map<symbol, PromiseWithResolvers<C>>();
  const resting = new Map<C, NodeJS.Timeout>();
  const owners = new Map<C, symbol>();
  const underWay = new Set<symbol>();
  const end = Promise.withResolvers<void>();
  let closing = 0;
  let isOver = false;

  function look(): void {
    while (underWay.size < waiting.size) {
      const [rested] = [...resting.keys()].slice(-1);
      if (rested) {
        clearTimeout(resting.get(rested));
        resting.delete(rested);
        bring(Promise.resolve(rested));
      } else if (places.take()) {
        bring(
          options.create().catch((error: unknown) => {
            places.free += 1;
            const [first] = waiting.values();
            first?.reject(error);
            return undefined;
          }),
        );
      } else break;
    }
    if (isOver && waiting.size === 0) for (const connection of resting.keys()) void close(connection);
    if (isOver && waiting.size === 0 && places.free === max) end.resolve();
  }

  function bring(source: Promise<C | undefined>): void {
    const mine = Symbol('a connection under way');
    underWay.add(mine);
    void source
      .then(async (connection) => {
        if (connection === undefined) return;
        const isAlive = await options.validate(connection).catch(() => false);
        underWay.delete(mine);
        if (isAlive) offer(connection);
        else void close(connection);
      })
      .finally(() => {
        underWay.delete(mine);
        // Whoever was rejected leaves in a microtask of its own.
        setImmediate(look);
      });
  }

  function offer(connection: C): void {
    const [first] = waiting;
    if (first) {
      const [id, { resolve }] = first;
      waiting.delete(id);
      owners.set(connection, id);
      return resolve(connection);
    }
    const expire = () => {
      if (max - places.free - closing > min) void close(connection);
    };
    resting.set(connection, setTimeout(expire, idleTimeoutMs).unref());
  }

  async function close(connection: C): Promise<void> {
    clearTimeout(resting.get(connection));
    resting.delete(connection);
    closing += 1;
    await options.destroy(connection).catch(() => undefined);
    closing -= 1;
    places.free += 1;
    look();
  }

  async function acquire({ signal }: AcquireOptions = {}): Promise<C> {
    await Promise.resolve();
    if (isOver) throw failure('PoolDrainedError', 'this pool is over');
    const tooLate = new AbortController();
    const timer = setTimeout(() => tooLate.abort(failure('AcquireTimeoutError', 'too late')), acquireTimeoutMs);
    const ends = AbortSignal.any([tooLate.signal, ...(signal ? [signal] : [])]);
    const id = Symbol('a caller');
    const turn = Promise.withResolvers<C>();
    const give = () => turn.reject(ends.reason);
    ends.addEventListener('abort', give);
    if (ends.aborted) give();
    else waiting.set(id, turn);
    look();
    try {
      return await turn.promise;
    } finally {
      waiting.delete(id);
      ends.removeEventListener('abort', give);
      clearTimeout(timer);
      look();
    }
  }

  function release(connection: C): void {
    if (!owners.delete(connection)) throw failure('NotHeldError', 'not yours');
    void options
      .reset(connection)
      .then(() => options.validate(connection))
      .then(
        (isAlive) => (isAlive ? offer(connection) : close(connection)),
        () => close(connection),
      )
      .then(look);
  }

  return Object.freeze({
    acquire,
    release,
    using: async <T>(fn: (connection: C) => T | PromiseLike<T>, how?: AcquireOptions): Promise<T> => {
      const connection = await acquire(how);
      await using _ = { [Symbol.asyncDispose]: async () => release(connection) };
      return await fn(connection);
    },
    drain: async () => {
      isOver = true;
      look();
      await end.promise;
    },
  });
}
