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

interface Line {
  readonly slope: number;
  readonly correlation: number;
}

/** The line through the lowest samples of six groups. */
function lineOf(window: readonly number[]): Line {
  const size = window.length / 6;
  const floors = [0, 1, 2, 3, 4, 5].map((group) =>
    Math.min(...window.slice(Math.floor(group * size), Math.floor((group + 1) * size))),
  );
  const n = floors.length;
  const sum = (of: (value: number, at: number) => number) =>
    floors.reduce((total, value, at) => total + of(value, at), 0);
  const base = floors[0]!;
  const [x, y] = [sum((_, at) => at), sum((value) => value - base)];
  const xy = n * sum((value, at) => at * (value - base)) - x * y;
  const xx = n * sum((_, at) => at * at) - x * x;
  const yy = n * sum((value) => (value - base) ** 2) - y * y;
  return { slope: xy / xx / size, correlation: yy > 0 ? Math.min(1, xy / Math.sqrt(xx * yy)) : 0 };
}

/** A leak must be seen in two windows in a row, with about the same slope. A step can be in one of them only. */
export function createLeakMonitor(options: MonitorOptions): LeakMonitor {
  const { windowSize, intervalMs } = options;
  let timer: { cancel(): void } | undefined;
  let samples: number[] = [];
  /** The numbers of the intervals that the samples were taken in. */
  let times: number[] = [];
  let time = 0;
  let told: 'never' | { samplesAgo: number } = 'never';

  function after(callback: () => void): { cancel(): void } {
    if (options.schedule) return { cancel: options.schedule(callback, intervalMs) };
    const timeout = setTimeout(callback, intervalMs).unref();
    return { cancel: () => clearTimeout(timeout) };
  }

  function leak(): Line | undefined {
    if (samples.length < 2 * windowSize) return undefined;
    const [before, now] = [lineOf(samples.slice(0, windowSize)), lineOf(samples.slice(windowSize))];
    const isStraight = Math.min(before.correlation, now.correlation) > 0.97;
    const ratio = before.slope / now.slope;
    if (!isStraight || ratio < 0.5 || ratio > 2) return undefined;
    return { slope: (before.slope + now.slope) / 2, correlation: now.correlation };
  }

  function learn(size: number): void {
    if (samples.push(size) > 2 * windowSize) samples.shift();
    if (times.push(time) > 2 * windowSize) times.shift();
    const line = leak();
    if (told !== 'never' && ++told.samplesAgo > 3.2 * windowSize) told = 'never';
    if (!line) return;
    const isNews = told === 'never';
    told = { samplesAgo: 0 };
    if (!isNews) return;
    const msPerSample = ((time - times[0]!) / (times.length - 1)) * intervalMs;
    options.onAlert({ bytesPerHour: line.slope * (3_600_000 / msPerSample), confidence: line.correlation });
  }

  function tick(): void {
    const own = (timer = after(tick));
    time++;
    try {
      const size = options.sample();
      if (timer === own && Number.isFinite(size)) learn(size);
    } catch {
      // A sample less.
    }
  }

  return Object.freeze({
    start() {
      if (timer !== undefined) return;
      [samples, times, told] = [[], [], 'never'];
      timer = after(tick);
    },
    stop() {
      timer?.cancel();
      timer = undefined;
    },
  });
}

/** Names the class whose bytes grew from each snapshot to the next, and most in total. */
export function growingClass(snapshots: readonly (readonly ClassRow[])[]): string | undefined {
  const sizes = snapshots.map((rows) => new Map(rows.map(({ name, bytes }) => [name, bytes])));
  const growthOf = (name: string) => {
    const bytes = sizes.map((size) => size.get(name) ?? 0);
    const grewEachTime = bytes.every((size, at) => at === 0 || size > bytes[at - 1]!);
    return grewEachTime ? bytes.at(-1)! - bytes[0]! : 0;
  };
  let most: { name?: string; growth: number } = { growth: 0 };
  for (const name of sizes.at(-1)?.keys() ?? []) {
    if (name.startsWith('(')) continue;
    const growth = growthOf(name);
    if (growth > most.growth) most = { name, growth };
  }
  return most.name;
}
