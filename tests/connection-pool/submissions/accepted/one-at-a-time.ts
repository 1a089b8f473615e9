import type { AcquireOptions, ConnectionPool, PoolOptions } from '../../../../katas/connection-pool/connection-pool.ts';

export class AcquireTimeoutError extends Error {
  override readonly name = 'AcquireTimeoutError';
}
export class NotHeldError extends Error {
  override readonly name = 'NotHeldError';
}
export class PoolDrainedError extends Error {
  override readonly name = 'PoolDrainedError';
}

interface Ticket<C> {
  isOver: boolean;
  resolve(connection: C): void;
  reject(error: unknown): void;
}

/** One loop gets connections for whoever waits: it validates and opens them one after the other. A reaper closes idle ones. */
export function createPool<C extends object>(options: PoolOptions<C>): ConnectionPool<C> {
  const { create, validate, reset, destroy, min, max, idleTimeoutMs, acquireTimeoutMs } = options;
  let tickets: Ticket<C>[] = [];
  /** Since when each idle connection is idle, the oldest first. */
  const idleSince = new Map<C, number>();
  const held = new WeakSet<C>();
  const drains: (() => void)[] = [];
  let [open, kept] = [0, 0];
  let isWorking = false;
  let isDraining = false;
  const reaper = setInterval(reap, Math.max(1, Math.floor(idleTimeoutMs / 3))).unref();

  function reap(): void {
    for (const [connection, since] of idleSince) {
      if (kept <= min || Date.now() - since < idleTimeoutMs) return;
      idleSince.delete(connection);
      void close(connection);
    }
  }

  function next(): Ticket<C> | undefined {
    // Those that have given up are passed over when their turn comes.
    tickets = tickets.slice(tickets.findIndex((ticket) => !ticket.isOver)).filter(({ isOver }) => !isOver);
    return tickets[0];
  }

  function put(connection: C): void {
    const ticket = next();
    if (ticket) {
      held.add(connection);
      ticket.resolve(connection);
    } else if (isDraining) void close(connection);
    else idleSince.set(connection, Date.now());
  }

  async function close(connection: C): Promise<void> {
    kept -= 1;
    await Promise.allSettled([destroy(connection)]);
    open -= 1;
    look();
  }

  async function work(): Promise<void> {
    isWorking = true;
    while (next()) {
      const [idle] = idleSince.keys();
      if (idle) {
        idleSince.delete(idle);
        if (await validate(idle).catch(() => false)) put(idle);
        else await close(idle);
      } else if (open < max) {
        open += 1;
        try {
          const connection = await create();
          kept += 1;
          put(connection);
        } catch (error) {
          open -= 1;
          next()?.reject(error);
        }
      } else break;
    }
    isWorking = false;
  }

  function look(): void {
    if (!isWorking) void work().then(endIfDrained);
    endIfDrained();
  }

  function endIfDrained(): void {
    if (!isDraining || open > 0 || next()) return;
    clearInterval(reaper);
    for (const resolve of drains.splice(0)) resolve();
  }

  async function acquire({ signal }: AcquireOptions = {}): Promise<C> {
    if (isDraining) throw new PoolDrainedError('drained');
    if (signal?.aborted) throw signal.reason;
    return await new Promise<C>((resolve, reject) => {
      const end = () => {
        ticket.isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const ticket: Ticket<C> = {
        isOver: false,
        resolve: (connection) => (end(), resolve(connection)),
        reject: (error) => (end(), reject(error), endIfDrained()),
      };
      const abort = () => ticket.reject(signal!.reason);
      const timer = setTimeout(() => ticket.reject(new AcquireTimeoutError('late')), acquireTimeoutMs);
      signal?.addEventListener('abort', abort);
      tickets.push(ticket);
      look();
    });
  }

  function release(connection: C): void {
    if (!held.has(connection)) throw new NotHeldError('not held');
    held.delete(connection);
    void (async () => {
      try {
        await reset(connection);
      } catch {
        return await close(connection);
      }
      put(connection);
      look();
    })();
  }

  return {
    acquire,
    release,
    async using(fn, acquireOptions) {
      const connection = await acquire(acquireOptions);
      let result;
      try {
        result = await fn(connection);
      } catch (error) {
        release(connection);
        throw error;
      }
      release(connection);
      return result;
    },
    drain() {
      isDraining = true;
      for (const connection of idleSince.keys()) void close(connection);
      idleSince.clear();
      return new Promise((resolve) => {
        drains.push(resolve);
        endIfDrained();
      });
    },
  };
}
