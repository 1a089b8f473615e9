import type * as Starter from '../../katas/bulkhead/bulkhead.ts';

/** Thrown when all slots are taken and the queue is full. */
export class BulkheadFullError extends Error {
  override name = 'BulkheadFullError';
}

/** Thrown once `drain` was called. */
export class BulkheadClosedError extends Error {
  override name = 'BulkheadClosedError';
}

/** Creates a bulkhead with a compartment of its own and one for each key. */
export function createBulkhead({ concurrency, queueLimit }: Starter.BulkheadOptions): Starter.Bulkhead {
  /** The slots of compartments with calls. Nobody else keeps them: handles look here at each call. */
  const inUse = new Map<string | symbol, Slots>();
  const { promise: drained, resolve: finish } = Promise.withResolvers<void>();
  let isClosed = false;

  function compartment(key: string | symbol): Starter.Compartment {
    return {
      async run(fn, { signal } = {}) {
        if (isClosed) throw new BulkheadClosedError('The bulkhead is drained and takes no more calls.');
        signal?.throwIfAborted();
        const slots = inUse.get(key) ?? new Slots(concurrency, queueLimit);
        if (slots.take()) inUse.set(key, slots);
        else await slots.wait(signal);
        try {
          // The abort may have come after the slot was handed on.
          signal?.throwIfAborted();
          return await fn(signal);
        } finally {
          slots.give();
          if (slots.stats().running === 0) inUse.delete(key);
          if (isClosed && inUse.size === 0) finish();
        }
      },
      stats: () => inUse.get(key)?.stats() ?? { running: 0, waiting: 0 },
    };
  }

  return {
    ...compartment(Symbol('own')),
    for: compartment,
    async drain() {
      isClosed = true;
      if (inUse.size === 0) finish();
      await drained;
    },
  };
}

/** Counts who is at work, and keeps the others in line. A slot that is handed on is never free in between. */
class Slots {
  readonly #concurrency: number;
  readonly #queueLimit: number;
  readonly #queue = new Queue<() => void>();
  #running = 0;

  constructor(concurrency: number, queueLimit: number) {
    this.#concurrency = concurrency;
    this.#queueLimit = queueLimit;
  }

  stats(): Starter.Stats {
    return { running: this.#running, waiting: this.#queue.size };
  }

  take(): boolean {
    if (this.#running === this.#concurrency) return false;
    this.#running += 1;
    return true;
  }

  give(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#running -= 1;
  }

  /** Resolves when a slot was handed on to the caller. @throws BulkheadFullError */
  wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#queue.size >= this.#queueLimit)
      throw new BulkheadFullError(`${this.#running} calls run and ${this.#queue.size} wait; the queue is full.`);
    return new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#queue.remove(place);
        reject(signal!.reason as Error);
      };
      const place = this.#queue.push(() => {
        signal?.removeEventListener('abort', leave);
        resolve();
      });
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
}

interface Place<Item> {
  readonly item: Item;
  previous: Place<Item> | undefined;
  next: Place<Item> | undefined;
}

/** A linked list: whoever leaves from the middle costs no more than whoever leaves from the front. */
class Queue<Item> {
  #first: Place<Item> | undefined;
  #last: Place<Item> | undefined;
  size = 0;

  push(item: Item): Place<Item> {
    const place: Place<Item> = { item, previous: this.#last, next: undefined };
    if (this.#last) this.#last.next = place;
    else this.#first = place;
    this.#last = place;
    this.size += 1;
    return place;
  }

  shift(): Item | undefined {
    const first = this.#first;
    if (first) this.remove(first);
    return first?.item;
  }

  /** Takes out a place that is in the queue. */
  remove({ previous, next }: Place<Item>): void {
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    this.size -= 1;
  }
}

({ createBulkhead, BulkheadFullError, BulkheadClosedError }) satisfies typeof Starter;
