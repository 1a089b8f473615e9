/*
breaks: [6]
why: When fn throws, its slot is freed and the next waiter begins within the same call stack. A long row of waiters whose fn throws overflows the stack, and the rest never begin.
ask: How deep is the stack when the thousandth waiter in a row throws at once?
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

/** Creates a bulkhead with a compartment of its own and one for each key. */
export function createBulkhead(options: BulkheadOptions): Bulkhead {
  const hub = new AbortHub();
  const gate = new Gate();
  const own = new Pool(options, gate, hub, () => {});
  // Holds only the keys that have a call at work or waiting.
  const busy = new Map<string, Pool>();

  return {
    run: (fn, runOptions) => own.run(fn, runOptions),
    stats: () => own.stats(),
    // A handle holds its key and no pool: the pool may be gone and come again between two calls.
    for: (key) => ({
      run(fn, runOptions) {
        let pool = busy.get(key);
        if (!pool) {
          pool = new Pool(options, gate, hub, () => busy.delete(key));
          busy.set(key, pool);
        }
        const result = pool.run(fn, runOptions);
        pool.forgetIfIdle(); // the call may have been refused
        return result;
      },
      stats: () => busy.get(key)?.stats() ?? { running: 0, waiting: 0 },
    }),
    drain: () => gate.close(),
  };
}

/** Counts the accepted calls of all compartments, for drain. */
class Gate {
  closed = false;
  private open = 0;
  private readonly drained: (() => void)[] = [];

  enter(): void {
    this.open++;
  }

  leave(): void {
    this.open--;
    if (this.open === 0) for (const resolve of this.drained.splice(0)) resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return new Promise((resolve) => {
      if (this.open === 0) resolve();
      else this.drained.push(resolve);
    });
  }
}

/** One accepted call. While it waits, it is a node of its pool's queue. */
interface Call {
  readonly fn: Work<any>;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: any) => void;
  readonly reject: (reason: unknown) => void;
  /** What an abort does while the call waits. */
  cancel: () => void;
  prev: Call | undefined;
  next: Call | undefined;
}

/**
 * The slots and the queue of one compartment.
 *
 * All changes of state are synchronous: whenever somebody else can run, either all slots are taken
 * or the queue is empty. So a newcomer can never overtake a waiter, nor take its slot.
 */
class Pool {
  private readonly options: BulkheadOptions;
  private readonly gate: Gate;
  private readonly hub: AbortHub;
  private readonly onIdle: () => void;
  private running = 0;
  private waiting = 0;
  private head: Call | undefined;
  private tail: Call | undefined;

  constructor(options: BulkheadOptions, gate: Gate, hub: AbortHub, onIdle: () => void) {
    this.options = options;
    this.gate = gate;
    this.hub = hub;
    this.onIdle = onIdle;
  }

  stats(): Stats {
    return { running: this.running, waiting: this.waiting };
  }

  run<T>(fn: Work<T>, options?: { signal?: AbortSignal }): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const signal = options?.signal;
      if (this.gate.closed) throw new BulkheadClosedError('The bulkhead takes no more calls');
      if (signal?.aborted) throw signal.reason;
      const free = this.running < this.options.concurrency;
      if (!free && this.waiting >= this.options.queueLimit)
        throw new BulkheadFullError(`${this.waiting} calls are waiting`);

      const call: Call = {
        fn,
        signal,
        resolve,
        reject,
        cancel: () => this.cancel(call),
        prev: undefined,
        next: undefined,
      };
      this.gate.enter();
      if (free) void this.work(call);
      else this.enqueue(call);
    });
  }

  forgetIfIdle(): void {
    if (this.running === 0 && this.waiting === 0) this.onIdle();
  }

  /** Occupies a slot at once, and calls fn at once. Never rejects. */
  private async work({ fn, signal, resolve, reject }: Call): Promise<void> {
    this.running++;
    let settle: () => void;
    try {
      const value = await fn(signal);
      settle = () => resolve(value);
    } catch (error) {
      settle = () => reject(error);
    }
    this.running--;
    this.beginNext();
    this.forgetIfIdle();
    settle();
    this.gate.leave();
  }

  private beginNext(): void {
    while (this.head && this.running < this.options.concurrency) {
      const call = this.head;
      this.dequeue(call);
      if (call.signal?.aborted) {
        // The signal is aborted, but its event has not reached us (yet).
        call.reject(call.signal.reason);
        this.gate.leave();
      } else void this.work(call);
    }
  }

  private cancel(call: Call): void {
    this.dequeue(call);
    this.forgetIfIdle();
    call.reject(call.signal?.reason);
    this.gate.leave();
  }

  private enqueue(call: Call): void {
    call.prev = this.tail;
    if (this.tail) this.tail.next = call;
    else this.head = call;
    this.tail = call;
    this.waiting++;
    if (call.signal) this.hub.add(call.signal, call.cancel);
  }

  private dequeue(call: Call): void {
    if (call.prev) call.prev.next = call.next;
    else this.head = call.next;
    if (call.next) call.next.prev = call.prev;
    else this.tail = call.prev;
    call.prev = call.next = undefined;
    this.waiting--;
    if (call.signal) this.hub.remove(call.signal, call.cancel);
  }
}

/**
 * One listener for each signal, however many calls wait with it: an EventTarget looks through all
 * its listeners at each add and remove, so 100,000 waiters with one signal would cost a square.
 */
class AbortHub {
  private readonly bySignal = new Map<AbortSignal, { cancels: Set<() => void>; listener: () => void }>();

  add(signal: AbortSignal, cancel: () => void): void {
    let entry = this.bySignal.get(signal);
    if (!entry) {
      const cancels = new Set<() => void>();
      // Each cancel removes itself, and the last one the listener. A for-of over a Set bears that.
      entry = {
        cancels,
        listener: () => {
          for (const each of cancels) each();
        },
      };
      this.bySignal.set(signal, entry);
      signal.addEventListener('abort', entry.listener);
    }
    entry.cancels.add(cancel);
  }

  remove(signal: AbortSignal, cancel: () => void): void {
    const entry = this.bySignal.get(signal);
    if (!entry?.cancels.delete(cancel) || entry.cancels.size > 0) return;
    this.bySignal.delete(signal);
    signal.removeEventListener('abort', entry.listener);
  }
}
