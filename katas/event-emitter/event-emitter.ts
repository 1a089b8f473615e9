export type EventName = string | symbol;
// oxlint-disable-next-line typescript/no-explicit-any -- whoever emits decides what comes
export type Listener = (this: any, ...args: any[]) => unknown;

interface Entry {
  listener: Listener;
  once: boolean;
}

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

/** Hands events to those who listen for them, with the semantics of Node's own. */
export class EventEmitter implements Emitter {
  private readonly options: EmitterOptions;
  private readonly events: Record<EventName, Entry[]> = {};
  private maxListeners = 10;

  constructor(options: EmitterOptions = {}) {
    this.options = options;
  }

  on(event: EventName, listener: Listener): this {
    this.add(event, { listener, once: false });
    const { length } = this.listeners(event);
    if (length > this.maxListeners) {
      process.emitWarning(`${length} listeners for ${String(event)}`, 'MaxListenersExceededWarning');
    }
    this.emit('newListener', event, listener);
    return this;
  }

  once(event: EventName, listener: Listener): this {
    this.add(event, { listener, once: true });
    return this;
  }

  off(event: EventName, listener: Listener): this {
    const entries = this.events[event] ?? [];
    this.events[event] = entries.filter((entry) => entry.listener !== listener);
    return this;
  }

  emit(event: EventName, ...args: unknown[]): boolean {
    const entries = this.events[event];
    if (entries === undefined) return false;
    for (let index = 0; index < entries.length; index++) {
      const { listener, once } = entries[index]!;
      try {
        listener.apply(this, args);
      } catch (error) {
        this.emit('error', error);
      }
      if (once) entries.splice(index, 1);
    }
    return true;
  }

  listenerCount(event: EventName): number {
    return this.listeners(event).length;
  }

  listeners(event: EventName): Listener[] {
    return (this.events[event] ?? []).map(({ listener }) => listener);
  }

  setMaxListeners(count: number): this {
    this.maxListeners = count;
    return this;
  }

  private add(event: EventName, entry: Entry): void {
    this.events[event] ??= [];
    this.events[event].push(entry);
  }
}

/** The events of one name, for `for await`: each comes as the array of its arguments. */
export async function* on(
  emitter: Emitter,
  event: EventName,
  { signal }: IteratorOptions = {},
): AsyncIterableIterator<unknown[]> {
  const arrived: unknown[][] = [];
  let wake = () => {};
  emitter.on(event, (...args) => {
    arrived.push(args);
    wake();
  });
  while (!signal?.aborted) {
    const args = arrived.shift();
    if (args) yield args;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
}
