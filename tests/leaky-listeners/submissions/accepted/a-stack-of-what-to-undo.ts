import { type EventEmitter, addAbortListener } from 'node:events';

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

type State = { readonly samples: number[]; readonly onChange: (summary: Summary) => void } | Summary;

const totalOf = (numbers: readonly number[]): Summary => ({
  count: numbers.length,
  sum: numbers.reduce((sum, number) => sum + number, 0),
});

/** The samples are added up whenever somebody asks, and for the last time when the widget goes. A stack knows what has to be undone. */
export function createDashboard(bus: EventEmitter, options: DashboardOptions): Dashboard {
  const report = options.onError;
  const all = new DisposableStack();
  const widgets: Widget[] = [];

  return Object.freeze({
    get size() {
      return widgets.length;
    },
    addWidget(wanted: WidgetOptions): Widget {
      if (all.disposed) throw new ReferenceError('disposed');
      wanted.signal?.throwIfAborted();
      const widget = createWidget(bus, wanted, report, () => {
        widgets.splice(widgets.indexOf(widget), 1);
      });
      if (widgets.length === 0) all.defer(() => widgets.slice().forEach((one) => one.dispose()));
      widgets.push(widget);
      return widget;
    },
    dispose: () => all.dispose(),
    [Symbol.dispose]: () => all[Symbol.dispose](),
  });
}

function createWidget(
  bus: EventEmitter,
  { topic, samples, onChange, signal }: WidgetOptions,
  report: (error: unknown) => void,
  onGone: () => void,
): Widget {
  const cell: { state: State } = { state: { samples, onChange } };
  const stack = new DisposableStack();
  stack.defer(onGone);
  const hear = hearerOf(cell, report);
  bus.on(topic, hear);
  stack.defer(() => bus.off(topic, hear));
  const dispose = disposerOf(cell, stack);
  if (signal) stack.use(addAbortListener(signal, dispose));
  return Object.freeze({ summary: summaryOf(cell), dispose, [Symbol.dispose]: dispose });
}

/** Each is made in a scope of its own, where nothing else is seen. */
const summaryOf = (cell: { state: State }) => () =>
  'samples' in cell.state ? totalOf(cell.state.samples) : { ...cell.state };

const disposerOf = (cell: { state: State }, stack: DisposableStack) => () => {
  if (!('samples' in cell.state)) return;
  cell.state = totalOf(cell.state.samples);
  stack.dispose();
};

const hearerOf = (cell: { state: State }, report: (error: unknown) => void) => (value: number) => {
  const { state } = cell;
  if (!('samples' in state)) return;
  state.samples.push(value);
  try {
    state.onChange(totalOf(state.samples));
  } catch (error) {
    report(error);
  }
};
