import { describe, expect, test } from 'vitest';
import type { Tier } from '../../foundations/catalogue/catalogue.ts';
import { kataScore, promiseWeight, totalScore, weighTiers } from './weigh.ts';

const promises = (tier: Tier, held: number, of: number, guard = false) =>
  Array.from({ length: of }, (_, index) => ({ tier, held: index < held, guard }));
const guards = (tier: Tier, held: number, of: number) => promises(tier, held, of, true);
const scoreOf = (...groups: ReturnType<typeof promises>[]) => kataScore(groups.flat());

describe('a kata of three tiers: core weighs 60, robust 30, stretch 10', () => {
  test.each([
    [2, 4, 3, 100],
    [0, 0, 0, 0],
    [2, 0, 0, 60],
    [1, 0, 0, 30],
    [0, 4, 0, 30],
    [0, 0, 3, 10],
    [1, 2, 1, 48.33],
  ])('core %i of 2, robust %i of 4, stretch %i of 3: %d', (core, robust, stretch, expected) => {
    expect(scoreOf(promises('core', core, 2), promises('robust', robust, 4), promises('stretch', stretch, 3))).toBe(
      expected,
    );
  });
});

describe('a tier that is not there leaves its weight to the others, in proportion', () => {
  test('no stretch: 66.67 and 33.33', () => {
    expect(scoreOf(promises('core', 1, 1), promises('robust', 0, 1))).toBe(66.67);
    expect(scoreOf(promises('core', 0, 1), promises('robust', 1, 1))).toBe(33.33);
    expect(scoreOf(promises('core', 1, 1), promises('robust', 1, 1))).toBe(100);
  });

  test('core alone is all of it', () => {
    expect(scoreOf(promises('core', 2, 3))).toBe(66.67);
  });
});

describe('guards, which the starter holds already', () => {
  test('give nothing: an untouched starter is worth 0', () => {
    expect(scoreOf(promises('core', 0, 2), guards('core', 3, 3), guards('robust', 2, 2))).toBe(0);
  });

  test('take nothing away when they are kept', () => {
    expect(scoreOf(promises('core', 2, 2), guards('core', 3, 3), guards('robust', 2, 2))).toBe(100);
    expect(scoreOf(promises('core', 1, 2), guards('robust', 2, 2))).toBe(50);
  });

  test('cost what a promise of their tier is worth among all when they are lost', () => {
    // Core 66.67 and robust 33.33 of all; robust has two promises.
    expect(scoreOf(promises('core', 2, 2), guards('robust', 1, 2))).toBe(83.33);
    expect(scoreOf(promises('core', 2, 2), guards('core', 0, 2), promises('stretch', 1, 1))).toBe(57.14);
  });

  test('never take a score below 0', () => {
    expect(scoreOf(promises('core', 0, 1), guards('core', 0, 9))).toBe(0);
    expect(scoreOf(promises('stretch', 1, 1), guards('core', 0, 1))).toBe(14.29);
  });

  test('are all there is where the starter holds everything', () => {
    expect(scoreOf(guards('core', 1, 2))).toBe(50);
  });
});

test('the promises of a tier that the starter breaks share its weight', () => {
  const all = [...promises('core', 0, 2), ...promises('robust', 0, 4), ...promises('stretch', 0, 3)];

  expect([all[0]!, all[2]!, all[6]!].map((one) => promiseWeight(all, one))).toEqual([30, 7.5, 3.33]);
  expect(weighTiers([...all, ...guards('core', 1, 1)])[0]).toEqual({ tier: 'core', held: 1, of: 3, weight: 60 });
});

test('the total is the mean over the katas', () => {
  expect(totalScore([100, 0, 50.5])).toBe(50.17);
  expect(totalScore([])).toBe(0);
});
