type Work<T> = (signal?: AbortSignal) => T | PromiseLike<T>;

interface BulkheadOptions {
  concurrency: number;
  queueLimit: number;
}

interface RunOptions {
  signal?: AbortSignal;
}

export class BulkheadFullError extends Error {
  constructor(waiting: number) {
    super(`${waiting} calls are waiting`);
    this.name = 'BulkheadFullError';
  }
}

export class BulkheadClosedError extends Error {
  constructor() {
    super('The bulkhead is closed');
    this.name = 'BulkheadClosedError';
  }
}

interface Entry {
  begin(): void;
}

/** Every call goes through the queue; a pump begins what may begin, in a microtask of its own. */
function createCompartment({ concurrency, queueLimit }: BulkheadOptions, onIdle: () => void) {
  const queue = new Set<Entry>();
  // One iterator as long as the queue is not empty: a new one would pass all the deleted places again.
  let entries: Iterator<Entry> | undefined;
  let running = 0;
  let isPumping = false;

  function pump() {
    isPumping = false;
    while (running < concurrency && queue.size > 0) {
      entries ??= queue.values();
      const { value: entry, done } = entries.next();
      if (done) {
        entries = undefined;
        continue;
      }
      queue.delete(entry as Entry);
      running += 1;
      (entry as Entry).begin();
    }
    if (queue.size === 0) entries = undefined;
    if (running === 0) onIdle();
  }

  function wake() {
    if (isPumping) return;
    isPumping = true;
    queueMicrotask(pump);
  }

  return {
    get isIdle() {
      return running === 0 && queue.size === 0;
    },
    stats: () => ({ running, waiting: queue.size }),
    run<T>(fn: Work<T>, { signal }: RunOptions = {}): Promise<T> {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      if (signal?.aborted) reject(signal.reason);
      else if (running + queue.size >= concurrency + queueLimit) reject(new BulkheadFullError(queue.size));
      else {
        const inner = signal && new AbortController();
        let hasBegun = false;
        const onAbort = () => {
          if (hasBegun) {
            inner!.abort(signal!.reason);
            return;
          }
          queue.delete(entry);
          wake();
          reject(signal!.reason);
        };
        const finish = () => {
          signal?.removeEventListener('abort', onAbort);
          running -= 1;
          wake();
        };
        const entry: Entry = {
          begin() {
            hasBegun = true;
            new Promise<T>((settle) => settle(fn(inner?.signal))).then(
              (value) => {
                finish();
                resolve(value);
              },
              (error: unknown) => {
                finish();
                reject(error);
              },
            );
          },
        };
        signal?.addEventListener('abort', onAbort);
        queue.add(entry);
        wake();
      }
      return promise;
    },
  };
}

type Compartment = ReturnType<typeof createCompartment>;

export function createBulkhead(options: BulkheadOptions) {
  const compartments = new Map<string, Compartment>();
  let onDrained: (() => void)[] | undefined;
  const settle = () => {
    if (onDrained === undefined || compartments.size > 0 || !own.isIdle) return;
    for (const tell of onDrained.splice(0)) tell();
  };
  const own = createCompartment(options, settle);

  function compartmentOf(key: string): Compartment {
    const known = compartments.get(key);
    if (known) return known;
    const compartment = createCompartment(options, () => {
      if (compartments.get(key) === compartment) compartments.delete(key);
      settle();
    });
    compartments.set(key, compartment);
    return compartment;
  }

  return {
    run: <T>(fn: Work<T>, runOptions?: RunOptions) =>
      onDrained ? Promise.reject<T>(new BulkheadClosedError()) : own.run(fn, runOptions),
    stats: () => own.stats(),
    for: (key: string) => ({
      run: <T>(fn: Work<T>, runOptions?: RunOptions): Promise<T> => {
        if (onDrained) return Promise.reject<T>(new BulkheadClosedError());
        const result = compartmentOf(key).run(fn, runOptions);
        if (compartmentOf(key).isIdle) compartments.delete(key);
        return result;
      },
      stats: () => compartments.get(key)?.stats() ?? { running: 0, waiting: 0 },
    }),
    drain: () =>
      new Promise<void>((resolve) => {
        onDrained ??= [];
        onDrained.push(resolve);
        settle();
      }),
  };
}
