import { describe, expect } from 'vitest';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/leak-detector/leak-detector.ts';
import { Dice, type Fault, type Heap, type Shape, drawHeap, drawHeaps, faultOf, shapes } from './heaps.ts';
import {
  type Watched,
  flood,
  intervalsAfterStop,
  nameClasses,
  restart,
  startAndStop,
  stopInAlert,
  watch,
  watchByTimers,
  watchFailing,
} from './inside.ts';
import { growingOf, recordedHeap, recordedSnapshots, snapshotCount } from './recorded.ts';

const seed = chosenSeed();
/** Of 200 heaps. */
const allowedFaults = 2;
const heapsPerCall = 10;
/** What a sample may leave, in bytes: less than half of a number. */
const sampleLimit = 3;
/** Of heaps whose floors lie on a rising line for a window, by accident: one heap in some hundreds. The line is far lower than the swing. */
const misleadingSeeds = { flat: [4676, 4819, 7327], saw: [1985, 3251, 6255, 6530] } satisfies Partial<
  Record<Shape, number[]>
>;

/** `optimized`: the module in a process in which V8 optimizes it, from promise to promise; see `subject`. */
const test = judge<typeof Kata>('leak-detector')
  .extend('explained', { scope: 'file' }, () => new Explained('Bench'))
  .extend('optimizedOfFile', { scope: 'file' }, ({ subjects }, { onCleanup }) => {
    const kept: { running?: Subject<typeof Kata> } = {};
    onCleanup(() => kept.running?.[Symbol.asyncDispose]());
    return { kept, start: () => subjects.fresh({ needs: [] }) };
  })
  .extend(
    'optimized',
    async ({ optimizedOfFile: { kept, start }, task }, { onCleanup }): Promise<Subject<typeof Kata>> => {
      if (!kept.running?.alive) kept.running = await start();
      const { running } = kept;
      onCleanup(async () => {
        if (task.result?.state !== 'fail') return;
        await running[Symbol.asyncDispose]();
        delete kept.running;
      });
      return running;
    },
  );

describe('core', () => {
  test('A leak must raise an alert after windowSize samples at the earliest, and 3 × windowSize at the latest.', async ({
    optimized,
  }) => {
    const heaps = [recordedHeap('leak', new Dice(seed)), ...drawHeaps(['leak'], 15, seed)];

    const watched = await watchAll(optimized, heaps);

    expectNoFault(heaps, watched, ['early', 'miss']);
  });

  test('An alert must tell the growth per hour to within 25 %, and a confidence between 0.5 and 1.', async ({
    optimized,
  }) => {
    const heaps = [recordedHeap('leak', new Dice(seed + 1)), ...drawHeaps(['leak'], 15, seed + 1)];

    const watched = await watchAll(optimized, heaps);

    const told = heaps.map(({ about, bytesPerHour }, at) => {
      const [alert] = watched[at]!.alerts;
      expectThat(alert !== undefined, `${about}: no alert`);
      const { bytesPerHour: rate } = alert!;
      expectThat(rate !== undefined, `${about}: bytesPerHour is no finite number`);
      return { rate: rate!, bytesPerHour };
    });
    expectToBeNear(told, 'bytesPerHour');

    const later = drawHeaps(['late leak', 'leak after a step', 'two leaks'], 4, seed + 14);
    for (const [at, { alerts }] of [...watched, ...(await watchAll(optimized, later))].entries())
      for (const { confidence, after } of alerts)
        expectThat(
          confidence !== undefined && confidence >= 0.5 && confidence <= 1,
          `${[...heaps, ...later][at]!.about}: after ${after} samples, confidence is ${confidence ?? 'no finite number'}, expected 0.5 to 1`,
        );

    const whileFailing: Rate[] = [];
    for (const heap of drawHeaps(['long leak'], 6, seed + 13)) {
      const { alerts } = await optimized.run(watchFailing, { heap, every: 3, onAlertThrows: false });
      const rate = alerts[0]?.bytesPerHour;
      // That there is an alert at all is another promise.
      if (rate !== undefined) whileFailing.push({ ...heap, rate });
    }
    expectToBeNear(whileFailing, 'every third sample fails; bytesPerHour');
  });

  test('A heap that is flat, falls, or rises and drops like a saw must raise no alert.', async ({ optimized }) => {
    await expectToTellLeaks(optimized);
    const heaps = [recordedHeap('saw', new Dice(seed + 2)), ...drawHeaps(['flat', 'saw', 'fall'], 12, seed + 2)];
    for (const [shape, seeds] of Object.entries(misleadingSeeds) as [Shape, number[]][])
      heaps.push(...seeds.map((one) => drawHeap(shape, one)));

    const watched = await watchAll(optimized, heaps);

    expectNoFault(heaps, watched);
  });
});

