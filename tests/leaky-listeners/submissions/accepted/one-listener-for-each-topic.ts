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

interface Member {
  samples: number[];
  onChange: (summary: Summary) => void;
  total: { count: number; sum: number };
}

/** One listener on the bus for each topic that has widgets. */
class Topic {
  readonly members = new Set<Member>();
  readonly bus: EventEmitter;
  readonly name: string;
  readonly onError: (error: unknown) => void;

  constructor(bus: EventEmitter, name: string, onError: (error: unknown) => void) {
    this.bus = bus;
    this.name = name;
    this.onError = onError;
  }

  join(member: Member): void {
    if (this.members.size === 0) this.bus.addListener(this.name, this.tell);
    this.members.add(member);
  }

  leave(member: Member): boolean {
    const wasThere = this.members.delete(member);
    if (wasThere && this.members.size === 0) this.bus.removeListener(this.name, this.tell);
    return wasThere;
  }

  tell = (value: number): void => {
    for (const member of [...this.members].reverse()) {
      if (!this.members.has(member)) continue;
      member.samples.push(value);
      member.total = { count: member.total.count + 1, sum: member.total.sum + value };
      try {
        member.onChange(member.total);
      } catch (error) {
        this.onError(error);
      }
    }
  };
}

export function createDashboard(bus: EventEmitter, { onError }: DashboardOptions): Dashboard {
  const topics = new Map<string, Topic>();
  const open = new Set<() => void>();
  let isOver = false;

  const dashboard = {
    get size() {
      return open.size;
    },
    addWidget({ topic: name, samples, onChange, signal }: WidgetOptions): Widget {
      if (isOver) throw new Error('This dashboard is closed.');
      if (signal?.aborted) throw signal.reason;
      const topic = topics.get(name) ?? new Topic(bus, name, onError);
      topics.set(name, topic);
      let sum = 0;
      for (const sample of samples) sum += sample;
      return join(topic, { samples, onChange, total: { count: samples.length, sum } }, signal);
    },
    dispose() {
      isOver = true;
      for (const close of open) close();
    },
    [Symbol.dispose]() {
      dashboard.dispose();
    },
  };

  function join(topic: Topic, member: Member, signal: AbortSignal | undefined): Widget {
    const close = () => {
      if (!topic.leave(member)) return;
      if (topic.members.size === 0) topics.delete(topic.name);
      open.delete(close);
      signal?.removeEventListener('abort', close);
      member.samples = [];
      member.onChange = () => undefined;
    };
    topic.join(member);
    open.add(close);
    signal?.addEventListener('abort', close, { once: true });
    return { summary: () => member.total, dispose: close, [Symbol.dispose]: close };
  }

  return dashboard;
}
