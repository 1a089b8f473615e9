import type * as Starter from '../../katas/event-emitter/event-emitter.ts';

type EventName = Starter.EventName;
type Listener = Starter.Listener;

/** One listener as it was added; a function that was added twice has two of them. */
interface Entry {
  readonly listener: Listener;
  readonly once: boolean;
  /** Whether a `once` listener has had its event. */
  isSpent: boolean;
}

export class EventEmitter implements Starter.Emitter {
  // A Map: no name of an event can be one that objects are born with.
  readonly #entries = new Map<EventName, readonly Entry[]>();
  readonly #warned = new Set<EventName>();
  #maxListeners = 10;
  #capturesRejections: boolean;

  constructor({ captureRejections = false }: Starter.EmitterOptions = {}) {
    this.#capturesRejections = captureRejections;
  }

  on(event: EventName, listener: Listener): this {
    return this.#add(event, listener, false);
  }

  once(event: EventName, listener: Listener): this {
    return this.#add(event, listener, true);
  }

  off(event: EventName, listener: Listener): this {
    checked(listener);
    const entry = this.#of(event).findLast((one) => one.listener === listener);
    if (entry) this.#remove(event, entry);
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    // The decisive line: this array is never changed, only replaced, so whoever adds or removes meanwhile changes the next emit.
    const entries = this.#of(event);
    if (entries.length === 0) {
      if (event === 'error') throw unheard(args[0]);
      return false;
    }
    for (const entry of entries) {
      if (entry.isSpent) continue;
      if (entry.once) {
        // Before it is called: it may emit its own event, or throw.
        entry.isSpent = true;
        this.#remove(event, entry);
      }
      const answer: unknown = Reflect.apply(entry.listener, this, args);
      if (this.#capturesRejections && isThenable(answer)) {
        answer.then(undefined, (error) => process.nextTick(() => this.#emitRejection(error)));
      }
    }
    return true;
  }

  listenerCount(event: EventName): number {
    return this.#of(event).length;
  }

  listeners(event: EventName): Listener[] {
    return this.#of(event).map(({ listener }) => listener);
  }

  setMaxListeners(count: number): this {
    this.#maxListeners = count;
    return this;
  }

  #of(event: EventName): readonly Entry[] {
    return this.#entries.get(event) ?? [];
  }

  #add(event: EventName, listener: Listener, once: boolean): this {
    checked(listener);
    this.emit('newListener', event, listener);
    // Only now: whoever heard of it may have added some of his own.
    const entries = [...this.#of(event), { listener, once, isSpent: false }];
    this.#entries.set(event, entries);
    if (this.#maxListeners > 0 && entries.length > this.#maxListeners) this.#warnOf(event, entries.length);
    return this;
  }

  #remove(event: EventName, entry: Entry): void {
    const entries = this.#of(event);
    // It may be gone already, taken away during the emit that calls it.
    if (!entries.includes(entry)) return;
    if (entries.length === 1) this.#entries.delete(event);
    else
      this.#entries.set(
        event,
        entries.filter((one) => one !== entry),
      );
    this.emit('removeListener', event, entry.listener);
  }

  #warnOf(event: EventName, count: number): void {
    if (this.#warned.has(event)) return;
    this.#warned.add(event);
    process.emitWarning(
      `${count} listeners for "${String(event)}", and more than ${this.#maxListeners} look like a leak. setMaxListeners() allows more.`,
      'MaxListenersExceededWarning',
    );
  }

  #emitRejection(error: unknown): void {
    // Otherwise an error listener that rejects, too, is called again and again.
    this.#capturesRejections = false;
    try {
      this.emit('error', error);
    } finally {
      this.#capturesRejections = true;
    }
  }
}

export const on = ((emitter, event, options) => {
  const signal = options?.signal;
  signal?.throwIfAborted();
  const arrived: unknown[][] = [];
  const waiting: PromiseWithResolvers<IteratorResult<unknown[]>>[] = [];
  let failure: { readonly error: unknown } | undefined;
  let isOver = false;

  const take = (...args: unknown[]) => {
    const next = waiting.shift();
    if (next) next.resolve({ value: args, done: false });
    else arrived.push(args);
  };
  const fail = (error: unknown) => {
    const next = waiting.shift();
    if (next) next.reject(error);
    else failure = { error };
    end();
  };
  const abort = () => fail(signal?.reason);
  // The one way out, whoever ends it.
  const end = () => {
    isOver = true;
    emitter.off(event, take).off('error', fail);
    signal?.removeEventListener('abort', abort);
    for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
  };

  // From the call on, and not from the first next().
  emitter.on(event, take).on('error', fail);
  signal?.addEventListener('abort', abort);
  return {
    async next() {
      const value = arrived.shift();
      if (value) return { value, done: false };
      if (failure) {
        const { error } = failure;
        failure = undefined;
        throw error;
      }
      if (isOver) return { value: undefined, done: true };
      const next = Promise.withResolvers<IteratorResult<unknown[]>>();
      waiting.push(next);
      return await next.promise;
    },
    async return() {
      end();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}) satisfies typeof Starter.on;

function checked(listener: Listener): Listener {
  if (typeof listener === 'function') return listener;
  throw new TypeError(`A listener is a function, and ${String(listener)} is none.`);
}

function unheard(error: unknown): unknown {
  if (error instanceof Error) return error;
  return Object.assign(new Error(`An error was emitted, and nobody listens: ${String(error)}`), { context: error });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined | null)?.then === 'function';
}
