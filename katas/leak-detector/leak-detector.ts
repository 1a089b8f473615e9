/** Calls the callback once, after `ms`. What it returns cancels that. */
export type Schedule = (callback: () => void, ms: number) => () => void;

export interface Alert {
  /** How fast the heap grows. */
  bytesPerHour: number;
  /** From 0 to 1. */
  confidence: number;
}

export interface MonitorOptions {
  /** One sample is taken per interval. */
  intervalMs: number;
  /** In samples; 24 or more. */
  windowSize: number;
  /** Bytes in use. */
  sample: () => number;
  onAlert: (alert: Alert) => void;
  /** Default: Node's timers. */
  schedule?: Schedule;
}

export interface LeakMonitor {
  start(): void;
  stop(): void;
}

/** One class of a heap snapshot. */
export interface ClassRow {
  name: string;
  /** Objects. */
  count: number;
  bytes: number;
}

const alertAt = 1.2;
const msPerHour = 3_600_000;

const withTimers: Schedule = (callback, ms) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

/** Watches a heap and tells when it leaks. */
export function createLeakMonitor(options: MonitorOptions): LeakMonitor {
  const { intervalMs, windowSize, sample, onAlert, schedule = withTimers } = options;
  let taken = 0;
  let first = 0;
  let cancel = () => {};

  function check(last: number) {
    if (taken < windowSize) return;
    const growth = last / first;
    if (growth < alertAt) return;
    onAlert({
      bytesPerHour: (last - first) / ((taken * intervalMs) / msPerHour),
      confidence: growth - 1,
    });
  }

  function tick() {
    const bytes = sample();
    if (taken === 0) first = bytes;
    taken++;
    check(bytes);
    cancel = schedule(tick, intervalMs);
  }

  return {
    start() {
      cancel = schedule(tick, intervalMs);
    },
    stop() {
      cancel();
    },
  };
}

/** Names the class that leaks. */
export function growingClass(snapshots: readonly (readonly ClassRow[])[]): string | undefined {
  const before = snapshots[0]!;
  const after = snapshots.at(-1)!;
  let worst: { name: string; growth: number } | undefined;
  for (const row of after) {
    const same = before.find(({ name }) => name === row.name);
    if (!same) continue;
    const growth = row.bytes - same.bytes;
    if (!worst || growth > worst.growth) worst = { name: row.name, growth };
  }
  return worst?.name;
}
