import { describe, expect, test } from 'vitest';
import type { Margin } from '../../judging/verdict/expect-that.ts';
import type { PromiseVerdict, Verdict } from '../../judging/verdict/verdict.ts';
import { faultsOfMargins, marginsOf, marginsText, recordOf, useOf } from './margins.ts';

test.for<[side: Margin['side'], measured: number, limit: number, use: number]>([
  ['at most', 16, 32, 0.5],
  ['at most', 48, 32, 1.5],
  ['at most', -5, 32, 0],
  ['at most', 0, 0, 0],
  ['at most', 1, 0, Infinity],
  ['at least', 20, 10, 0.5],
  ['at least', 5, 10, 2],
  ['at least', 0, 10, Infinity],
])('%s: %d with a limit of %d is a use of %d', ([side, measured, limit, use]) => {
  expect(useOf({ side, measured, limit })).toBe(use);
});

describe('for each quantity of a promise', () => {
  test('the correct and the wrong answer that came nearest are found', () => {
    const margins = marginsOf([
      answer('solution', [], [held(['client 1 held', 10])]),
      answer('accepted/b', [], [held(['client 2 held', 40], ['client 3 held', 30])]),
      answer('rejected/c', [1], [broke(['client 1 held', 900])]),
      answer('rejected/d', [1], [broke(['client 9 held', 300], ['client 10 held', 120])]),
    ]);

    expect(margins).toEqual([
      {
        promise: 1,
        what: 'client # held',
        correct: { name: 'accepted/b', measured: 40, limit: 100, use: 0.4 },
        wrong: { name: 'rejected/d', measured: 300, limit: 100, use: 3 },
      },
    ]);
    expect(faultsOfMargins('kata', margins)).toEqual([]);
    expect(recordOf(margins)).toEqual({ 1: { name: 'rejected/d', use: 3 } });
    expect(marginsText(margins)).toBe(
      'promise 1: client # held\n  correct     40%  accepted/b (40, limit 100)\n  wrong      300%  rejected/d (300, limit 100)',
    );
  });

  test('a wrong answer needs to exceed one of several', () => {
    const margins = marginsOf([answer('rejected/c', [1], [broke(['bytes read', 20], ['bytes kept', 500])])]);

    expect(margins.map(({ what, wrong }) => [what, wrong?.use])).toEqual([['bytes kept', 5]]);
  });

  test('a wrong answer that fails without a quantity, or that does not claim the promise, says nothing', () => {
    expect(marginsOf([answer('rejected/c', [1], [broke(['bytes', 20])])])).toEqual([]);
    expect(marginsOf([answer('rejected/c', [2], [broke(['bytes', 120])])])).toEqual([]);
    expect(marginsOf([answer('rejected/c', [1], [held(['bytes', 120])])])).toEqual([]);
  });

  test('the nearest of all its verdicts counts', () => {
    const [margin] = marginsOf([answer('solution', [], [held(['bytes', 10])], [held(['bytes', 60])])]);
    expect(margin?.correct?.use).toBe(0.6);
  });
});

test('a correct answer must not use more than half of a limit, a wrong one must exceed it by half', () => {
  const margins = marginsOf([
    answer('accepted/b', [], [held(['bytes', 51])]),
    answer('rejected/c', [1], [broke(['bytes', 149])]),
  ]);

  expect(faultsOfMargins('kata', margins)).toEqual([
    'Promise 1 of kata, "bytes": accepted/b is correct and uses 51% of the limit; at most 50% is steady.',
    'Promise 1 of kata, "bytes": rejected/c is wrong and uses only 149% of the limit; from 150% on it is steady.',
  ]);
  const atTheEdge = marginsOf([
    answer('accepted/b', [], [held(['bytes', 50])]),
    answer('rejected/c', [1], [broke(['bytes', 150])]),
  ]);
  expect(faultsOfMargins('kata', atTheEdge)).toEqual([]);
});

test('a margin without a bound is printed, and is not recorded', () => {
  const margins = marginsOf([answer('rejected/c', [1], [broke(['bytes', 5, 0])])]);
  expect(marginsText(margins)).toContain('–  no answer measured it\n  wrong         ∞  rejected/c (5, limit 0)');
  expect(recordOf(margins)).toEqual({});
});

type Measured = readonly [what: string, measured: number, limit?: number];

function answer(name: string, breaks: readonly number[], ...rounds: PromiseVerdict[][]) {
  return {
    submission: { name, breaks },
    verdicts: rounds.map((promises): Verdict => ({ slug: 'kata', promises, trouble: undefined })),
  };
}

function held(...measured: Measured[]): PromiseVerdict {
  return promise(true, measured);
}

function broke(...measured: Measured[]): PromiseVerdict {
  return promise(false, measured);
}

function promise(isHeld: boolean, measured: readonly Measured[]): PromiseVerdict {
  return {
    ...{ number: 1, tier: 'core', text: 'It holds.', held: isHeld, notJudged: undefined, seen: undefined },
    ...{ stack: undefined, printed: undefined, line: undefined, durationMs: 0, charts: [] },
    margins: measured.map(([what, amount, limit = 100]) => ({ what, measured: amount, limit, side: 'at most' })),
  };
}
