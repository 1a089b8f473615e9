import { median } from './median.ts';

/**
 * The slope of a line through these points, robust against outliers: the median of the slopes between all pairs. Up to 29 % of
 * the points may lie anywhere. Undefined slopes (equal x) are left out.
 *
 * Theil (1950), "A rank-invariant method of linear and polynomial regression analysis"; Sen (1968), doi:10.1080/01621459.1968.10480934
 * @throws RangeError when fewer than two different x are given
 */
export function theilSenSlope(points: readonly (readonly [x: number, y: number])[]): number {
  const slopes = points.flatMap(([x, y], at) =>
    points.slice(at + 1).flatMap(([nextX, nextY]) => (nextX === x ? [] : [(nextY - y) / (nextX - x)])),
  );
  if (slopes.length === 0) throw new RangeError('A slope needs points at two different x.');
  return median(slopes);
}

/**
 * How much values grow from each to the next: the Theil-Sen slope, without a step that is ten times as large as all other changes
 * together. A step is no outlier: everything after it lies higher, so in the middle of few values Theil-Sen takes it for a slope. An array
 * that grows by a number each time takes steps as well, each half as large again as the one before.
 * @throws RangeError when there are fewer than two values
 */
export function growthBesideStep(values: readonly number[]): number {
  const changes = values.slice(1).map((value, at) => value - values[at]!);
  const step = Math.max(...changes);
  const others = changes.toSpliced(changes.indexOf(step), 1);
  const isStep = step > 10 * others.reduce((sum, change) => sum + Math.abs(change), 0);
  const height = isStep && others.length > 0 ? step - median(others) : 0;
  const stepAt = changes.indexOf(step) + 1;
  return theilSenSlope(values.map((value, at) => [at, at >= stepAt ? value - height : value]));
}
