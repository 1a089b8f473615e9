import { expect, test } from 'vitest';
import { theilSenSlope } from './theil-sen.ts';

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
