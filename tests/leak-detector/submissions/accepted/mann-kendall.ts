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

/** Watches a heap and tells when it leaks. */
export function createLeakMonitor(options: MonitorOptions): LeakMonitor {
  return new MannKendallMonitor(options);
}

/**
 * Kendall's tau between time and size. It is near 1 for an even growth, and below 0.7 for a step, because pairs of samples on the same
 * side of the step have no order. A leak is told above the upper threshold, and is over below the lower one.
 */
class MannKendallMonitor implements LeakMonitor {
  static readonly #growsAbove = 0.88;
  static readonly #isOverBelow = 0.3;

  readonly #options: MonitorOptions;
  #ring: Float64Array;
  /** When each sample in the ring was taken, in intervals. */
  #ticks: Uint32Array;
  #tickCount = 0;
  #taken = 0;
  #isLeaking = false;
  #stopTimer: (() => void) | undefined;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#ring = new Float64Array(options.windowSize);
    this.#ticks = new Uint32Array(options.windowSize);
  }

  start = (): void => {
    if (this.#stopTimer) return;
    this.#taken = 0;
    this.#isLeaking = false;
    const { schedule, intervalMs } = this.#options;
    this.#stopTimer = schedule ? this.#repeat(schedule) : this.#onNode(setInterval(this.#tick, intervalMs));
  };

  stop = (): void => {
    const stopTimer = this.#stopTimer;
    this.#stopTimer = undefined;
    stopTimer?.();
  };

  #onNode(timer: NodeJS.Timeout): () => void {
    timer.unref();
    return () => clearInterval(timer);
  }

  #repeat(schedule: Schedule): () => void {
    let isStopped = false;
    let cancel = schedule(again, this.#options.intervalMs);
    const { intervalMs } = this.#options;
    const tick = this.#tick;
    function again() {
      tick();
      if (!isStopped) cancel = schedule(again, intervalMs);
    }
    return () => {
      isStopped = true;
      cancel();
    };
  }

  #tick = (): void => {
    const own = this.#stopTimer;
    this.#tickCount++;
    try {
      const bytes = this.#options.sample();
      if (own !== this.#stopTimer || !Number.isFinite(bytes)) return;
      this.#ticks[this.#taken % this.#ring.length] = this.#tickCount;
      this.#ring[this.#taken++ % this.#ring.length] = bytes;
      if (this.#taken >= this.#ring.length) this.#look();
    } catch {
      // The next sample may be better, and the listener is not our affair.
    }
  };

  #look(): void {
    const { windowSize, intervalMs } = this.#options;
    const inOrder = Array.from({ length: windowSize }, (_, at) => this.#ring[(this.#taken + at) % windowSize]!);
    // The lower of two neighbors: a spike vanishes.
    const sizes = inOrder.slice(1).map((size, at) => Math.min(size, inOrder[at]!));
    const tau = tauOf(sizes);
    if (tau < MannKendallMonitor.#isOverBelow) this.#isLeaking = false;
    if (tau < MannKendallMonitor.#growsAbove || this.#isLeaking) return;
    this.#isLeaking = true;
    const third = Math.floor(sizes.length / 3);
    const mean = (some: number[]) => some.reduce((sum, size) => sum + size, 0) / some.length;
    const perSample = (mean(sizes.slice(-third)) - mean(sizes.slice(0, third))) / (sizes.length - third);
    const ticksPerSample = (this.#tickCount - this.#ticks[this.#taken % windowSize]!) / (windowSize - 1);
    const bytesPerHour = (perSample * msPerHour) / (intervalMs * ticksPerSample);
    this.#options.onAlert(Object.freeze({ bytesPerHour, confidence: tau }));
  }
}

function tauOf(sizes: readonly number[]): number {
  let [sum, pairs] = [0, 0];
  for (let later = 1; later < sizes.length; later++)
    for (let earlier = 0; earlier < later; earlier++) {
      sum += Math.sign(sizes[later]! - sizes[earlier]!);
      pairs++;
    }
  return sum / pairs;
}

/** Names the class whose bytes grew from each snapshot to the next, and most in total. */
export function growingClass(snapshots: readonly (readonly ClassRow[])[]): string | undefined {
  const bytesOf = (rows: readonly ClassRow[], name: string) => rows.find((row) => row.name === name)?.bytes ?? 0;
  return snapshots
    .at(-1)!
    .map(({ name }) => ({ name, sizes: snapshots.map((rows) => bytesOf(rows, name)) }))
    .filter(({ name, sizes }) => name[0] !== '(' && sizes.every((size, at) => at === 0 || sizes[at - 1]! < size))
    .toSorted((one, other) => other.sizes.at(-1)! - other.sizes[0]! - (one.sizes.at(-1)! - one.sizes[0]!))[0]?.name;
}
