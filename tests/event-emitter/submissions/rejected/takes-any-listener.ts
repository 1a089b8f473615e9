/*
breaks: [4]
why: on() accepts anything as a listener. The mistake shows only at the next emit, far from the line that caused it.
ask: A caller passes undefined to on(). Where do you want the stack trace to point?
*/
import type {
  Emitter,
  EmitterOptions,
  EventName,
  IteratorOptions,
  Listener,
} from '../../../../katas/event-emitter/event-emitter.ts';

interface Entry {
  listener: Listener;
  once: boolean;
  spent: boolean;
}

export class EventEmitter implements Emitter {
  private entries = new Map<EventName, Entry[]>();
  private warned = new Set<EventName>();
  private maxListeners = 10;
  private captures: boolean;

  constructor({ captureRejections = false }: EmitterOptions = {}) {
    this.captures = captureRejections;
  }

  on(event: EventName, listener: Listener): this {
    return this.add(event, { listener, once: false, spent: false });
  }

  once(event: EventName, listener: Listener): this {
    return this.add(event, { listener, once: true, spent: false });
  }

  off(event: EventName, listener: Listener): this {
    const entry = this.of(event).findLast((one) => one.listener === listener);
    if (entry) this.remove(event, entry);
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    const entries = [...this.of(event)];
    if (event === 'error' && entries.length === 0) this.throwUnheard(args[0]);
    for (const entry of entries) {
      if (entry.spent) continue;
      if (entry.once) {
        entry.spent = true;
        this.remove(event, entry);
      }
      this.check(entry.listener.apply(this, args));
    }
    return entries.length > 0;
  }

  listenerCount(event: EventName): number {
    return this.of(event).length;
  }

  listeners(event: EventName): Listener[] {
    return this.of(event).map((entry) => entry.listener);
  }

  setMaxListeners(count: number): this {
    this.maxListeners = count;
    return this;
  }

  private of(event: EventName): Entry[] {
    return this.entries.get(event) ?? [];
  }

  private add(event: EventName, entry: Entry): this {
    this.emit('newListener', event, entry.listener);
    const entries = [...this.of(event), entry];
    this.entries.set(event, entries);
    if (this.maxListeners > 0 && entries.length > this.maxListeners && !this.warned.has(event)) {
      this.warned.add(event);
      process.emitWarning(`${entries.length} listeners of ${String(event)}`, 'MaxListenersExceededWarning');
    }
    return this;
  }

  private remove(event: EventName, entry: Entry): void {
    if (!this.of(event).includes(entry)) return;
    this.entries.set(
      event,
      this.of(event).filter((one) => one !== entry),
    );
    this.emit('removeListener', event, entry.listener);
  }

  private throwUnheard(error: unknown): never {
    if (error instanceof Error) throw error;
    throw Object.assign(new Error(`Nobody listens for the error ${String(error)}`), { context: error });
  }

  private check(answer: any): void {
    if (!this.captures || typeof answer?.then !== 'function') return;
    answer.then(undefined, (error: unknown) => process.nextTick(() => this.tellRejection(error)));
  }

  private tellRejection(error: unknown): void {
    this.captures = false;
    try {
      this.emit('error', error);
    } finally {
      this.captures = true;
    }
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
