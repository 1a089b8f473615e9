import { describe, expect, test } from 'vitest';
import type { Tier } from '../../foundations/catalogue/catalogue.ts';
import { kataScore, promiseWeight, totalScore, weighTiers } from './weigh.ts';

const promises = (tier: Tier, held: number, of: number) =>
  Array.from({ length: of }, (_, index) => ({ tier, held: index < held }));
const scoreOf = (...tiers: ReturnType<typeof promises>[]) => kataScore(weighTiers(tiers.flat()));

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

test('the promises of a tier share its weight', () => {
  const tiers = weighTiers([...promises('core', 0, 2), ...promises('robust', 0, 4), ...promises('stretch', 0, 3)]);

  expect((['core', 'robust', 'stretch'] as const).map((tier) => promiseWeight(tiers, tier))).toEqual([30, 7.5, 3.33]);
});

test('the total is the mean over the katas', () => {
  expect(totalScore([100, 0, 50.5])).toBe(50.17);
  expect(totalScore([])).toBe(0);
});