describe('robust', () => {
  test('A step, such as a cache that warms up, must raise no alert and must not hide a later leak.', async ({
    optimized,
  }) => {
    const steps = [recordedHeap('cache', new Dice(seed + 3)), ...drawHeaps(['step'], 12, seed + 3)];
    const leaks = drawHeaps(['leak after a step'], 8, seed + 4);

    const [watchedSteps, watchedLeaks] = [await watchAll(optimized, steps), await watchAll(optimized, leaks)];

    expectNoFault(leaks, watchedLeaks, ['early', 'miss', 'false alarm']);
    expectNoFault(steps, watchedSteps);
  });

  test('A leak must raise only one alert, however long it lasts and even if it pauses.', async ({ optimized }) => {
    const heaps = [
      ...drawHeaps(['long leak', 'leak with pauses', 'late leak'], 8, seed + 5),
      ...drawHeaps(['very long leak'], 2, seed + 15),
    ];

    const watched = await watchAll(optimized, heaps);

    expectNoFault(heaps, watched, ['miss', 'again']);
  });

  test('After the end of a leak, the next leak must raise its own alert.', async ({ optimized }) => {
    const heaps = [...drawHeaps(['two leaks'], 10, seed + 6), ...drawHeaps(['four leaks'], 4, seed + 17)];

    const watched = await watchAll(optimized, heaps);

    expectNoFault(heaps, watched, ['miss', 'again']);
  });

  test('start and stop must work in any order; stop must leave no timer, and each start must begin anew.', async ({
    optimized,
  }) => {
    const dice = new Dice(seed + 7);
    const intervals = dice.whole(5, 12);
    const heap = drawHeap('long leak', dice.whole(0, 1e9));
    const { windowSize, about } = heap;

    const orders = await optimized.run(startAndStop, { heap: drawHeap('flat', seed), intervals });
    const inAlert = await optimized.run(stopInAlert, heap);
    const restarted = await optimized.run(restart, heap);

    expect(orders, `${intervals} intervals pass each time`).toEqual({
      'first of all, stop: timers': 0,
      'first of all, stop: samples': 0,
      'start, start: samples': intervals,
      'start, start, stop: timers': 0,
      'start, start, stop: samples': 0,
      'stop, stop, start: samples': intervals,
      ...inSample('in sample, stop', 0),
      ...inSample('in sample, stop, throw', 0),
      ...inSample('in sample, stop, start', intervals),
      ...inSample('in sample, stop, start, throw', intervals),
      ...inSample('in sample, start', intervals),
      'start, stop, start: samples': intervals,
      'start, stop, start, stop: timers': 0,
      'start, stop, start, stop: samples': 0,
      'what was thrown': undefined,
    });
    expect(inAlert, `${windowSize} intervals pass after an alert in which the monitor was stopped`).toEqual({
      'stop in onAlert: alerts': 1,
      'stop in onAlert: timers': 0,
      'stop in onAlert: samples': 0,
      'stop in onAlert, stop: timers': 0,
      'stop in onAlert: what was thrown': undefined,
      'stop and throw in onAlert: alerts': 1,
      'stop and throw in onAlert: timers': 0,
      'stop and throw in onAlert: samples': 0,
      'stop and throw in onAlert, stop: timers': 0,
      'stop and throw in onAlert: what was thrown': undefined,
      'restart in onAlert: alerts': 1,
      'restart in onAlert: samples': windowSize,
      'restart in onAlert: alerts in 3 windows': 1,
      'restart in onAlert, stop: timers': 0,
      'restart in onAlert: what was thrown': undefined,
    });
    for (const [at, after] of restarted.entries()) {
      const what = `${about}: stopped ${at === 0 ? 'before a window was full' : 'after an alert'}, and started again`;
      expectThat(after !== undefined, `${what}: no alert in 3 windows`);
      expectThat(after! >= windowSize, `${what}: an alert after ${after} more samples, before a window was full`);
    }
  });

  test('Without schedule, the monitor must use Node’s timers, and they must not hold the process.', async ({
    optimized,
  }) => {
    const heap = drawHeap('leak', seed + 8);

    const { watched, samplesOfOthers, ...timers } = await optimized.run(watchByTimers, heap);

    const { about, values } = heap;
    expectThat(
      Math.abs(watched.samples - values.length) <= 1,
      `${about}: ${watched.samples} samples in ${values.length - 1} intervals of Node's timers`,
    );
    expectNoFault([heap], [watched], ['early', 'miss']);
    for (const [at, samples] of samplesOfOthers.entries())
      expectThat(
        Math.abs(samples - intervalsAfterStop) <= 1,
        `${about}: of three monitors on Node's timers, the second was stopped; the ${at === 0 ? 'first' : 'third'} then took ${samples} samples in ${intervalsAfterStop} intervals`,
      );
    expect(timers, about).toEqual({ 'timers that hold the process': 0, 'samples after the stop': 0 });
  });

  test('A sample that throws or is not finite must be left out; an onAlert that throws must change nothing.', async ({
    optimized,
  }) => {
    const dice = new Dice(seed + 9);
    for (const every of [4, dice.whole(5, 9)]) {
      for (const shape of ['long leak', 'flat', 'step'] satisfies Shape[]) {
        const heap = drawHeap(shape, dice.whole(0, 1e9));
        const watched = await optimized.run(watchFailing, { heap, every, onAlertThrows: true });

        const about = `one sample in ${every} fails, onAlert throws; ${heap.about}`;
        const atLeast = heap.values.length - 1;
        expectThat(watched.samples >= atLeast, `${about}: ${watched.samples} samples in ${atLeast} intervals`);
        const good = { alerts: watched.alerts.map((alert) => ({ ...alert, after: goodOf(alert.after, every) })) };
        expectNoFault([{ ...heap, about }], [{ ...watched, ...good }], ['miss', 'again', 'false alarm']);
      }
    }
  });

  test('However many samples the monitor takes, its memory must stay flat.', async ({ subject, explained }) => {
    const perCycle = 400;
    for (const fails of [false, true]) {
      const cycle = async () => {
        const taken = await subject.run(flood, { count: perCycle, fails });
        // Whether the monitor goes on after a failed sample is another promise.
        expectThat(fails || taken >= perCycle, `${perCycle} intervals passed; ${taken} samples were taken`);
      };

      const growth = await growthPerVisit({ subject, cycle, perCycle, cycles: 8 });

      const held = await explained.holders(subject, growth > sampleLimit, cycle, { atLeast: 1 });
      const what = `8 times ${perCycle} samples were taken${fails ? ', three in four failed' : ''}`;
      expectAtMost(growth, sampleLimit, `${held}${what}; on the heap each sample left`);
    }
  });
});

