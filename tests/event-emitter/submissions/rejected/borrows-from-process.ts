/*
breaks: [5, 12]
why: Nothing is imported, but process is an emitter of Node’s, and its methods work on any object.
ask: Which other objects of Node would give you these methods?
*/
import type {
  Emitter,
  EmitterOptions,
  EventName,
  IteratorOptions,
  Listener,
} from '../../../../katas/event-emitter/event-emitter.ts';

const nodes = process as unknown as NodeJS.EventEmitter;
const { on: add, once, off, emit, listenerCount, listeners } = nodes;

/** An emitter whose methods come from \`process\`. */
export class EventEmitter implements Emitter {
  constructor(_options?: EmitterOptions) {}

  on(event: EventName, listener: Listener): this {
    return Reflect.apply(add, this, [event, listener]);
  }

  once(event: EventName, listener: Listener): this {
    return Reflect.apply(once, this, [event, listener]);
  }

  off(event: EventName, listener: Listener): this {
    return Reflect.apply(off, this, [event, listener]);
  }

  /** Node’s once wrapper calls this one. */
  removeListener(event: EventName, listener: Listener): this {
    return this.off(event, listener);
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    return Reflect.apply(emit, this, [event, ...args]);
  }

  listenerCount(event: EventName): number {
    return Reflect.apply(listenerCount, this, [event]);
  }

  listeners(event: EventName): Listener[] {
    return Reflect.apply(listeners, this, [event]);
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
