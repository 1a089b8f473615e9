/*
breaks: [6]
why: A widget that an earlier one disposes of during an emit is not called, but its summary counts the value.
ask: When is the summary of a disposed widget the last one?
*/
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

/** Everything that only a live widget needs is in `active`, the one variable that dispose clears. */
function openWidget(
  bus: EventEmitter,
  onError: (error: unknown) => void,
  live: Set<Widget>,
  options: WidgetOptions,
): Widget {
  // No closure below may mention `options`: it would stay in their shared scope.
  let active: WidgetOptions | undefined = { ...options };
  let count = options.samples.length;
  let sum = options.samples.reduce((total, value) => total + value, 0);

  const summary = (): Summary => ({ count, sum });

  const record = (value: number): void => {
    active?.samples.push(value);
    count += 1;
    sum += value;
  };

  const hear = (value: number): void => {
    record(value);
    if (!active) return; // disposed of by an earlier listener of the same emit
    try {
      active.onChange(summary());
    } catch (error) {
      onError(error);
    }
  };

  const dispose = (): void => {
    if (!active) return;
    const { topic, signal } = active;
    active = undefined;
    live.delete(widget);
    bus.off(topic, hear);
    signal?.removeEventListener('abort', dispose);
  };

  const widget: Widget = { summary, dispose, [Symbol.dispose]: dispose };
  live.add(widget);
  bus.on(options.topic, hear);
  options.signal?.addEventListener('abort', dispose);
  return widget;
}

/** Shows widgets that follow topics of a bus. */
export function createDashboard(bus: EventEmitter, { onError }: DashboardOptions): Dashboard {
  const live = new Set<Widget>();
  let closed = false;

  const dispose = () => {
    closed = true;
    for (const widget of live) widget.dispose();
  };

  return {
    addWidget(options) {
      if (closed) throw new Error('The dashboard has been disposed of');
      options.signal?.throwIfAborted();
      return openWidget(bus, onError, live, options);
    },
    dispose,
    [Symbol.dispose]: dispose,
    get size() {
      return live.size;
    },
  };
}
