import { emitWarning, nextTick } from 'node:process';
import type {
  Emitter,
  EmitterOptions,
  EventName,
  IteratorOptions,
  Listener,
} from '../../../../katas/event-emitter/event-emitter.ts';

interface Subscription {
  event: EventName;
  listener: Listener;
  runs: number;
}

/** Keeps the listeners of all events in one array, in the order in which they were added, and filters it by event. */
export class EventEmitter implements Emitter {
  private all: Subscription[] = [];
  private limit = 10;
  private warned: EventName[] = [];

  constructor(private options: EmitterOptions = {}) {}

  on(event: EventName, listener: Listener) {
    return this.subscribe({ event, listener, runs: Infinity });
  }

  once(event: EventName, listener: Listener) {
    return this.subscribe({ event, listener, runs: 1 });
  }

  off(event: EventName, listener: Listener) {
    if (typeof listener !== 'function') throw new TypeError('off needs the function that on was given');
    for (let i = this.all.length - 1; i >= 0; i--) {
      const one = this.all[i]!;
      if (one.event !== event || one.listener !== listener) continue;
      this.unsubscribe(one);
      break;
    }
    return this;
  }

  emit(event: EventName, ...args: unknown[]) {
    const listening = this.all.filter((one) => one.event === event);
    if (event === 'error' && listening.length === 0) {
      const [error] = args;
      if (error instanceof Error) throw error;
      const wrapped = new Error('unhandled error event') as Error & { context: unknown };
      wrapped.context = error;
      throw wrapped;
    }
    listening.forEach((one) => {
      if (one.runs === 0) return;
      if (one.runs === 1) {
        this.unsubscribe(one);
        one.runs = 0;
      }
      this.watch(one.listener.apply(this, args));
    });
    return listening.length > 0;
  }

  listenerCount(event: EventName) {
    return this.listeners(event).length;
  }

  listeners(event: EventName) {
    return this.all.filter((one) => one.event === event).map((one) => one.listener);
  }

  setMaxListeners(limit: number) {
    this.limit = limit;
    return this;
  }

  private subscribe(subscription: Subscription) {
    const { event, listener } = subscription;
    if (typeof listener !== 'function') throw new TypeError('a listener must be a function');
    this.emit('newListener', event, listener);
    this.all.push(subscription);
    const count = this.listenerCount(event);
    if (count > (this.limit || Infinity) && !this.warned.includes(event)) {
      this.warned.push(event);
      const warning = new Error(`${count} listeners of ${event.toString()}`);
      warning.name = 'MaxListenersExceededWarning';
      emitWarning(warning);
    }
    return this;
  }

  private unsubscribe(subscription: Subscription) {
    const index = this.all.indexOf(subscription);
    if (index < 0) return;
    this.all.splice(index, 1);
    this.emit('removeListener', subscription.event, subscription.listener);
  }

  private watch(result: unknown) {
    if (!this.options.captureRejections || typeof (result as Promise<unknown> | null)?.then !== 'function') return;
    (result as Promise<unknown>).then(undefined, (error) => {
      nextTick(() => {
        this.options = { captureRejections: false };
        try {
          this.emit('error', error);
        } finally {
          this.options = { captureRejections: true };
        }
      });
    });
  }
}

type Item = { args: unknown[] } | { error: unknown } | { end: true };

/** One queue of items, and one promise that is replaced whenever an item arrives. */
export function on(
  emitter: Emitter,
  event: EventName,
  { signal }: IteratorOptions = {},
): AsyncIterableIterator<unknown[]> {
  const items: Item[] = [];
  let news = Promise.withResolvers<void>();
  let turn: Promise<unknown> = Promise.resolve();
  const tell = (item: Item) => {
    items.push(item);
    news.resolve();
    news = Promise.withResolvers();
  };
  const onEvent = (...args: unknown[]) => tell({ args });
  const onError = (error: unknown) => {
    stop();
    tell({ error });
    tell({ end: true });
  };
  const onAbort = () => onError(new DOMException('The loop was aborted', 'AbortError'));
  const stop = () => {
    emitter.off(event, onEvent);
    emitter.off('error', onError);
    signal?.removeEventListener('abort', onAbort);
  };

  if (signal?.aborted) throw new DOMException('The loop was aborted', 'AbortError');
  emitter.on(event, onEvent);
  emitter.on('error', onError);
  signal?.addEventListener('abort', onAbort);

  const take = async (): Promise<IteratorResult<unknown[]>> => {
    while (items.length === 0) await news.promise;
    const item = items[0]!;
    if ('end' in item) return { done: true, value: undefined };
    items.shift();
    if ('error' in item) throw item.error;
    return { done: false, value: item.args };
  };
  return {
    next() {
      const mine = turn.then(take, take);
      turn = mine.catch(() => undefined);
      return mine;
    },
    async return() {
      stop();
      items.length = 0;
      tell({ end: true });
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
