import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import { type HeapFigures, collect, collectUntil } from '../../helpers/instruments/heap/heap-figures.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne, expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectAtMost } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/leaky-listeners/leaky-listeners.ts';
import {
  type Act,
  type Fault,
  type Step,
  disposeAgain,
  forgetWidgets,
  leaveBlocks,
  letWidgetsGo,
  playAll,
  tellForgotten,
} from './inside.ts';

const topics = ['load', 'memory', 'error rate'];
const names = ['a', 'b', 'c', 'd', 'e'];
const values = fc.integer({ min: -1000, max: 1000 });
/** An onChange that disposes of some widgets, of whichever topic. */
const disposes = fc.subarray(names, { minLength: 1, maxLength: 3 }).map((widgets): Act => ({ disposes: widgets }));
/** How many widgets go in each way, and of how many something may still be in memory. */
const [widgetsEach, leftLimit] = [50, 5];

const test = judge<typeof Kata>('leaky-listeners').extend('explained', { scope: 'file' }, () => new Explained('Kept'));

describe('core', () => {
  test('Each value must reach every widget of its topic once, with the right summary.', async ({ subject }) => {
    await expectHistories(subject, histories({}, {}), ['heard']);
    await subject.run(forgetWidgets, widgetsEach);
    await collect(subject);
    const seen = await subject.run(tellForgotten, drawOne(values));

    const what = `${widgetsEach} widgets were added, nobody kept what addWidget returned, garbage was collected, then a value came;`;
    expect(seen, `${what} widgets that heard it, and size`).toEqual({ heard: widgetsEach, size: widgetsEach });
  });

  test('A disposed widget must leave no listener on the bus and hear nothing more.', async ({ subject }) => {
    await expectHistories(subject, histories({ dispose: 3 }, {}), ['bus', 'heard late']);
    await expectHistories(subject, histories({}, { act: disposes }), ['bus']);
  });

  test('The samples and the onChange of a disposed widget must become garbage, whoever holds dashboard, bus and signal.', async ({
    subject,
    explained,
  }) => {
    await expectGarbage({ subject, explained }, false);
  });

  test('When a widget goes, the other widgets and foreign listeners must go on.', async ({ subject }) => {
    await expectHistories(subject, histories({ dispose: 3 }, {}), ['heard', 'foreign'], { foreignTopics: topics });
  });
});

describe('robust', () => {
  test('Disposing twice must do nothing more.', async ({ subject }) => {
    const value = drawOne(values);

    await expectHistories(subject, histories({ dispose: 6 }, {}), ['size']);
    const { got, sizes } = await subject.run(disposeAgain, value);

    const what = 'two of three widgets had one onChange; the first was disposed of three times, then a value came;';
    expect(got, `${what} what onChange got`).toEqual([{ count: 2, sum: 2 * value }]);
    expect(sizes, `${what} size, after the second was disposed of twice, and after the dashboard was`).toEqual([
      2, 1, 0,
    ]);
  });

  test('A widget disposed during an emit must not hear that value; each other widget must hear it once.', async ({
    subject,
  }) => {
    await expectHistories(subject, histories({}, { act: disposes }), ['heard', 'heard late']);
    const ends = fc.constantFrom<Act>('nothing more', 'disposes of the dashboard');
    await expectHistories(subject, histories({}, { act: ends }), ['heard late']);
  });

  test('An onChange that throws must reach onError once, and must not stop the others.', async ({ subject }) => {
    await expectHistories(subject, histories({}, { act: throws }), ['heard', 'error']);
    await expectHistories(subject, histories({}, { act: throwsAtItsEnd }), ['error']);
  });

  test('The dashboard’s dispose must dispose of all widgets; afterwards addWidget must throw.', async ({ subject }) => {
    const ends = histories({}, {}).map((steps): Step[] => [
      ...steps,
      ['dispose all'],
      ...topics.map((topic): Step => ['emit', topic, 1]),
      ['add', 'late', topics[0]!, []],
      ['emit', topics[0]!, 2],
    ]);

    await expectHistories(subject, ends, ['bus', 'size', 'heard late']);
  });
});

describe('stretch', () => {
  test('An abort must dispose of its widget; a disposed widget must leave no listener on the signal.', async ({
    subject,
  }) => {
    const signals = { signal: fc.constantFrom('s', 't', undefined) };

    const all = histories({ dispose: 2, abort: 1 }, signals);
    await expectHistories(subject, all, ['bus', 'heard late', 'signal']);
    await expectHistories(
      subject,
      all.map((steps): Step[] => [...steps, ['dispose all']]),
      ['signal'],
      { isAlone: true },
    );
  });

  test('using must dispose of a widget and of a dashboard at the end of the block.', async ({ subject }) => {
    const heard = await subject.run(leaveBlocks, drawOne(values));

    const inBlock = (name: string) => [name, 'in its block'];
    expect(heard, 'what was heard, and when the values came').toEqual([
      ...inBlock('widget'),
      'after the block, size 0',
      ...inBlock('widget of a dashboard'),
      'after the block, 0 listeners',
      ...inBlock('widget'),
      'after the block threw, size 0',
      ...inBlock('widget of a dashboard'),
      'after the block threw, 0 listeners',
    ]);
  });

  test('After dispose, a widget and its detached summary must return the last summary and keep no samples.', async ({
    subject,
    explained,
  }) => {
    await expectHistories(subject, histories({ dispose: 2 }, { act: throws }), ['summary']);
    await expectGarbage({ subject, explained }, true);
  });
});

