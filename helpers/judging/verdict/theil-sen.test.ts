import { expect, test } from 'vitest';
import { growthBesideStep, theilSenSlope } from './theil-sen.ts';

test('points on a line have its slope', () => {
  expect(
    theilSenSlope([
      [0, 5],
      [1, 7],
      [4, 13],
    ]),
  ).toBe(2);
});

test('a table that comes and goes does not move it', () => {
  const leak = Array.from({ length: 9 }, (_, cycle) => [cycle, cycle * 320] as const);
  const bumped = leak.map(([x, y]) => [x, x === 3 || x === 4 ? y + 43_000 : y] as const);

  expect(theilSenSlope(bumped)).toBeCloseTo(320, 5);
});

test('one point, or several at the same place, have no slope', () => {
  expect(() => theilSenSlope([[1, 1]])).toThrow(RangeError);
  expect(() =>
    theilSenSlope([
      [1, 1],
      [1, 2],
    ]),
  ).toThrow(RangeError);
});

test('a table that grows once is no growth, wherever that happens, and hides none', () => {
  for (let stepAt = 1; stepAt <= 6; stepAt++)
    for (const perCycle of [0, 320]) {
      const heap = Array.from({ length: 7 }, (_, cycle) => cycle * perCycle + (cycle >= stepAt ? 65_752 : 0));

      expect(growthBesideStep(heap), `a step before value ${stepAt}, growth ${perCycle}`).toBe(perCycle);
    }
});

test('growth that is not even is growth, such as the steps of an array', () => {
  expect(growthBesideStep([0, 0, 13_000, 13_000, 13_000, 33_000, 33_000])).toBeGreaterThan(3000);
  expect(growthBesideStep([0, 1000, 1000, 2000, 2000, 3000, 3000])).toBe(500);
  expect(growthBesideStep([0, 1000])).toBe(1000);
});
