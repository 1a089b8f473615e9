/*
breaks: [5]
why: The class looks like your own, but every method calls the one it copied from Node's class when the module was loaded.
ask: What happens to your library in an environment without node:events?
*/
import { EventEmitter as Node } from 'node:events';
import type {
  Emitter,
  EmitterOptions,
  EventName,
  IteratorOptions,
  Listener,
} from '../../../../katas/event-emitter/event-emitter.ts';

const nodes = { ...Node.prototype };

/** An emitter that calls Node's own methods. */
export class EventEmitter implements Emitter {
  constructor(options?: EmitterOptions) {
    Reflect.apply(Node as unknown as (options?: EmitterOptions) => void, this, [options]);
  }

  on(event: EventName, listener: Listener): this {
    return Reflect.apply(nodes.on, this, [event, listener]);
  }

  once(event: EventName, listener: Listener): this {
    return Reflect.apply(nodes.once, this, [event, listener]);
  }

  off(event: EventName, listener: Listener): this {
    return Reflect.apply(nodes.off, this, [event, listener]);
  }

  /** Node’s once wrapper calls this one. */
  removeListener(event: EventName, listener: Listener): this {
    return this.off(event, listener);
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    return Reflect.apply(nodes.emit, this, [event, ...args]);
  }

  listenerCount(event: EventName): number {
    return Reflect.apply(nodes.listenerCount, this, [event]);
  }

  listeners(event: EventName): Listener[] {
    return Reflect.apply(nodes.listeners, this, [event]);
  }
}

export function on(
  emitter: Emitter,
  event: EventName,
  { signal }: IteratorOptions = {},
): AsyncIterableIterator<unknown[]> {
  if (signal?.aborted) throw aborted();
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
  const onAbort = () => onError(aborted());
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

function aborted(): Error {
  return new DOMException('The loop was aborted.', 'AbortError');
}