const throws = fc.constantFrom('an Error', 'undefined', 'a text').map((what) => ({ throws: what as 'a text' }));

/** An onChange that disposes of its own widget first. */
const throwsAtItsEnd = throws.map((act): Act => ({ ...act, disposesItself: true }));

type More = Partial<Record<'dispose' | 'abort', number>>;

/** Histories of widgets that are added and hear values, and of more than that. */
function histories(
  more: More,
  options: { readonly act?: fc.Arbitrary<Act>; readonly signal?: fc.Arbitrary<string | undefined> },
): fc.Arbitrary<Step[]> {
  const name = fc.constantFrom(...names);
  const topic = fc.constantFrom(...topics);
  const add = fc.record({
    topic,
    samples: fc.array(values, { maxLength: 4 }),
    act: fc.oneof(fc.constant<Act>('nothing more'), options.act ?? fc.constant<Act>('nothing more')),
    signal: options.signal ?? fc.constant(undefined),
  });
  const others: fc.WeightedArbitrary<Step>[] = [
    { weight: 4, arbitrary: fc.tuple(topic, values).map(([of, value]): Step => ['emit', of, value]) },
    { weight: more.dispose ?? 0, arbitrary: name.map((one): Step => ['dispose', one]) },
    { weight: more.abort ?? 0, arbitrary: fc.constantFrom('s', 't').map((one): Step => ['abort', one]) },
  ];
  return fc
    .record({
      widgets: fc.array(add, { minLength: 1, maxLength: names.length }),
      steps: fc.array(fc.oneof(...others), { minLength: 3, maxLength: 16, size: 'max' }),
      late: add,
    })
    .map(({ widgets, steps, late }): Step[] => {
      const adding = [...widgets, late].map(({ topic: of, samples, act, signal }, at): Step => [
        'add',
        at < widgets.length ? names[at]! : 'later',
        of,
        samples,
        act,
        ...(signal === undefined ? ([] as const) : ([signal] as const)),
      ]);
      return [...adding.slice(0, -1), ...steps, adding.at(-1)!, ['emit', late.topic, 7]];
    });
}

/** Plays drawn histories, and looks at faults of these kinds; with `isAlone`, only in histories that have no others. */
async function expectHistories(
  subject: Subject<typeof Kata>,
  examples: fc.Arbitrary<Step[]>,
  kinds: readonly Fault['kind'][],
  {
    foreignTopics = [],
    isAlone = false,
  }: { readonly foreignTopics?: readonly string[]; readonly isAlone?: boolean } = {},
): Promise<void> {
  await expectForDrawn({
    examples,
    count: 100,
    ask: (plays: readonly Step[][]) => subject.run(playAll, { plays, foreignTopics }),
    fault: (faults) => {
      if (isAlone && faults.some(({ kind }) => !kinds.includes(kind))) return undefined;
      return faults.find(({ kind }) => kinds.includes(kind))?.text;
    },
    inWords: (steps) => steps.map(stepInWords).join(' · '),
  });
}

/** Lets widgets go, and counts which of their samples and functions are still in memory. */
async function expectGarbage(
  { subject, explained }: { readonly subject: Subject<typeof Kata>; readonly explained: Explained },
  keepsWidgets: boolean,
): Promise<void> {
  const value = drawOne(fc.integer({ min: 1, max: 1000 }));
  const go = () => subject.run(letWidgetsGo, { count: widgetsEach, value, keepsWidgets });

  const { heard, heardBefore, wrong } = await go();
  expect(heardBefore, `4 x ${widgetsEach} widgets heard a value and went; values heard`).toBe(4 * widgetsEach);
  expect(heard, '4 widgets stayed, and 1 or 2 values came for each; values heard').toBe(6);
  expect(wrong, `${4 * widgetsEach} widgets went; summaries that are wrong afterwards`).toBe(0);
  const name = keepsWidgets ? 'of kept' : 'of forgotten';
  const leftOf = ({ watched }: HeapFigures) =>
    Object.entries(watched)
      .filter(([what]) => what.includes(name))
      .map(([what, { seen, collected }]) => ({ what, left: seen - collected }));
  const figures = await collectUntil(subject, (now) => leftOf(now).every(({ left }) => left <= leftLimit / 2));
  const [worst] = leftOf(figures).sort((one, other) => other.left - one.left);
  const isKept = worst!.left > leftLimit;
  const held = await explained.holders(subject, isKept, go, { of: ['Samples'], atLeast: widgetsEach / 2 });
  expectAtMost(worst!.left, leftLimit, `${held}in memory are still, of ${widgetsEach} ${worst!.what},`, 'objects');
}

function stepInWords(step: Step): string {
  if (step[0] !== 'add') return step.join(' ');
  const [, name, topic, samples, act, signal] = step;
  const does = act === undefined || act === 'nothing more' ? '' : ` whose onChange ${actInWords(act)}`;
  return `add ${name} to ${topic} with [${samples.join(', ')}]${does}${signal === undefined ? '' : ` and signal ${signal}`}`;
}

function actInWords(act: Exclude<Act, 'nothing more'>): string {
  if (typeof act === 'string') return act;
  if ('throws' in act) return `${act.disposesItself ? 'disposes of its widget and ' : ''}throws ${act.throws}`;
  return `disposes of ${act.disposes.join(' and ')}`;
}
