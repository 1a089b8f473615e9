/*
breaks: [1, 5, 9]
why: Each call is handed on to an emitter of Node’s inside.
ask: What does a listener of yours see as `this`?
*/
import { EventEmitter as Node } from 'node:events';
import type {
  Emitter,
  EmitterOptions,
  EventName,
  IteratorOptions,
  Listener,
} from '../../../../katas/event-emitter/event-emitter.ts';

/** An emitter around another one. */
export class EventEmitter implements Emitter {
  readonly #inner: Node;

  constructor(options?: EmitterOptions) {
    this.#inner = new Node(options);
  }

  on(event: EventName, listener: Listener): this {
    this.#inner.on(event, listener);
    return this;
  }

  once(event: EventName, listener: Listener): this {
    this.#inner.once(event, listener);
    return this;
  }

  off(event: EventName, listener: Listener): this {
    this.#inner.off(event, listener);
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    return this.#inner.emit(event, ...args);
  }

  listenerCount(event: EventName): number {
    return this.#inner.listenerCount(event);
  }

  listeners(event: EventName): Listener[] {
    return this.#inner.listeners(event) as Listener[];
  }

  setMaxListeners(count: number): this {
    this.#inner.setMaxListeners(count);
    return this;
  }
}

export function on(
  emitter: Emitter,
  event: EventName,
  { signal }: IteratorOptions = {},
): AsyncIterableIterator<unknown[]> {
  signal?.throwIfAborted();
  const events: unknown[][] = [];
  const askers: PromiseWithResolvers<IteratorResult<unknown[]>>[] = [];
  let failure: { error: unknown } | undefined;
  let isOver = false;

  const onEvent = (...args: unknown[]) => {
    const asker = askers.shift();
    if (asker) asker.resolve({ value: args, done: false });
    else events.push(args);
  };
  const onError = (error: unknown) => {
    const asker = askers.shift();
    if (asker) asker.reject(error);
    else failure = { error };
    close();
  };
  const onAbort = () => onError(signal?.reason);
  const close = () => {
    isOver = true;
    emitter.off(event, onEvent);
    emitter.off('error', onError);
    signal?.removeEventListener('abort', onAbort);
    for (const asker of askers.splice(0)) asker.resolve({ value: undefined, done: true });
  };

  emitter.on(event, onEvent);
  emitter.on('error', onError);
  signal?.addEventListener('abort', onAbort);
  return {
    async next() {
      const value = events.shift();
      if (value) return { value, done: false };
      if (failure) {
        const { error } = failure;
        failure = undefined;
        throw error;
      }
      if (isOver) return { value: undefined, done: true };
      const asker = Promise.withResolvers<IteratorResult<unknown[]>>();
      askers.push(asker);
      return asker.promise;
    },
    async return() {
      close();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
