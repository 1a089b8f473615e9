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

/** The window is cut into so many groups. The lowest sample of each shows the heap's floor. */
const groups = 8;
/** R² of an even growth is above 0.98, that of a step at most 0.83. */
const evenness = 0.95;
/** A leak grows by far more than samples of one group differ. Noise that looks like a line by accident does not. */
const leastSpreads = 3;
const msPerHour = 3_600_000;

const withTimers: Schedule = (callback, ms) => {
  const timer = setTimeout(callback, ms).unref();
  return () => clearTimeout(timer);
};

/** Watches a heap and tells when it leaks: when the floors of a window lie on a rising line. */
export function createLeakMonitor(options: MonitorOptions): LeakMonitor {
  const { intervalMs, windowSize, sample, onAlert, schedule = withTimers } = options;
  const groupSize = Math.floor(windowSize / groups);
  /** What goes on from a start to the next stop. */
  let run: { cancel: () => void } | undefined;

  function start() {
    if (run) return;
    const mine = { cancel: () => {} };
    run = mine;
    const judge = createJudge();
    let interval = 0;

    function tick() {
      // First of all, so that a stop or restart from within `sample` or `onAlert` finds the timer.
      mine.cancel = schedule(tick, intervalMs);
      interval++;
      const bytes = attempt(sample);
      if (run !== mine || bytes === undefined || !Number.isFinite(bytes)) return;
      const alert = judge(bytes, interval);
      if (alert) attempt(() => onAlert(alert));
    }
    mine.cancel = schedule(tick, intervalMs);
  }

  function stop() {
    run?.cancel();
    run = undefined;
  }

  /** Returns a function that takes one sample after the other, and returns an alert when one is due. */
  function createJudge(): (bytes: number, interval: number) => Alert | undefined {
    const window: number[] = [];
    /** In which interval each sample of the window was taken. Those of failed samples are missing. */
    const intervals: number[] = [];
    let isTold = false;
    let samplesSinceGrowth = 0;

    return (bytes, interval) => {
      window.push(bytes);
      intervals.push(interval);
      if (window.length > windowSize) window.shift();
      if (intervals.length > windowSize) intervals.shift();
      if (window.length < windowSize) return undefined;

      const { floors, spread } = measure(window, groupSize);
      const { slope, rSquared } = lineThrough(floors);
      const grows = slope * groups > leastSpreads * spread && rSquared > evenness;
      samplesSinceGrowth = grows ? 0 : samplesSinceGrowth + 1;
      // A pause is in the window for up to one and a half windows.
      if (samplesSinceGrowth > 2 * windowSize) isTold = false;
      if (!grows || isTold) return undefined;
      isTold = true;
      const msPerSample = ((interval - intervals[0]!) / (windowSize - 1)) * intervalMs;
      return { bytesPerHour: (slope / groupSize / msPerSample) * msPerHour, confidence: rSquared };
    };
  }

  return { start, stop };
}

/** The lowest sample of each group, and how far samples of a group are apart. The oldest samples, too few for a group, are left out. */
function measure(window: readonly number[], groupSize: number): { floors: number[]; spread: number } {
  const oldest = window.length - groups * groupSize;
  const sorted = Array.from({ length: groups }, (_, group) => {
    const from = oldest + group * groupSize;
    return window.slice(from, from + groupSize).sort((one, other) => one - other);
  });
  const spreads = sorted.map((sizes) => sizes.at(-1)! - sizes[0]!).sort((one, other) => one - other);
  // Many groups may have a spike, hardly all but one.
  return { floors: sorted.map(([lowest]) => lowest!), spread: spreads[1]! };
}

/** Least squares, with x = 0, 1, 2 and so on. `rSquared` is the share of the variance that the line explains. */
function lineThrough(values: readonly number[]): { slope: number; rSquared: number } {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let [xx, xy, yy] = [0, 0, 0];
  for (const [x, y] of values.entries()) {
    xx += (x - middle) ** 2;
    xy += (x - middle) * (y - mean);
    yy += (y - mean) ** 2;
  }
  return { slope: xy / xx, rSquared: yy === 0 ? 0 : Math.min(1, xy ** 2 / (xx * yy)) };
}

/** What the function returns; undefined if it throws. */
function attempt<Result>(run: () => Result): Result | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
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