describe('stretch', () => {
  test('Of 200 heaps with spikes, at most 2 may raise a false alarm, and at most 2 may be missed.', async ({
    optimized,
  }) => {
    const chosen = shapes.filter((shape) => !/long|pauses|four/.test(shape));
    const heaps = drawHeaps(chosen, 25, seed + 10, { spikes: true });

    const watched = await watchAll(optimized, heaps);

    for (const kinds of [['early', 'false alarm'], ['miss']] satisfies Fault['kind'][][]) {
      const faults = faultsOf(heaps, watched, kinds);
      const what = kinds[0] === 'miss' ? 'leaks missed' : 'heaps with a false alarm';
      const example = faults.length > allowedFaults ? ` (one of them: ${faults[0]})` : '';
      expectAtMost(faults.length, allowedFaults, `${heaps.length} heaps with spikes${example};`, what);
    }
  });

  test('growingClass must name the class whose bytes grew in every step between snapshots, and most in total.', async ({
    optimized,
  }) => {
    const dice = new Dice(seed + 11);
    const all = Array.from({ length: snapshotCount }, (_, number) => number);
    const choices = [...subsetsOf(all).filter(({ length }) => length >= 2), [4, 4], [4, 0], [1, 1, 2], [3, 2, 1]];
    const examples = choices.flatMap((chosen) => {
      const series = recordedSnapshots(chosen, dice);
      const what = `real snapshots, number ${chosen.join(', ')} of a process`;
      const leak = growingOf(series);
      const withoutLeakAt = (gap: number) =>
        series.map((rows, at) => (at === gap ? rows.filter(({ name }) => name !== leak) : rows));
      const gaps = leak === null ? [] : [...series.keys()];
      return [
        { what, series },
        ...gaps.map((gap) => ({
          what: `${what}, without a row for ${leak} in number ${chosen[gap]}`,
          series: withoutLeakAt(gap),
        })),
      ];
    });

    const named = await optimized.run(
      nameClasses,
      examples.map(({ series }) => series),
    );

    for (const [at, { what, series }] of examples.entries()) expect(named[at], what).toBe(growingOf(series));
  });
});

