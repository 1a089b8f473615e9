import type { Emitter, EventName, Listener } from '../../../../katas/event-emitter/event-emitter.ts';

/** Every method is created per emitter, and all state is kept in closures. */
export class EventEmitter {
  on: (event: EventName, listener: Listener) => this;
  once: (event: EventName, listener: Listener) => this;
  off: (event: EventName, listener: Listener) => this;
  emit: Emitter['emit'];
  listenerCount: Emitter['listenerCount'];
  listeners: Emitter['listeners'];
  setMaxListeners: (count: number) => this;

  constructor({ captureRejections: captures = false } = {}) {
    const once = new WeakSet<object>();
    const spent = new WeakSet<object>();
    const events = new Map<EventName, { listener: Listener }[]>();
    const warned = new Set<EventName>();
    let limit = 10;
    let isCapturing = captures;

    const add = (event: EventName, listener: Listener, entry: { listener: Listener }) => {
      if (typeof listener !== 'function') throw new TypeError(`${typeof listener} is no function`);
      this.emit('newListener', event, listener);
      if (!events.has(event)) events.set(event, []);
      const entries = events.get(event)!;
      entries.push(entry);
      if (limit !== 0 && entries.length > limit && !warned.has(event)) {
        warned.add(event);
        process.emitWarning(`many listeners: ${entries.length} of ${String(event)}`, 'MaxListenersExceededWarning');
      }
      return this;
    };
    const remove = (event: EventName, entry: { listener: Listener } | undefined) => {
      const entries = events.get(event);
      if (!entries || !entry || !entries.includes(entry)) return;
      entries.splice(entries.indexOf(entry), 1);
      this.emit('removeListener', event, entry.listener);
    };
    const capture = async (answer: unknown) => {
      try {
        await answer;
      } catch (error) {
        setTimeout(() => {
          isCapturing = false;
          try {
            this.emit('error', error);
          } finally {
            isCapturing = captures;
          }
        });
      }
    };

    this.on = (event, listener) => add(event, listener, { listener });
    this.once = (event, listener) => {
      const entry = { listener };
      once.add(entry);
      return add(event, listener, entry);
    };
    this.off = (event, listener) => {
      remove(
        event,
        events.get(event)?.findLast((entry) => entry.listener === listener),
      );
      return this;
    };
    this.emit = (event, ...args) => {
      const entries = [...(events.get(event) ?? [])];
      if (event === 'error' && entries.length === 0) {
        if (args[0] instanceof Error) throw args[0];
        throw Object.assign(new Error('nobody listens for errors'), { context: args[0] });
      }
      for (const entry of entries) {
        if (spent.has(entry)) continue;
        if (once.has(entry)) {
          spent.add(entry);
          remove(event, entry);
        }
        const answer = entry.listener.call(this, ...args);
        if (isCapturing) void capture(answer);
      }
      return entries.length > 0;
    };
    this.listenerCount = (event) => events.get(event)?.length ?? 0;
    this.listeners = (event) => (events.get(event) ?? []).map(({ listener }) => listener);
    this.setMaxListeners = (count) => {
      limit = count;
      return this;
    };
  }
}

/** A generator does the work. It is started before the first next(), so that its `finally` always runs. */
export function on(emitter: Emitter, event: EventName, { signal }: { signal?: AbortSignal } = {}) {
  if (signal?.aborted) throw aborted();
  const queue: unknown[][] = [];
  let failure: { error: unknown } | undefined;
  let isClosed = false;
  let wake = () => {};
  const stack = new DisposableStack();
  const close = () => {
    isClosed = true;
    stack.dispose();
    wake();
  };
  const fail = (error: unknown) => {
    failure = { error };
    close();
  };
  const listen = (name: EventName, listener: Listener) => {
    emitter.on(name, listener);
    stack.defer(() => emitter.off(name, listener));
  };
  listen(event, (...args) => {
    queue.push(args);
    wake();
  });
  listen('error', fail);
  if (signal) {
    const abort = () => fail(aborted());
    signal.addEventListener('abort', abort);
    stack.defer(() => signal.removeEventListener('abort', abort));
  }

  async function* read(): AsyncGenerator<unknown[], undefined> {
    for (;;) {
      const args = queue.shift();
      if (args) yield args;
      else if (failure) throw failure.error;
      else if (isClosed) return undefined;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const reader = read();
  return {
    // A generator queues concurrent calls of next() by itself.
    next: () => reader.next(),
    async return() {
      close();
      return await reader.return(undefined);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  } as AsyncIterableIterator<unknown[]>;
}

function aborted(): Error {
  return new DOMException('The loop was aborted.', 'AbortError');
}
