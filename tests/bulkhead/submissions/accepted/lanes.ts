type Work<T> = (signal?: AbortSignal) => T | PromiseLike<T>;

interface BulkheadOptions {
  concurrency: number;
  queueLimit: number;
}

interface RunOptions {
  signal?: AbortSignal;
}

export class BulkheadFullError extends Error {
  override name = 'BulkheadFullError';
}

export class BulkheadClosedError extends Error {
  override name = 'BulkheadClosedError';
}

interface Job {
  perform(): Promise<void>;
  isGone: boolean;
}

/** Up to `concurrency` lanes, each of which performs one job after the other until none is left. */
class Lanes {
  running = 0;
  waiting = 0;
  private jobs: Job[] = [];
  private next = 0;
  private readonly options: BulkheadOptions;

  constructor(options: BulkheadOptions) {
    this.options = options;
  }

  run<T>(fn: Work<T>, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const isFree = this.running < this.options.concurrency;
      if (!isFree && this.waiting >= this.options.queueLimit) {
        reject(new BulkheadFullError(`${this.waiting} calls wait already`));
        return;
      }
      const abort = () => {
        job.isGone = true;
        this.waiting--;
        reject(signal!.reason as Error);
      };
      const job: Job = {
        isGone: false,
        perform: async () => {
          signal?.removeEventListener('abort', abort);
          try {
            resolve(await fn(signal));
          } catch (error) {
            reject(error as Error);
          }
        },
      };
      if (isFree) {
        this.running++;
        void this.lane(job);
        return;
      }
      this.waiting++;
      this.jobs.push(job);
      signal?.addEventListener('abort', abort);
    });
  }

  private async lane(first: Job): Promise<void> {
    for (let job: Job | undefined = first; job; job = this.take()) await job.perform();
    this.running--;
  }

  /** Jobs that are gone stay in the array until they are met. */
  private take(): Job | undefined {
    while (this.next < this.jobs.length) {
      const job = this.jobs[this.next++]!;
      if (this.next > 1000 && this.next * 2 > this.jobs.length) {
        this.jobs = this.jobs.slice(this.next);
        this.next = 0;
      }
      if (job.isGone) continue;
      this.waiting--;
      return job;
    }
    this.jobs = [];
    this.next = 0;
    return undefined;
  }
}

export function createBulkhead(options: BulkheadOptions) {
  const own = new Lanes(options);
  const keyed = new Map<string, Lanes>();
  const open = new Set<Promise<unknown>>();
  let closed = false;

  async function guarded<T>(lanes: () => Lanes, fn: Work<T>, signal?: AbortSignal): Promise<T> {
    if (closed) throw new BulkheadClosedError('draining');
    const result = lanes().run(fn, signal);
    open.add(result);
    try {
      return await result;
    } finally {
      open.delete(result);
    }
  }

  return {
    run: <T>(fn: Work<T>, { signal }: RunOptions = {}) => guarded(() => own, fn, signal),
    stats: () => ({ running: own.running, waiting: own.waiting }),
    for: (key: string) => ({
      run: async <T>(fn: Work<T>, { signal }: RunOptions = {}): Promise<T> => {
        const lanesOfKey = () => {
          const lanes = keyed.get(key) ?? new Lanes(options);
          keyed.set(key, lanes);
          return lanes;
        };
        try {
          return await guarded(lanesOfKey, fn, signal);
        } finally {
          // The lane may notice a moment later that it has nothing left to do.
          setImmediate(() => {
            const lanes = keyed.get(key);
            if (lanes && lanes.running === 0) keyed.delete(key);
          });
        }
      },
      stats: () => ({ running: keyed.get(key)?.running ?? 0, waiting: keyed.get(key)?.waiting ?? 0 }),
    }),
    async drain(): Promise<void> {
      closed = true;
      while (open.size > 0) await Promise.allSettled(open);
    },
  };
}
