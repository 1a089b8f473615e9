export type EventName = string | symbol;
// oxlint-disable-next-line typescript/no-explicit-any -- the emitting code decides which arguments there are
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

/** The public methods of the class. */
export interface Emitter {
  on(event: EventName, listener: Listener): this;
  /** Like `on`, but for one event only. */
  once(event: EventName, listener: Listener): this;
  off(event: EventName, listener: Listener): this;
  /** Calls the listeners of this event. Returns whether there were any. */
  emit(event: EventName, ...args: unknown[]): boolean;
  listenerCount(event: EventName): number;
  /** The functions that were passed to `on` and `once`. */
  listeners(event: EventName): Listener[];
}

/** Calls listeners when events are emitted, with the semantics of Node's class. */
export class EventEmitter implements Emitter {
  private readonly options: EmitterOptions;
  private readonly events: Record<EventName, Entry[]> = {};

  constructor(options: EmitterOptions = {}) {
    this.options = options;
  }

  on(event: EventName, listener: Listener): this {
    this.add(event, { listener, once: false });
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

  private add(event: EventName, entry: Entry): void {
    this.events[event] ??= [];
    this.events[event].push(entry);
  }
}

/** Iterates over the events of one name; each event is the array of its arguments. */
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
