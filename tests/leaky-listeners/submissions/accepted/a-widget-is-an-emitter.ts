import { EventEmitter } from 'node:events';

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

const samplesOf = new WeakMap<object, number[]>();

/** A widget is an emitter of its own: what hears it is cut off with removeAllListeners, which touches nobody else. */
class OwnWidget extends EventEmitter implements Widget {
  count = 0;
  sum = 0;
  isClosed = false;
  readonly hear = (value: number): void => void this.emit('value', value);
  readonly close = (): void => this.dispose();
  summary = (): Summary => ({ count: this.count, sum: this.sum });

  constructor(samples: number[]) {
    super();
    samplesOf.set(this, samples);
    for (const sample of samples) this.add(sample);
  }

  add(sample: number): void {
    this.count++;
    this.sum += sample;
  }

  dispose(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.removeAllListeners('value');
    samplesOf.delete(this);
    this.emit('closed');
    this.removeAllListeners();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

class OwnDashboard implements Dashboard {
  private widgets: OwnWidget[] | undefined = [];

  constructor(
    private readonly bus: EventEmitter,
    private readonly onError: (error: unknown) => void,
  ) {}

  get size(): number {
    return this.widgets?.length ?? 0;
  }

  addWidget({ topic, samples, onChange, signal }: WidgetOptions): Widget {
    if (!this.widgets) throw new Error('too late');
    signal?.throwIfAborted();
    const widget = new OwnWidget(samples);
    widget.on('value', (value: number) => {
      samples.push(value);
      widget.add(value);
      try {
        onChange(widget.summary());
      } catch (error) {
        this.onError(error);
      }
    });
    this.follow(widget, topic, signal);
    return widget;
  }

  dispose(): void {
    const { widgets = [] } = this;
    for (const widget of widgets.slice()) widget.dispose();
    this.widgets = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private follow(widget: OwnWidget, topic: string, signal: AbortSignal | undefined): void {
    this.bus.on(topic, widget.hear);
    signal?.addEventListener('abort', widget.close);
    this.widgets?.push(widget);
    widget.once('closed', () => {
      this.bus.off(topic, widget.hear);
      signal?.removeEventListener('abort', widget.close);
      this.widgets = this.widgets?.filter((other) => other !== widget);
    });
  }
}

export const createDashboard = (bus: EventEmitter, { onError }: DashboardOptions): Dashboard =>
  new OwnDashboard(bus, onError);
