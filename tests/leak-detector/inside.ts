import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/leak-detector/leak-detector.ts';
import type { Heap } from './heaps.ts';

type In<Args = undefined> = Inside<typeof Kata, Args, { flood?: Bench; failing?: Bench }>;
export type Played = Pick<Heap, 'windowSize' | 'intervalMs' | 'values'>;

interface Alert {
  /** How many samples had been taken. */
  readonly after: number;
  /** Undefined where it is no number. */
  readonly bytesPerHour: number | undefined;
  readonly confidence: number | undefined;
}

export interface Watched {
  readonly alerts: readonly Alert[];
  readonly samples: number;
  /** What a callback of the monitor, `start` or `stop` threw. */
  readonly threw: string | undefined;
}

const clock = installSteppedClock();
/** After a call, a monitor that uses promises may go on in so many turns of the event loop. */
const settleTurns = 3;

/** What memlab names in a path to what the monitor's callback holds. */
class TimerOfMonitor {
  readonly callback: () => void;
  readonly dueMs: number;

  constructor(callback: () => void, dueMs: number) {
    this.callback = callback;
    this.dueMs = dueMs;
  }
}

/** A monitor, the heap that it samples, and the clock that it hears. */
class Bench {
  readonly monitor: Kata.LeakMonitor;
  readonly alerts: Alert[] = [];
  readonly timers = new Set<TimerOfMonitor>();
  readonly intervalMs: number;
  nowMs = 0;
  samples = 0;
  threw: string | undefined;
  onSample: () => void = () => {};
  onAlert: () => void = () => {};

