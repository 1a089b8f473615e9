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

/** Shows widgets that follow topics of a bus. */
export function createDashboard(bus: EventEmitter, _options: DashboardOptions): Dashboard {
  let size = 0;

  function addWidget({ topic, samples, onChange }: WidgetOptions): Widget {
    const summary = () => ({ count: samples.length, sum: samples.reduce((sum, value) => sum + value, 0) });
    bus.on(topic, (value: number) => {
      samples.push(value);
      onChange(summary());
    });
    size += 1;
    const dispose = () => {
      bus.off(topic, onChange);
      size -= 1;
    };
    return { summary, dispose, [Symbol.dispose]: dispose };
  }

  const dispose = () => {
    size = 0;
  };

  return {
    addWidget,
    dispose,
    [Symbol.dispose]: dispose,
    get size() {
      return size;
    },
  };
}
