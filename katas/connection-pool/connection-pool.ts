export interface PoolOptions<C extends object> {
  /** Opens a connection. Rejects when the server refuses it. */
  create: () => Promise<C>;
  /** Resolves to false, or rejects, when the connection is dead. */
  validate: (connection: C) => Promise<boolean>;
  /** Rolls back what a holder left open. */
  reset: (connection: C) => Promise<void>;
  /** Closes a connection. */
  destroy: (connection: C) => Promise<void>;
  /** How many connections the idle timeout leaves open. */
  min: number;
  /** How many connections may be open. */
  max: number;
  /** How long a connection may be idle. */
  idleTimeoutMs: number;
  /** How long a caller waits for a connection. */
  acquireTimeoutMs: number;
}

export interface AcquireOptions {
  signal?: AbortSignal;
}

export interface ConnectionPool<C extends object> {
  acquire(options?: AcquireOptions): Promise<C>;
  release(connection: C): void;
  using<T>(fn: (connection: C) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T>;
  /** Takes no more callers. Resolves when the last connection is closed. */
  drain(): Promise<void>;
}

/** The error of a caller who waited too long. */
export class AcquireTimeoutError extends Error {
  override name = 'AcquireTimeoutError';
}

/** Thrown by `release` for a connection that nobody holds. */
export class NotHeldError extends Error {
  override name = 'NotHeldError';
}

/** The error of a caller who comes after `drain`. */
export class PoolDrainedError extends Error {
  override name = 'PoolDrainedError';
}

interface Idle<C> {
  connection: C;
  timer: NodeJS.Timeout;
}

/** Creates a pool that opens connections when they are needed. */
export function createPool<C extends object>(options: PoolOptions<C>): ConnectionPool<C> {
  const { create, destroy, min, max, idleTimeoutMs, acquireTimeoutMs } = options;
  const idle: Idle<C>[] = [];
  const waiting: ((connection: C) => void)[] = [];
  let size = 0;
  let opening = 0;
  let isDraining = false;

  function give(connection: C): void {
    const next = waiting.shift();
    if (next) return next(connection);
    const timer = setTimeout(() => {
      const at = idle.findIndex((one) => one.connection === connection);
      if (at >= 0 && size > min) void close(idle.splice(at, 1)[0]!);
    }, idleTimeoutMs);
    idle.push({ connection, timer });
  }

  async function close({ connection, timer }: Idle<C>): Promise<void> {
    clearTimeout(timer);
    size -= 1;
    await destroy(connection);
  }

  async function open(): Promise<C> {
    opening += 1;
    const connection = await create();
    opening -= 1;
    size += 1;
    return connection;
  }

  function acquire({ signal }: AcquireOptions = {}): Promise<C> {
    return new Promise((resolve, reject) => {
      if (isDraining) return reject(new PoolDrainedError('the pool is closed'));
      const free = idle.pop();
      if (free) {
        clearTimeout(free.timer);
        return resolve(free.connection);
      }
      setTimeout(() => reject(new AcquireTimeoutError(`no connection in ${acquireTimeoutMs} ms`)), acquireTimeoutMs);
      signal?.addEventListener('abort', () => reject(signal.reason));
      if (size + opening < max) open().then(resolve, reject);
      else waiting.push(resolve);
    });
  }

  function release(connection: C): void {
    give(connection);
  }

  return {
    acquire,
    release,
    async using(fn, acquireOptions) {
      const connection = await acquire(acquireOptions);
      try {
        return await fn(connection);
      } finally {
        release(connection);
      }
    },
    async drain() {
      isDraining = true;
      await Promise.all(idle.splice(0).map(close));
    },
  };
}
