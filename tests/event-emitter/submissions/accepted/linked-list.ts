import type {
  Emitter,
  EmitterOptions,
  EventName,
  IteratorOptions,
  Listener,
} from '../../../../katas/event-emitter/event-emitter.ts';

/** A node of a circular list. A node that was removed still points to its former neighbors. */
class Link {
  previous: Link = this;
  next: Link = this;
  isIn = true;
  constructor(
    readonly run?: Listener,
    readonly given?: Listener,
  ) {}

  insertBefore(other: Link) {
    this.previous = other.previous;
    this.next = other;
    this.previous.next = this;
    this.next.previous = this;
  }

  takeOut() {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.isIn = false;
  }

  *[Symbol.iterator]() {
    for (let link = this.next; link !== this; link = link.next) yield link;
  }
}

const rejection = Symbol('rejection');

export class EventEmitter implements Emitter {
  readonly #lists = new Map<EventName, Link>();
  readonly #options: EmitterOptions;
  #isSendingRejection = false;
  #maxListeners = 10;
  #warned = new Set<EventName>();

  constructor(options: EmitterOptions = {}) {
    this.#options = { ...options };
  }

  on(event: EventName, listener: Listener): this {
    return this.#insert(event, new Link(listener, listener));
  }

  once(event: EventName, listener: Listener): this {
    const link: Link = new Link((...args) => {
      if (isDone) return undefined;
      this.#takeOut(event, link);
      isDone = true;
      return listener.apply(this, args);
    }, listener);
    let isDone = false;
    return this.#insert(event, link);
  }

  off(event: EventName, listener: Listener): this {
    const list = this.#list(event);
    for (let link = list.previous; link !== list; link = link.previous)
      if (link.given === listener) {
        this.#takeOut(event, link);
        return this;
      }
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    const isCapturing = this.#options.captureRejections && !this.#isSendingRejection;
    return this.#send(event, args, isCapturing ? this.#captured : undefined);
  }

  listenerCount(event: EventName): number {
    return this.listeners(event).length;
  }

  listeners(event: EventName): Listener[] {
    return Array.from(this.#list(event), ({ given }) => given!);
  }

  setMaxListeners(count: number): this {
    this.#maxListeners = count;
    return this;
  }

  #send(event: EventName, args: unknown[], check?: (answer: unknown) => void): boolean {
    const links = [...this.#list(event)];
    if (links.length === 0 && event === 'error') throw asError(args[0]);
    for (const { run } of links) {
      const answer = run!.apply(this, args);
      if (answer !== undefined) check?.call(this, answer);
    }
    return links.length > 0;
  }

  #captured(answer: unknown) {
    void Promise.resolve(answer)
      .catch((error) => ({ [rejection]: error }))
      .then((settled) => {
        if (typeof settled !== 'object' || settled === null || !(rejection in settled)) return;
        process.nextTick(() => this.#sendRejection(settled[rejection]));
      });
  }

  /** Sends the error without capturing the rejections of its listeners, or of those that they call. */
  #sendRejection(error: unknown) {
    this.#isSendingRejection = true;
    try {
      this.#send('error', [error]);
    } finally {
      this.#isSendingRejection = false;
    }
  }

  #list(event: EventName): Link {
    return this.#lists.get(event) ?? new Link();
  }

  #insert(event: EventName, link: Link): this {
    if (typeof link.given !== 'function') throw new TypeError('no function');
    this.emit('newListener', event, link.given);
    const list = this.#list(event);
    this.#lists.set(event, list);
    link.insertBefore(list);
    const count = this.listenerCount(event);
    if (this.#maxListeners && count > this.#maxListeners && !this.#warned.has(event)) {
      this.#warned.add(event);
      process.emitWarning(`too many listeners of ${String(event)}, ${count}`, 'MaxListenersExceededWarning');
    }
    return this;
  }

  #takeOut(event: EventName, link: Link) {
    if (!link.isIn) return;
    link.takeOut();
    this.emit('removeListener', event, link.given);
  }
}

function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  const wrapped: Error & { context?: unknown } = new Error(`Unhandled error: ${String(error)}`);
  wrapped.context = error;
  return wrapped;
}

/** The iterator's values are promises made in advance: one for each event or each call of next(). */
export function on(
  emitter: Emitter,
  event: EventName,
  { signal }: IteratorOptions = {},
): AsyncIterableIterator<unknown[]> {
  type Slot = PromiseWithResolvers<IteratorResult<unknown[]>>;
  const slots = new Map<number, Slot>();
  let [filled, taken] = [0, 0];
  let isOver = false;
  const slot = (index: number) => {
    if (!slots.has(index)) slots.set(index, Promise.withResolvers());
    return slots.get(index)!;
  };
  const end: IteratorResult<unknown[]> = { value: undefined, done: true };

  const push = (...args: unknown[]) => slot(filled++).resolve({ value: args, done: false });
  const fail = (error: unknown) => {
    const { promise, reject } = slot(filled++);
    promise.catch(() => undefined);
    reject(error);
    stop();
  };
  const abort = () => fail(aborted());
  const stop = () => {
    isOver = true;
    emitter.off(event, push);
    emitter.off('error', fail);
    signal?.removeEventListener('abort', abort);
    while (filled < taken) slot(filled++).resolve(end);
  };

  if (signal?.aborted) throw aborted();
  emitter.on(event, push);
  emitter.on('error', fail);
  signal?.addEventListener('abort', abort);
  return {
    next: async () => {
      if (isOver && taken >= filled) return end;
      const index = taken++;
      try {
        return await slot(index).promise;
      } finally {
        slots.delete(index);
      }
    },
    return: async () => {
      stop();
      return end;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function aborted(): Error {
  return new DOMException('The loop was aborted.', 'AbortError');
}
