import type * as Starter from '../../katas/connection-pool/connection-pool.ts';

type PoolOptions<C extends object> = Starter.PoolOptions<C>;
type AcquireOptions = Starter.AcquireOptions;

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

/** Creates a pool that opens connections when they are needed. */
export function createPool<C extends object>(options: PoolOptions<C>): Starter.ConnectionPool<C> {
  const pool = new Pool(options);
  return {
    acquire: (acquireOptions) => pool.acquire(acquireOptions),
    release: (connection) => pool.release(connection),
    async using(fn, acquireOptions) {
      const connection = await pool.acquire(acquireOptions);
      try {
        return await fn(connection);
      } finally {
        pool.release(connection);
      }
    },
    drain: () => pool.drain(),
  };
}

interface Waiter<C> {
  resolve(connection: C): void;
  reject(error: unknown): void;
}

interface Idle<C> {
  readonly connection: C;
  readonly timer: NodeJS.Timeout;
}

class Pool<C extends object> {
  readonly #options: PoolOptions<C>;
  /** In the order of their calls. Each leaves when it settles, whichever way. */
  readonly #waiters = new Set<Waiter<C>>();
  readonly #idle: Idle<C>[] = [];
  readonly #held = new Set<C>();
  readonly #drained = Promise.withResolvers<void>();
  /** From the call of `create` until `destroy` has settled. */
  #open = 0;
  /** Those of them whose `destroy` runs. */
  #closing = 0;
  /** Creations and validations under way: each one will serve a waiter, or fail. */
  #coming = 0;
  #isDraining = false;

  constructor(options: PoolOptions<C>) {
    this.#options = options;
  }

  acquire({ signal }: AcquireOptions = {}): Promise<C> {
    const { acquireTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#isDraining) return reject(new PoolDrainedError('the pool takes no more callers'));
      if (signal?.aborted) return reject(signal.reason);
      const leave = () => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const waiter: Waiter<C> = {
        resolve(connection) {
          leave();
          resolve(connection);
        },
        reject: (error) => {
          leave();
          reject(error);
          this.#endIfDrained();
        },
      };
      const abort = () => waiter.reject(signal?.reason);
      const late = () => waiter.reject(new AcquireTimeoutError(`no connection within ${acquireTimeoutMs} ms`));
      const timer = setTimeout(late, acquireTimeoutMs);
      signal?.addEventListener('abort', abort);
      this.#waiters.add(waiter);
      this.#serve();
    });
  }

  release(connection: C): void {
    if (!this.#held.delete(connection)) throw new NotHeldError('nobody holds this connection');
    this.#options.reset(connection).then(
      () => this.#handOut(connection),
      () => void this.#close(connection),
    );
  }

  drain(): Promise<void> {
    this.#isDraining = true;
    for (const { connection, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      void this.#close(connection);
    }
    this.#endIfDrained();
    return this.#drained.promise;
  }

  /** Gets a connection under way for each waiter, as long as there is one. */
  #serve(): void {
    while (this.#coming < this.#waiters.size) {
      const idle = this.#idle.pop();
      if (idle) {
        clearTimeout(idle.timer);
        void this.#check(idle.connection);
      } else if (this.#open < this.#options.max) {
        void this.#create();
      } else return;
    }
  }

  async #create(): Promise<void> {
    this.#open += 1;
    this.#coming += 1;
    try {
      const connection = await this.#options.create();
      this.#coming -= 1;
      this.#handOut(connection);
    } catch (error) {
      this.#coming -= 1;
      this.#open -= 1;
      this.#first()?.reject(error);
      this.#serve();
      this.#endIfDrained();
    }
  }

  async #check(connection: C): Promise<void> {
    this.#coming += 1;
    const isAlive = await this.#options.validate(connection).catch(() => false);
    this.#coming -= 1;
    if (isAlive) this.#handOut(connection);
    else await this.#close(connection);
  }

  /** A connection is ready: it goes to whoever waits longest, or has to wait itself. */
  #handOut(connection: C): void {
    const waiter = this.#first();
    if (waiter) {
      this.#held.add(connection);
      waiter.resolve(connection);
    } else if (this.#isDraining) void this.#close(connection);
    else this.#rest(connection);
  }

  #rest(connection: C): void {
    const { idleTimeoutMs, min } = this.#options;
    const timer = setTimeout(() => {
      if (this.#open - this.#closing <= min) return;
      this.#idle.splice(this.#idle.indexOf(idle), 1);
      void this.#close(connection);
    }, idleTimeoutMs).unref();
    const idle = { connection, timer };
    this.#idle.push(idle);
  }

  async #close(connection: C): Promise<void> {
    this.#closing += 1;
    const closed = this.#options.destroy(connection).catch(() => undefined);
    this.#serve();
    await closed;
    this.#closing -= 1;
    this.#open -= 1;
    this.#serve();
    this.#endIfDrained();
  }

  #first(): Waiter<C> | undefined {
    const [first] = this.#waiters;
    return first;
  }

  #endIfDrained(): void {
    if (this.#isDraining && this.#open === 0 && this.#waiters.size === 0) this.#drained.resolve();
  }
}
