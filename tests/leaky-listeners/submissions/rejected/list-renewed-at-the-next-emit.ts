/*
breaks: [3, 11]
why: The list of receivers is made anew by the next emit, and keeps who has left since the last one.
ask: A topic is quiet from now on. What does its list hold?
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

interface Receiver {
  samples: number[];
  onChange: (summary: Summary) => void;
  total: Summary;
}

interface Group {
  receivers: Set<Receiver>;
  /** The receivers as emit walks them; built anew by the next emit after a change. */
  list: Receiver[];
  changed: boolean;
  listener: (value: number) => void;
}

/** Shows widgets that follow topics of a bus. */
export function createDashboard(bus: EventEmitter, { onError }: DashboardOptions): Dashboard {
  const groups = new Map<string, Group>();
  const live = new Set<Widget>();
  let closed = false;

  function openGroup(topic: string): Group {
    const group: Group = {
      receivers: new Set(),
      list: [],
      changed: false,
      listener(value) {
        if (group.changed) {
          group.list = [...group.receivers];
          group.changed = false;
        }
        for (const receiver of group.list) {
          if (!group.receivers.has(receiver)) continue; // disposed of during this emit
          receiver.samples.push(value);
          receiver.total.count += 1;
          receiver.total.sum += value;
          try {
            receiver.onChange({ ...receiver.total });
          } catch (error) {
            onError(error);
          }
        }
      },
    };
    groups.set(topic, group);
    bus.on(topic, group.listener);
    return group;
  }

  function join(topic: string, receiver: Receiver): () => void {
    const group = groups.get(topic) ?? openGroup(topic);
    group.receivers.add(receiver);
    group.changed = true;
    let joined: Receiver | undefined = receiver;
    return () => {
      if (!joined) return;
      group.receivers.delete(joined);
      group.changed = true;
      joined = undefined;
      if (group.receivers.size > 0) return;
      bus.off(topic, group.listener);
      groups.delete(topic);
      group.list = [];
    };
  }

  function createWidget(total: Summary, leave: () => void, signal: AbortSignal | undefined): Widget {
    const dispose = (): void => {
      leave();
      live.delete(widget);
      signal?.removeEventListener('abort', dispose);
    };
    const widget: Widget = { summary: () => ({ ...total }), dispose, [Symbol.dispose]: dispose };
    live.add(widget);
    signal?.addEventListener('abort', dispose);
    return widget;
  }

  function addWidget({ topic, samples, onChange, signal }: WidgetOptions): Widget {
    if (closed) throw new Error('The dashboard has been disposed of');
    signal?.throwIfAborted();
    const total: Summary = { count: samples.length, sum: samples.reduce((sum, value) => sum + value, 0) };
    return createWidget(total, join(topic, { samples, onChange, total }), signal);
  }

  const dispose = () => {
    closed = true;
    for (const widget of live) widget.dispose();
  };

  return {
    addWidget,
    dispose,
    [Symbol.dispose]: dispose,
    get size() {
      return live.size;
    },
  };
}
