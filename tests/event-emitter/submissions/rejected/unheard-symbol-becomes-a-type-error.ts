/*
breaks: [7]
why: The message of an unheard error is made from its value, which throws a TypeError for a symbol.
ask: What does a template literal do with a symbol?
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

/** What the class has for its users; every call but the three that ask gives back the emitter. */
export interface Emitter {
  on(event: EventName, listener: Listener): this;
  /** As `on`, for one event only. */
  once(event: EventName, listener: Listener): this;
  off(event: EventName, listener: Listener): this;
  /** Calls the listeners of this event. Whether there were any. */
  emit(event: EventName, ...args: unknown[]): boolean;
  listenerCount(event: EventName): number;
  /** Those that were given to `on` and `once`. */
  listeners(event: EventName): Listener[];
  /** How many listeners an event may have before there is a warning. Default 10; 0 for any number. */
  setMaxListeners(count: number): this;
}

interface Registration {
  readonly listener: Listener;
  /** What emit calls; for once a function that takes itself away first. */
  readonly invoke: (args: unknown[]) => unknown;
}

const NONE: readonly Registration[] = [];

function assertFunction(listener: unknown): asserts listener is Listener {
  if (typeof listener !== 'function') {
    throw new TypeError(`The "listener" argument must be of type function, not ${typeof listener}`);
  }
}

export class EventEmitter implements Emitter {
  // The arrays in here are never changed, only replaced.
  readonly #events = new Map<EventName, readonly Registration[]>();
  #maxListeners = 10;
  #captureRejections: boolean;

  constructor(options?: EmitterOptions) {
    this.#captureRejections = Boolean(options?.captureRejections);
  }

  on(event: EventName, listener: Listener): this {
    assertFunction(listener);
    return this.#add(event, { listener, invoke: (args) => listener.apply(this, args) });
  }

  once(event: EventName, listener: Listener): this {
    assertFunction(listener);
    let fired = false;
    const registration: Registration = {
      listener,
      invoke: (args) => {
        if (fired) return undefined;
        fired = true;
        this.#remove(event, registration);
        return listener.apply(this, args);
      },
    };
    return this.#add(event, registration);
  }

  off(event: EventName, listener: Listener): this {
    assertFunction(listener);
    const last = this.#get(event).findLast((registration) => registration.listener === listener);
    if (last) this.#remove(event, last);
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    const registrations = this.#get(event);
    if (registrations.length === 0) {
      if (event === 'error') this.#throwUnhandled(args[0]);
      return false;
    }
    for (const { invoke } of registrations) {
      const result = invoke(args);
      if (this.#captureRejections) this.#capture(result);
    }
    return true;
  }

  listenerCount(event: EventName): number {
    return this.#get(event).length;
  }

  listeners(event: EventName): Listener[] {
    return this.#get(event).map(({ listener }) => listener);
  }

  setMaxListeners(count: number): this {
    if (!(count >= 0)) throw new RangeError('The number of listeners must not be negative');
    this.#maxListeners = count;
    return this;
  }

  #get(event: EventName): readonly Registration[] {
    return this.#events.get(event) ?? NONE;
  }

  #add(event: EventName, registration: Registration): this {
    if (this.#events.has('newListener')) this.emit('newListener', event, registration.listener);
    const registrations = [...this.#get(event), registration];
    this.#events.set(event, registrations);
    // Only the first one above the limit warns.
    if (this.#maxListeners > 0 && registrations.length === this.#maxListeners + 1) {
      process.emitWarning(
        `Possible EventEmitter memory leak detected. ${registrations.length} ${String(event)} listeners added.`,
        'MaxListenersExceededWarning',
      );
    }
    return this;
  }

  #remove(event: EventName, registration: Registration): void {
    const before = this.#get(event);
    const after = before.filter((other) => other !== registration);
    if (after.length === before.length) return;
    if (after.length === 0) this.#events.delete(event);
    else this.#events.set(event, after);
    if (this.#events.has('removeListener')) this.emit('removeListener', event, registration.listener);
  }

  #throwUnhandled(value: unknown): never {
    if (value instanceof Error) throw value;
    const error = new Error(`Unhandled error. (${value as string})`) as Error & { context: unknown };
    error.context = value;
    throw error;
  }

  #capture(result: unknown): void {
    if (result === undefined || result === null) return;
    try {
      const then: unknown = (result as { then?: unknown }).then;
      if (typeof then === 'function') {
        then.call(result, undefined, (reason: unknown) => {
          process.nextTick(() => this.#emitRejection(reason));
        });
      }
    } catch (error) {
      this.emit('error', error);
    }
  }

  #emitRejection(reason: unknown): void {
    const previous = this.#captureRejections;
    this.#captureRejections = false;
    try {
      this.emit('error', reason);
    } finally {
      this.#captureRejections = previous;
    }
  }
}

/** The events of one name, for `for await`: each comes as the array of its arguments. */
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
      // An emit that had already begun when the loop was ended by an error.
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
    const next = waiting.shift();
    if (next) next.reject(error);
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
