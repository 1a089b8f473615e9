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

const parts = 12;

/** What the heap does after its garbage has been collected, part by part of the window. */
function lows(window: readonly number[]): number[] {
  return Array.from({ length: parts }, (_, part) =>
    window
      .slice(Math.round((part * window.length) / parts), Math.round(((part + 1) * window.length) / parts))
      .reduce((low, size) => Math.min(low, size)),
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function squares(values: readonly number[]): number {
  const level = mean(values);
  return values.reduce((sum, value) => sum + (value - level) ** 2, 0);
}

interface Trend {
  /** Bytes per part of the window. */
  readonly slope: number;
  readonly explained: number;
}

/** Compares two stories about the same points: a line, and one step. The better one is told. */
function trendOf(window: readonly number[]): Trend | undefined {
  const points = lows(window);
  const total = squares(points);
  if (total === 0) return undefined;
  const middle = (parts - 1) / 2;
  const level = mean(points);
  const covariance = points.reduce((sum, point, at) => sum + (at - middle) * (point - level), 0);
  const slope = covariance / ((parts * (parts ** 2 - 1)) / 12);
  const leftByLine = Math.max(0, total - slope * covariance);
  const leftByStep = Math.min(
    ...points.slice(1).map((_, at) => squares(points.slice(0, at + 1)) + squares(points.slice(at + 1))),
  );
  const explained = 1 - leftByLine / total;
  return slope > 0 && explained > 0.95 && leftByLine < 0.4 * leftByStep ? { slope, explained } : undefined;
}

/** Takes one size after the other and yields the trend when it is news. */
function* detector(windowSize: number): Generator<Trend | undefined, never, number> {
  const window: number[] = [];
  let [quiet, isKnown] = [0, false];
  for (let news: Trend | undefined; ;) {
    window.push(yield news);
    news = undefined;
    if (window.length < windowSize) continue;
    if (window.length > windowSize) window.shift();
    const trend = trendOf(window);
    quiet = trend ? 0 : quiet + 1;
    if (quiet > 2.2 * windowSize) isKnown = false;
    if (!trend || isKnown) continue;
    news = trend;
    isKnown = true;
  }
}

/** Watches a heap and tells when it leaks. */
export function createLeakMonitor(options: MonitorOptions): LeakMonitor {
  let end: (() => void) | undefined;

  /** Resolves one interval later. */
  function interval(onCancel: (cancel: () => void) => void): Promise<void> {
    const { schedule, intervalMs } = options;
    return new Promise((resolve) => {
      if (schedule) onCancel(schedule(resolve, intervalMs));
      else {
        const timer = setTimeout(resolve, intervalMs).unref();
        onCancel(() => clearTimeout(timer));
      }
    });
  }

  async function observe() {
    let cancel = () => {};
    let isOver = false;
    end = () => {
      isOver = true;
      cancel();
    };
    const detect = detector(options.windowSize);
    detect.next();
    let passed = 0;
    const passedAt: number[] = [];
    for (;;) {
      await interval((own) => (cancel = own));
      if (isOver) return;
      passed++;
      try {
        const size = options.sample();
        if (isOver) return;
        if (Number.isFinite(size)) {
          const news = detect.next(size).value;
          if (passedAt.push(passed) > options.windowSize) passedAt.shift();
          if (news) {
            const intervalsPerHour = 3_600_000 / options.intervalMs;
            const perInterval = (news.slope * parts) / (passed - passedAt[0]! + 1);
            options.onAlert({ bytesPerHour: perInterval * intervalsPerHour, confidence: news.explained });
          }
        }
      } catch {
        // Whoever failed, the next interval comes.
      }
      if (isOver) return;
    }
  }

  return {
    start() {
      if (!end) void observe();
    },
    stop() {
      end?.();
      end = undefined;
    },
  };
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
