/*
breaks: [10, 12]
why: An error rejects every waiting next() instead of only the first one. Also, if a thenable rejects at once, "error" is emitted before emit() has returned.
ask: Two calls of next() are waiting when an error comes. What should each of them get?
*/
export type EventName = string | symbol;
// oxlint-disable-next-line typescript/no-explicit-any -- whoever emits decides what comes
export type Listener = (this: any, ...args: any[]) => unknown;

export interface EmitterOptions {
  captureRejections?: boolean;
}

export interface IteratorOptions {
  signal?: AbortSignal;
}

/** The public methods of the class. The methods that change something return the emitter. */
export interface Emitter {
  on(event: EventName, listener: Listener): this;
  /** Like `on`, but for one event only. */
  once(event: EventName, listener: Listener): this;
  off(event: EventName, listener: Listener): this;
  /** Calls the listeners of this event. Returns whether there were any. */
  emit(event: EventName, ...args: unknown[]): boolean;
  listenerCount(event: EventName): number;
  /** The functions that were passed to `on` and `once`. */
  listeners(event: EventName): Listener[];
  /** The number of listeners an event may have before a warning. The default is 10; 0 means no limit. */
  setMaxListeners(count: number): this;
}

interface Entry {
  listener: Listener;
  once: boolean;
  done: boolean;
}

function validate(listener: unknown): void {
  if (typeof listener !== 'function') throw new TypeError('listener is not a function');
}

export class EventEmitter implements Emitter {
  #entries = new Map<EventName, Entry[]>();
  #warned = new Set<EventName>();
  #max = 10;
  #capturing: boolean;

  constructor({ captureRejections = false }: EmitterOptions = {}) {
    this.#capturing = captureRejections;
  }

  on(event: EventName, listener: Listener): this {
    validate(listener);
    this.#add(event, { listener, once: false, done: false });
    return this;
  }

  once(event: EventName, listener: Listener): this {
    validate(listener);
    this.#add(event, { listener, once: true, done: false });
    return this;
  }

  off(event: EventName, listener: Listener): this {
    validate(listener);
    const index = this.listeners(event).lastIndexOf(listener);
    if (index >= 0) this.#removeAt(event, index);
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    const entries = this.#entries.get(event);
    if (!entries) {
      if (event === 'error') {
        if (args[0] instanceof Error) throw args[0];
        const error: Error & { context?: unknown } = new Error('Unhandled error event');
        error.context = args[0];
        throw error;
      }
      return false;
    }
    for (const entry of entries.slice()) {
      if (entry.once) {
        if (entry.done) continue;
        entry.done = true;
        const index = this.#entries.get(event)?.indexOf(entry) ?? -1;
        if (index >= 0) this.#removeAt(event, index);
      }
      const result: unknown = entry.listener.apply(this, args);
      if (this.#capturing) this.#catch(result);
    }
    return true;
  }

  listenerCount(event: EventName): number {
    return this.#entries.get(event)?.length ?? 0;
  }

  listeners(event: EventName): Listener[] {
    return (this.#entries.get(event) ?? []).map((entry) => entry.listener);
  }

  setMaxListeners(count: number): this {
    if (Number.isNaN(count) || count < 0) throw new RangeError('count must not be negative');
    this.#max = count;
    return this;
  }

  #add(event: EventName, entry: Entry): void {
    if (this.#entries.has('newListener')) this.emit('newListener', event, entry.listener);
    const entries = this.#entries.get(event) ?? [];
    entries.push(entry);
    this.#entries.set(event, entries);
    if (this.#max > 0 && entries.length > this.#max && !this.#warned.has(event)) {
      this.#warned.add(event);
      process.emitWarning(`${entries.length} listeners for ${String(event)}, more than ${this.#max}`, {
        type: 'MaxListenersExceededWarning',
      });
    }
  }

  #removeAt(event: EventName, index: number): void {
    const entries = this.#entries.get(event)!;
    const [{ listener }] = entries.splice(index, 1) as [Entry];
    if (entries.length === 0) {
      this.#entries.delete(event);
      this.#warned.delete(event);
    }
    if (this.#entries.has('removeListener')) this.emit('removeListener', event, listener);
  }

  #catch(result: unknown): void {
    if (result === undefined || result === null) return;
    const thenable = result as Partial<PromiseLike<unknown>>;
    if (typeof thenable.then !== 'function') return;
    thenable.then(undefined, (reason: unknown) => {
      // A rejection of the error listener itself is not captured.
      const capturing = this.#capturing;
      this.#capturing = false;
      try {
        this.emit('error', reason);
      } finally {
        this.#capturing = capturing;
      }
    });
  }
}

/** The events of one name, for `for await`. Each event is the array of its arguments. */
export function on(
  emitter: Emitter,
  event: EventName,
  options: IteratorOptions = {},
): AsyncIterableIterator<unknown[]> {
  const { signal } = options;
  const abortError = () => Object.assign(new Error('The operation was aborted'), { name: 'AbortError' });
  if (signal?.aborted) throw abortError();

  const buffered: unknown[][] = [];
  const waiting: PromiseWithResolvers<IteratorResult<unknown[]>>[] = [];
  let failure: { error: unknown } | null = null;
  let closed = false;

  const onEvent = (...args: unknown[]): void => {
    if (closed) {
      // An emit that was already running when an error ended the loop.
      if (failure) buffered.push(args);
      return;
    }
    const next = waiting.shift();
    if (next) next.resolve({ value: args, done: false });
    else buffered.push(args);
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener('abort', onAbort);
    try {
      if (event !== 'error') emitter.off('error', onError);
    } finally {
      emitter.off(event, onEvent);
      for (const next of waiting.splice(0)) next.resolve({ value: undefined, done: true });
    }
  };
  const onError = (error: unknown): void => {
    if (closed) {
      if (failure) failure = { error };
      return;
    }
    if (waiting.length > 0) for (const next of waiting.splice(0)) next.reject(error);
    else failure = { error };
    close();
  };
  const onAbort = (): void => onError(abortError());

  emitter.on(event, onEvent);
  if (event !== 'error') emitter.on('error', onError);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();

  return {
    next() {
      const args = buffered.shift();
      if (args) return Promise.resolve({ value: args, done: false });
      if (failure) {
        const { error } = failure;
        failure = null;
        return Promise.reject(error);
      }
      if (closed) return Promise.resolve({ value: undefined, done: true });
      const next = Promise.withResolvers<IteratorResult<unknown[]>>();
      waiting.push(next);
      return next.promise;
    },
    return() {
      close();
      return Promise.resolve({ value: undefined, done: true });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
