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
