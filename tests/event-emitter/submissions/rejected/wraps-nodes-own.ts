/*
breaks: [1, 5, 9]
why: The class passes every call to an inner emitter of Node's. Listeners see that inner emitter as `this`.
ask: What is `this` in a listener of your class?
*/
import { EventEmitter as Node } from 'node:events';
import type * as Starter from '../../../../katas/event-emitter/event-emitter.ts';

type EventName = Starter.EventName;
type Listener = Starter.Listener;

/** One listener; a function that was added twice has two entries. */
interface Entry {
  readonly listener: Listener;
  readonly once: boolean;
  /** Whether a `once` listener has been called. */
  isSpent: boolean;
}

export class EventEmitter implements Starter.Emitter {
  // A Map has no inherited keys, so every event name is free.
  readonly #entries = new Map<EventName, readonly Entry[]>();
  #capturesRejections: boolean;
  readonly inner: Node;

  constructor({ captureRejections = false }: Starter.EmitterOptions = {}) {
    this.#capturesRejections = captureRejections;
    this.inner = new Node({ captureRejections });
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
    // The decisive line: this array is never changed, only replaced, so changes made by listeners count from the next emit.
    const entries = this.#of(event);
    if (entries.length === 0) {
      if (event === 'error') throw unheard(args[0]);
      return false;
    }
    for (const entry of entries) {
      if (entry.isSpent) continue;
      if (entry.once) {
        // Before the call: the listener may emit its own event, or throw.
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

  #of(event: EventName): readonly Entry[] {
    return this.#entries.get(event) ?? [];
  }

  #add(event: EventName, listener: Listener, once: boolean): this {
    checked(listener);
    this.emit('newListener', event, listener);
    // Read only now: a newListener listener may have added listeners.
    this.#entries.set(event, [...this.#of(event), { listener, once, isSpent: false }]);
    return this;
  }

  #remove(event: EventName, entry: Entry): void {
    const entries = this.#of(event);
    // An earlier listener of the same emit may have removed it.
    if (!entries.includes(entry)) return;
    if (entries.length === 1) this.#entries.delete(event);
    else
      this.#entries.set(
        event,
        entries.filter((one) => one !== entry),
      );
    this.emit('removeListener', event, entry.listener);
  }

  #emitRejection(error: unknown): void {
    // Otherwise an error listener that rejects as well would be called forever.
    this.#capturesRejections = false;
    try {
      this.emit('error', error);
    } finally {
      this.#capturesRejections = true;
    }
  }
}

for (const name of ['on', 'once', 'off', 'emit', 'listenerCount', 'listeners'] as const)
  Object.assign(EventEmitter.prototype, {
    [name](this: EventEmitter, ...args: unknown[]) {
      const answer: unknown = Reflect.apply(this.inner[name], this.inner, args);
      return answer === this.inner ? this : answer;
    },
  });

export const on = ((emitter, event, options) => {
  const signal = options?.signal;
  if (signal?.aborted) throw aborted();
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
  const abort = () => fail(aborted());
  // The only way out, however the iteration ends.
  const end = () => {
    isOver = true;
    emitter.off(event, take).off('error', fail);
    signal?.removeEventListener('abort', abort);
    for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
  };

  // Listens from the call on, not from the first next().
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
  throw new TypeError(`A listener must be a function, not ${String(listener)}.`);
}

function unheard(error: unknown): unknown {
  if (error instanceof Error) return error;
  return Object.assign(new Error(`Unhandled error event: ${String(error)}`), { context: error });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined | null)?.then === 'function';
}

function aborted(): Error {
  return new DOMException('The loop was aborted.', 'AbortError');
}