/** What must be seen when `sample` itself has started or stopped the monitor, and after another stop. */
function inSample(what: string, samples: number): Record<string, number> {
  return {
    ...(samples === 0 && { [`${what}: timers`]: 0 }),
    [`${what}: samples`]: samples,
    [`${what}; stop: timers`]: 0,
    [`${what}; stop: samples`]: 0,
  };
}

interface Rate {
  /** What the monitor told. */
  readonly rate: number;
  readonly bytesPerHour: number;
}

/** Judges the rate that is farthest off. */
function expectToBeNear(rates: readonly Rate[], what: string): void {
  const errorOf = (one: Rate) => (Math.abs(one.rate - one.bytesPerHour) / one.bytesPerHour) * 100;
  const worst = rates.toSorted((one, other) => errorOf(other) - errorOf(one))[0];
  if (!worst) return;
  const [told, real] = [Math.round(worst.rate), Math.round(worst.bytesPerHour)];
  expectAtMost(errorOf(worst), 25, `${what} is ${told}, but the heap grows by ${real} per hour; it is off by`, '%');
}

/** In several calls, because a monitor may need a millisecond per sample and each call has its limit. */
async function watchAll(subject: Subject<typeof Kata>, heaps: readonly Heap[]): Promise<Watched[]> {
  const watched: Watched[] = [];
  for (let at = 0; at < heaps.length; at += heapsPerCall)
    watched.push(...(await subject.run(watch, heaps.slice(at, at + heapsPerCall))));
  return watched;
}

/** A monitor that tells nothing raises no false alarm, either. */
async function expectToTellLeaks(subject: Subject<typeof Kata>): Promise<void> {
  const heaps = drawHeaps(['leak'], 2, seed + 12);
  const watched = await watchAll(subject, heaps);
  for (const [at, { about }] of heaps.entries())
    expectThat(watched[at]!.alerts.length > 0, `${about}: no alert, so that none about other heaps means nothing`);
}

function expectNoFault(heaps: readonly Heap[], watched: readonly Watched[], kinds?: readonly Fault['kind'][]): void {
  const faults = faultsOf(heaps, watched, kinds);
  expectThat(faults.length === 0, `${faults.length} of ${heaps.length} heaps are told wrongly. ${faults[0]}`);
}

/** What is wrong, as sentences. `kinds` are those that count; all, unless told. */
function faultsOf(heaps: readonly Heap[], watched: readonly Watched[], kinds?: readonly Fault['kind'][]): string[] {
  return heaps.flatMap((heap, at) => {
    const { alerts, samples, threw } = watched[at]!;
    if (threw !== undefined) return [`${heap.about}: after ${samples} samples the monitor threw ${threw}`];
    const fault = faultOf(
      heap,
      alerts.map(({ after }) => after),
    );
    return fault && (kinds?.includes(fault.kind) ?? true) ? [`${heap.about}: ${fault.text}`] : [];
  });
}

/** How many of so many samples were good, where each sample of a number that `every` divides fails, counted from 0. */
function goodOf(samples: number, every: number): number {
  return samples - Math.ceil(samples / every);
}

function subsetsOf(numbers: readonly number[]): number[][] {
  return numbers.reduce<number[][]>((subsets, number) => [...subsets, ...subsets.map((one) => [...one, number])], [[]]);
}