  constructor(
    kata: typeof Kata,
    heap: Pick<Heap, 'windowSize' | 'intervalMs'>,
    valueOf: (at: number) => number,
    usesTimers = false,
  ) {
    this.intervalMs = heap.intervalMs;
    this.monitor = kata.createLeakMonitor({
      intervalMs: heap.intervalMs,
      windowSize: heap.windowSize,
      sample: () => {
        const value = valueOf(this.samples++);
        this.onSample();
        return value;
      },
      onAlert: ({ bytesPerHour, confidence }) => {
        this.alerts.push({
          after: this.samples,
          bytesPerHour: numberOr(bytesPerHour),
          confidence: numberOr(confidence),
        });
        this.onAlert();
      },
      ...(!usesTimers && { schedule: (callback: () => void, ms: number) => this.#schedule(callback, ms) }),
    });
  }

  #schedule(callback: () => void, ms: number): () => void {
    const timer = new TimerOfMonitor(callback, this.nowMs + ms);
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  start(): void {
    this.#attempt(() => this.monitor.start());
  }

  stop(): void {
    this.#attempt(() => this.monitor.stop());
  }

  /** Moves the clock by so many intervals. */
  async pass(intervals: number, tools: In['tools']): Promise<void> {
    const untilMs = this.nowMs + intervals * this.intervalMs;
    for (;;) {
      // A monitor may set its next timer a moment later.
      if (this.timers.size === 0) await tools.turns(settleTurns);
      const next = [...this.timers].reduce<TimerOfMonitor | undefined>(
        (first, timer) => (first && first.dueMs <= timer.dueMs ? first : timer),
        undefined,
      );
      if (!next || next.dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      this.timers.delete(next);
      this.#attempt(next.callback);
    }
    this.nowMs = untilMs;
    await tools.turns(settleTurns);
  }

  #attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.threw ??= String(error);
    }
  }

  get watched(): Watched {
    return { alerts: this.alerts, samples: this.samples, threw: this.threw };
  }
}

function numberOr(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Shows each heap to a new monitor, from its first value to its last. */
export async function watch({ kata, args: heaps, tools }: In<readonly Played[]>): Promise<Watched[]> {
  const seen: Watched[] = [];
  for (const heap of heaps) {
    const { values } = heap;
    const bench = new Bench(kata, heap, (at) => values[Math.min(at, values.length - 1)]!);
    bench.start();
    await bench.pass(values.length - 1, tools);
    bench.stop();
    seen.push(bench.watched);
  }
  return seen;
}

export interface Failing {
  readonly heap: Played;
  /** Every so many samples, the first one included, one fails. */
  readonly every: number;
  readonly onAlertThrows: boolean;
}

/** The same where samples throw or are no finite numbers. The heap changes meanwhile. */
export async function watchFailing({
  kata,
  args: { heap, every, onAlertThrows },
  tools,
}: In<Failing>): Promise<Watched> {
  const { values } = heap;
  const failures = [Number.NaN, 'throws', Infinity, -Infinity] as const;
  const valueOf = (at: number) => {
    if (at % every !== 0) return values[Math.min(at, values.length - 1)]!;
    const failure = failures[(at / every + 1) % failures.length]!;
    if (failure === 'throws') throw new Error('the sample throws');
    return failure;
  };
  const bench = new Bench(kata, heap, valueOf);
  bench.onAlert = () => {
    if (onAlertThrows) throw new Error('onAlert throws');
  };
  bench.start();
  await bench.pass(values.length - 1, tools);
  bench.stop();
  return bench.watched;
}

/** What was seen, by what was done. */
export type Seen = Record<string, number | string | undefined>;

/** Starts and stops in unusual orders. `intervals` pass after each. */
export async function startAndStop({
  kata,
  args: { heap, intervals },
  tools,
}: In<{ heap: Played; intervals: number }>): Promise<Seen> {
  const seen: Seen = {};
  const bench = new Bench(kata, heap, (at) => heap.values[at % heap.values.length]!);
  const after = async (what: string) => {
    const before = bench.samples;
    if (/stop(, throw)?$/.test(what)) seen[`${what}: timers`] = bench.timers.size;
    await bench.pass(intervals, tools);
    seen[`${what}: samples`] = bench.samples - before;
  };
  bench.stop();
  await after('first of all, stop');
  bench.start();
  bench.start();
  await bench.pass(1, tools);
  await after('start, start');
  bench.stop();
  await after('start, start, stop');
  bench.stop();
  bench.start();
  await bench.pass(1, tools);
  await after('stop, stop, start');
  for (const what of ['stop', 'stop, throw', 'stop, start', 'stop, start, throw', 'start']) {
    bench.start();
    bench.onSample = () => {
      bench.onSample = () => {};
      if (what.includes('stop')) bench.monitor.stop();
      if (what.includes('start')) bench.monitor.start();
      if (what.includes('throw')) throw new Error('the sample throws');
    };
    await bench.pass(1, tools);
    // Whether the error was caught is another promise.
    if (what.includes('throw')) bench.threw = undefined;
    await after(`in sample, ${what}`);
    bench.stop();
    await after(`in sample, ${what}; stop`);
  }
  bench.start();
  bench.stop();
  bench.start();
  await bench.pass(1, tools);
  await after('start, stop, start');
  bench.stop();
  await after('start, stop, start, stop');
  seen['what was thrown'] = bench.threw;
  return seen;
}

/** Stops in `onAlert`, which may throw after that, or stops and starts again there. Then one window passes, or three. */
export async function stopInAlert({ kata, args: heap, tools }: In<Played>): Promise<Seen> {
  const seen: Seen = {};
  for (const what of ['stop in onAlert', 'stop and throw in onAlert', 'restart in onAlert']) {
    const { values, windowSize } = heap;
    const bench = new Bench(kata, heap, (at) => values[Math.min(at, values.length - 1)]!);
    bench.onAlert = () => {
      bench.onAlert = () => {};
      bench.monitor.stop();
      if (what === 'restart in onAlert') bench.monitor.start();
      if (what === 'stop and throw in onAlert') throw new Error('onAlert throws');
    };
    bench.start();
    await bench.pass(3 * windowSize, tools);
    seen[`${what}: alerts`] = Math.min(1, bench.alerts.length);
    if (what !== 'restart in onAlert') seen[`${what}: timers`] = bench.timers.size;
    // Whether the error was caught is another promise.
    if (what === 'stop and throw in onAlert') bench.threw = undefined;
    const before = bench.samples;
    await bench.pass(windowSize, tools);
    seen[`${what}: samples`] = bench.samples - before;
    if (what === 'restart in onAlert') {
      await bench.pass(2 * windowSize, tools);
      seen[`${what}: alerts in 3 windows`] = Math.min(1, bench.alerts.length - 1);
    }
    bench.stop();
    seen[`${what}, stop: timers`] = bench.timers.size;
    seen[`${what}: what was thrown`] = bench.threw;
  }
  return seen;
}

/** Stops one sample or two before a window of a leak is full, starts again, and tells when the alert comes after that; then once more. */
export async function restart({ kata, args: heap, tools }: In<Played>): Promise<(number | undefined)[]> {
  const { values, windowSize } = heap;
  const bench = new Bench(kata, heap, (at) => values[Math.min(at, values.length - 1)]!);
  const comesAfter: (number | undefined)[] = [];
  bench.start();
  await bench.pass(windowSize - 2, tools);
  for (let time = 0; time < 2; time++) {
    bench.stop();
    const [samples, alerts] = [bench.samples, bench.alerts.length];
    bench.start();
    await bench.pass(3 * windowSize - 1, tools);
    const alert = bench.alerts[alerts];
    comesAfter.push(alert && alert.after - samples);
  }
  bench.stop();
  return comesAfter;
}

export interface OnTimers {
  readonly 'timers that hold the process': number;
  readonly 'samples after the stop': number;
  /** What each of two other monitors took in the intervals after the stop of this one. */
  readonly samplesOfOthers: readonly number[];
  readonly watched: Watched;
}

/** So many intervals pass after a stop of a monitor on Node's timers. */
export const intervalsAfterStop = 5;

/** A monitor without `schedule` samples a leak, started between two others of a flat heap. Node's timers are moved. */
export async function watchByTimers({ kata, args: heap, tools }: In<Played>): Promise<OnTimers> {
  clock.hold();
  try {
    const { values } = heap;
    const before = tools.timers();
    const bench = new Bench(kata, heap, (at) => values[Math.min(at, values.length - 1)]!, true);
    const others = [1, 2].map(() => new Bench(kata, heap, () => values[0]!, true));
    others[0]!.start();
    bench.start();
    others[1]!.start();
    let held = tools.timers() - before;
    await clock.step((values.length - 1) * heap.intervalMs);
    held = Math.max(held, tools.timers() - before);
    const watched = { ...bench.watched, alerts: [...bench.alerts] };
    bench.stop();
    const atStop = others.map(({ samples }) => samples);
    await clock.step(intervalsAfterStop * heap.intervalMs);
    const samplesOfOthers = others.map(({ samples }, at) => samples - atStop[at]!);
    for (const other of others) other.stop();
    const samplesAfter = bench.samples - watched.samples;
    return { 'timers that hold the process': held, 'samples after the stop': samplesAfter, samplesOfOthers, watched };
  } finally {
    clock.release();
  }
}

/**
 * Takes so many samples of a saw with leaks in it, by a monitor that stays in the process. Three in four fail if `fails`. Returns
 * how many were taken.
 */
export async function flood({
  kata,
  args: { count, fails },
  kept,
  tools,
}: In<{ count: number; fails: boolean }>): Promise<number> {
  const heap = { windowSize: 24, intervalMs: 1_000 };
  const valueOf = (at: number) => (fails && at % 4 !== 3 ? Number.NaN : valueInFlood(at));
  const bench = (kept[fails ? 'failing' : 'flood'] ??= new Bench(kata, heap, valueOf));
  if (bench.nowMs === 0) bench.start();
  const before = bench.samples;
  await bench.pass(count, tools);
  bench.alerts.length = 0;
  return bench.samples - before;
}

/** No whole numbers, which V8 might keep in less than 8 bytes. */
function valueInFlood(at: number): number {
  const inPeriod = at % 400;
  return 5e7 + 0.5 + (at % 4) * 1e5 + (inPeriod < 120 ? inPeriod * 1e5 : 0);
}

/** What `growingClass` answers to each series of snapshots. */
export function nameClasses({ kata, args: series }: In<readonly (readonly Kata.ClassRow[])[][]>): (string | null)[] {
  return series.map((snapshots) => kata.growingClass(snapshots) ?? null);
}
