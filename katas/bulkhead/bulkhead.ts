/** Work. Its signal aborts when the signal of the call does. */
export type Work<T> = (signal?: AbortSignal) => T | PromiseLike<T>;

export interface BulkheadOptions {
  /** How many calls may be at work at once. */
  concurrency: number;
  /** How many more may wait. */
  queueLimit: number;
}

export interface Stats {
  running: number;
  waiting: number;
}

export interface Compartment {
  run<T>(fn: Work<T>, options?: { signal?: AbortSignal }): Promise<T>;
  stats(): Stats;
}

export interface Bulkhead extends Compartment {
  /** A compartment with the same limits for each key. */
  for(key: string): Compartment;
  /** Takes no more calls. Resolves when the last one has ended. */
  drain(): Promise<void>;
}

/** Thrown when all slots are taken and the queue is full. */
export class BulkheadFullError extends Error {
  override name = 'BulkheadFullError';
}

/** Thrown once `drain` was called. */
export class BulkheadClosedError extends Error {
  override name = 'BulkheadClosedError';
}

/** Creates a bulkhead with a compartment of its own and one for each key. */
export function createBulkhead(options: BulkheadOptions): Bulkhead {
  const own = new Semaphore(options);
  const keyed = new Map<string, Semaphore>();

  return {
    run: (fn, runOptions) => own.run(fn, runOptions),
    stats: () => own.stats(),
    for(key) {
      const known = keyed.get(key);
      if (known) return known;
      const semaphore = new Semaphore(options);
      keyed.set(key, semaphore);
      return semaphore;
    },
    async drain() {
      for (const semaphore of [own, ...keyed.values()]) await semaphore.idle();
    },
  };
}

class Semaphore implements Compartment {
  private readonly options: BulkheadOptions;
  private readonly queue: (() => void)[] = [];
  private running = 0;

  constructor(options: BulkheadOptions) {
    this.options = options;
  }

  stats(): Stats {
    return { running: this.running, waiting: this.queue.length };
  }

  async run<T>(fn: Work<T>, { signal }: { signal?: AbortSignal } = {}): Promise<T> {
    signal?.throwIfAborted();
    if (this.running >= this.options.concurrency) await this.wait();
    this.running++;
    try {
      return await fn(signal);
    } finally {
      this.running--;
      this.queue.shift()?.();
    }
  }

  async idle(): Promise<void> {
    while (this.running > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  private async wait(): Promise<void> {
    if (this.queue.length >= this.options.queueLimit)
      throw new BulkheadFullError(`${this.queue.length} calls are waiting`);
    await new Promise<void>((resolve) => this.queue.push(resolve));
  }
}
