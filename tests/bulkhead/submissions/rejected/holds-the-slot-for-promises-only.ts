/*
breaks: [1]
why: What fn returns holds the slot only if it is an instance of Promise. A query builder is a thenable.
ask: What does a query builder return, and when is it done?
*/
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

/** An accepted call that has not begun. A node of the queue's doubly linked list. */
interface Waiter {
  begin: () => void;
  reject: (reason: unknown) => void;
  signal: AbortSignal | undefined;
  previous: Waiter | undefined;
  next: Waiter | undefined;
}

/** Creates a bulkhead with a compartment of its own and one for each key. */
export function createBulkhead(options: BulkheadOptions): Bulkhead {
  const gate = new Gate();
  const own = new Lane(options, gate);
  /** Only keys with accepted calls are in here. */
  const lanes = new Map<string, Lane>();

  return {
    run: (fn, runOptions) => own.run(fn, runOptions),
    stats: () => own.stats(),
    for: (key) => ({
      // A handle knows nothing but its key. The lane is looked up anew for each call.
      run: (fn, runOptions) => {
        const known = lanes.get(key);
        if (known) return known.run(fn, runOptions);
        const lane = new Lane(options, gate, () => lanes.delete(key));
        lanes.set(key, lane);
        const result = lane.run(fn, runOptions);
        lane.forgetIfIdle(); // the call was refused or aborted
        return result;
      },
      stats: () => lanes.get(key)?.stats() ?? { running: 0, waiting: 0 },
    }),
    drain: () => gate.drain(),
  };
}

/** Counts the accepted calls of all lanes. */
class Gate {
  closed = false;
  private accepted = 0;
  private readonly drained = Promise.withResolvers<void>();

  enter(): void {
    this.accepted++;
  }

  leave(): void {
    this.accepted--;
    this.settle();
  }

  drain(): Promise<void> {
    this.closed = true;
    this.settle();
    return this.drained.promise;
  }

  private settle(): void {
    if (this.closed && this.accepted === 0) this.drained.resolve();
  }
}

class Lane {
  private readonly options: BulkheadOptions;
  private readonly gate: Gate;
  private readonly onIdle: () => void;
  private readonly aborts = new AbortHub<Waiter>((waiter) => this.abandon(waiter));
  private first: Waiter | undefined;
  private last: Waiter | undefined;
  private waiting = 0;
  private running = 0;

  constructor(options: BulkheadOptions, gate: Gate, onIdle: () => void = () => {}) {
    this.options = options;
    this.gate = gate;
    this.onIdle = onIdle;
  }

  stats(): Stats {
    return { running: this.running, waiting: this.waiting };
  }

  run<T>(fn: Work<T>, runOptions: { signal?: AbortSignal } = {}): Promise<T> {
    // What throws in here rejects the promise.
    return new Promise<T>((resolve, reject) => {
      const { signal } = runOptions;
      const { concurrency, queueLimit } = this.options;
      if (this.gate.closed) throw new BulkheadClosedError('The bulkhead takes no more calls');
      if (signal?.aborted) throw signal.reason;
      if (this.running + this.waiting >= concurrency + queueLimit)
        throw new BulkheadFullError(`${this.waiting} calls are waiting`);

      this.gate.enter();
      const begin = () => void this.work(fn, signal, resolve, reject);
      this.append({ begin, reject, signal, previous: undefined, next: undefined });
      this.pump();
    });
  }

  forgetIfIdle(): void {
    if (this.running === 0 && this.waiting === 0) this.onIdle();
  }

  /** Begins waiting calls as long as there are slots. Nothing is between the count and the call of `fn`. */
  private pump(): void {
    while (this.first && this.running < this.options.concurrency) {
      const waiter = this.first;
      this.remove(waiter);
      this.running++;
      waiter.begin();
    }
  }

  private async work<T>(
    fn: Work<T>,
    signal: AbortSignal | undefined,
    resolve: (value: T | PromiseLike<T>) => void,
    reject: (reason: unknown) => void,
  ): Promise<void> {
    let settle: () => void;
    try {
      const result = fn(signal);
      if (result instanceof Promise) await result;
      else await Promise.resolve(); // a plain value: the call is over
      settle = () => resolve(result);
    } catch (error) {
      await Promise.resolve(); // a fn that throws at once must not begin the next one within its own stack
      settle = () => reject(error);
    }
    this.running--;
    this.pump();
    this.forgetIfIdle();
    settle();
    this.gate.leave();
  }

  private abandon(waiter: Waiter): void {
    this.remove(waiter);
    waiter.reject(waiter.signal!.reason);
    this.forgetIfIdle();
    this.gate.leave();
  }

  private append(waiter: Waiter): void {
    waiter.previous = this.last;
    if (this.last) this.last.next = waiter;
    else this.first = waiter;
    this.last = waiter;
    this.waiting++;
    if (waiter.signal) this.aborts.add(waiter.signal, waiter);
  }

  private remove(waiter: Waiter): void {
    if (waiter.previous) waiter.previous.next = waiter.next;
    else this.first = waiter.next;
    if (waiter.next) waiter.next.previous = waiter.previous;
    else this.last = waiter.previous;
    waiter.previous = waiter.next = undefined;
    this.waiting--;
    if (waiter.signal) this.aborts.delete(waiter.signal, waiter);
  }
}

/**
 * One listener for each signal, however many calls share it: an EventTarget compares a new listener with each one that it has,
 * which would make 100,000 waiters with one signal quadratic.
 */
class AbortHub<T> {
  private readonly onAbort: (item: T) => void;
  private readonly groups = new Map<AbortSignal, { items: Set<T>; listener: () => void }>();

  constructor(onAbort: (item: T) => void) {
    this.onAbort = onAbort;
  }

  add(signal: AbortSignal, item: T): void {
    let group = this.groups.get(signal);
    if (!group) {
      const items = new Set<T>();
      const listener = () => {
        for (const each of items) this.onAbort(each);
      };
      group = { items, listener };
      this.groups.set(signal, group);
      signal.addEventListener('abort', listener);
    }
    group.items.add(item);
  }

  delete(signal: AbortSignal, item: T): void {
    const group = this.groups.get(signal);
    if (!group?.items.delete(item) || group.items.size > 0) return;
    signal.removeEventListener('abort', group.listener);
    this.groups.delete(signal);
  }
}
