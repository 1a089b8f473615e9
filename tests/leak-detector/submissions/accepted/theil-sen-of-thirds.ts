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

const msPerHour = 3_600_000;

function median(values: Iterable<number>): number {
  const sorted = Float64Array.from(values).sort();
  const upper = sorted.length >> 1;
  return sorted.length % 2 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

/** Theil and Sen: the median of the slopes of all pairs. */
function slopeOf(sizes: readonly number[]): number {
  const slopes: number[] = [];
  for (let later = 1; later < sizes.length; later++)
    for (let earlier = 0; earlier < later; earlier++)
      slopes.push((sizes[later]! - sizes[earlier]!) / (later - earlier));
  return median(slopes);
}

/** Bytes per sample when each third of the window grows, and by more than the rest moves; otherwise undefined. */
function leakOf(window: readonly number[]): number | undefined {
  const sizes = window.slice(1).map((size, at) => Math.min(size, window[at]!));
  const slope = slopeOf(sizes);
  if (slope <= 0) return undefined;
  const rest = sizes.map((size, at) => size - slope * at);
  const level = median(rest);
  const deviation = median(rest.map((size) => Math.abs(size - level)));
  if (slope * window.length < 20 * deviation) return undefined;
  const cuts = [0, 1, 2, 3].map((third) => Math.round((third * sizes.length) / 3));
  const everyThirdGrows = cuts.slice(1).every((end, third) => slopeOf(sizes.slice(cuts[third], end)) > 0.5 * slope);
  return everyThirdGrows ? slope : undefined;
}

/** Watches a heap and tells when it leaks. Takes its first sample at once. */
export function createLeakMonitor({ intervalMs, windowSize, sample, onAlert, schedule }: MonitorOptions): LeakMonitor {
  const scheduleNext: Schedule =
    schedule ??
    ((callback, ms) => {
      const timer = setTimeout(callback, ms);
      timer.unref();
      return () => clearTimeout(timer);
    });
  let state: { window: number[]; gaps: number[]; gap: number; leakSeenAgo: number; cancel: () => void } | undefined;

  const isCurrent = (some: typeof state) => some !== undefined && some === state;

  function take(): number {
    try {
      return sample();
    } catch {
      return Number.NaN;
    }
  }

  function observe(): void {
    const own = state!;
    const size = take();
    if (!isCurrent(own)) return;
    own.gap++;
    if (Number.isFinite(size)) {
      own.window = [...own.window, size].slice(-windowSize);
      own.gaps = [...own.gaps, own.gap].slice(1 - windowSize);
      own.gap = 0;
      const slope = own.window.length === windowSize ? leakOf(own.window) : undefined;
      const isNew = slope !== undefined && own.leakSeenAgo > 2.5 * windowSize;
      own.leakSeenAgo = slope === undefined ? own.leakSeenAgo + 1 : 0;
      if (isNew) {
        try {
          const gap = own.gaps.reduce((sum, one) => sum + one) / own.gaps.length;
          onAlert({ bytesPerHour: (slope / gap / intervalMs) * msPerHour, confidence: 0.99 });
        } catch {
          // Nothing that the monitor could do about it.
        }
      }
    }
    if (isCurrent(own)) own.cancel = scheduleNext(observe, intervalMs);
  }

  return {
    start() {
      if (state) return;
      state = { window: [], gaps: [], gap: 0, leakSeenAgo: Infinity, cancel: () => {} };
      observe();
    },
    stop() {
      state?.cancel();
      state = undefined;
    },
  };
}

export function growingClass(snapshots: readonly (readonly ClassRow[])[]): string | undefined {
  const growth: Record<string, number> = Object.create(null);
  for (const { name } of snapshots.flat()) if (name[0] !== '(') growth[name] = 0;
  for (let at = 1; at < snapshots.length; at++) {
    const change: Record<string, number> = Object.create(null);
    for (const { name, bytes } of snapshots[at]!) change[name] = (change[name] ?? 0) + bytes;
    for (const { name, bytes } of snapshots[at - 1]!) change[name] = (change[name] ?? 0) - bytes;
    for (const name in growth) {
      if ((change[name] ?? 0) > 0) growth[name]! += change[name]!;
      else delete growth[name];
    }
  }
  const most = Math.max(...Object.values(growth));
  return Object.keys(growth).find((name) => growth[name] === most);
}
