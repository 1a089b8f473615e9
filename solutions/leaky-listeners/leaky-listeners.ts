import type { EventEmitter } from 'node:events';

export interface Summary {
  count: number;
  sum: number;
}

export interface WidgetOptions {
  topic: string;
  samples: number[];
  onChange: (summary: Summary) => void;
  signal?: AbortSignal;
}

export interface Widget extends Disposable {
  summary: () => Summary;
  dispose(): void;
}

export interface Dashboard extends Disposable {
  addWidget(options: WidgetOptions): Widget;
  dispose(): void;
  readonly size: number;
}

export interface DashboardOptions {
  onError: (error: unknown) => void;
}

/** What a widget has until it is disposed of. Everybody reaches it through one field, so that one assignment lets it go. */
interface Open {
  readonly samples: number[];
  readonly onChange: (summary: Summary) => void;
}

class LiveWidget implements Widget {
  readonly #bus: EventEmitter;
  readonly #topic: string;
  readonly #signal: AbortSignal | undefined;
  readonly #onError: (error: unknown) => void;
  readonly #onDispose: (widget: LiveWidget) => void;
  readonly #total: Summary;
  #open: Open | undefined;

  constructor(
    bus: EventEmitter,
    { topic, samples, onChange, signal }: WidgetOptions,
    onError: (error: unknown) => void,
    onDispose: (widget: LiveWidget) => void,
  ) {
    signal?.throwIfAborted();
    this.#bus = bus;
    this.#topic = topic;
    this.#signal = signal;
    this.#onError = onError;
    this.#onDispose = onDispose;
    this.#total = { count: samples.length, sum: samples.reduce((sum, value) => sum + value, 0) };
    this.#open = { samples, onChange };
    bus.on(topic, this.#hear);
    signal?.addEventListener('abort', this.dispose);
  }

  readonly summary = (): Summary => ({ ...this.#total });

  readonly dispose = (): void => {
    if (!this.#open) return;
    this.#open = undefined;
    this.#bus.off(this.#topic, this.#hear);
    this.#signal?.removeEventListener('abort', this.dispose);
    this.#onDispose(this);
  };

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The bus calls it once more when the widget goes during an emit. */
  readonly #hear = (value: number): void => {
    if (!this.#open) return;
    const { samples, onChange } = this.#open;
    samples.push(value);
    this.#total.count += 1;
    this.#total.sum += value;
    try {
      onChange(this.summary());
    } catch (error) {
      this.#onError(error);
    }
  };
}

class LiveDashboard implements Dashboard {
  readonly #bus: EventEmitter;
  readonly #onError: (error: unknown) => void;
  readonly #widgets = new Set<LiveWidget>();
  #isDisposed = false;

  constructor(bus: EventEmitter, onError: (error: unknown) => void) {
    this.#bus = bus;
    this.#onError = onError;
  }

  get size(): number {
    return this.#widgets.size;
  }

  addWidget(options: WidgetOptions): Widget {
    if (this.#isDisposed) throw new Error('The dashboard was disposed of.');
    const widget = new LiveWidget(this.#bus, options, this.#onError, (gone) => this.#widgets.delete(gone));
    this.#widgets.add(widget);
    return widget;
  }

  dispose(): void {
    this.#isDisposed = true;
    for (const widget of this.#widgets) widget.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Shows widgets that follow topics of a bus. */
export function createDashboard(bus: EventEmitter, { onError }: DashboardOptions): Dashboard {
  return new LiveDashboard(bus, onError);
}
