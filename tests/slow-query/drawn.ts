import fc from 'fast-check';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { NewRow } from './shop.ts';

/** What differs from seed to seed. */
export const drawn = drawOne(
  fc.record({
    year: fc.integer({ min: 2016, max: 2023 }),
    customer: fc.integer({ min: 100, max: 199 }),
    firstWatched: fc.integer({ min: 200, max: 899 }),
    limit: fc.integer({ min: 8, max: 15 }),
    step: fc.integer({ min: 6_000_001, max: 7_999_999 }),
    many: fc.integer({ min: 400, max: 500 }),
    seconds: fc.integer({ min: 0, max: 80_000 }),
    gaps: fc.array(fc.constantFrom(0, 0, 0, 1, 1, 999, 1000, 1001, 60_000_000), { minLength: 60, maxLength: 60 }),
    order: fc.shuffledSubarray(
      Array.from({ length: 60 }, (_, index) => index),
      { minLength: 60 },
    ),
    cents: fc.array(fc.integer({ min: -5_000, max: 90_000_000 }), { minLength: 60, maxLength: 60 }),
  }),
);
const { year, customer, firstWatched, seconds } = drawn;

/** How many customers `totals` is called for. */
const watchedCount = 10;
export const watched = Array.from({ length: watchedCount }, (_, index) => firstWatched + index);

/** A time as the server writes it. */
export function at(micros: number, ofYear = year): string {
  const ms = Date.UTC(ofYear, 0, 1) + Math.floor(micros / 1000);
  const rest = String(((micros % 1000) + 1000) % 1000).padStart(3, '0');
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', rest);
}

/**
 * Sixty orders of three customers, in a few bursts. Many are at equal times, some a microsecond apart; ids and cents do not follow
 * the times. The first ones come a few microseconds before a second, where a time that is rounded is another one.
 */
export function bursts(): NewRow[] {
  let micros = (seconds + 1) * 1_000_000 - 5;
  const rows = drawn.gaps.map((gap, index) => ({
    customerId: customer + Math.floor((drawn.cents[index]! + 5_000) % 3),
    at: at((micros += gap)),
    cents: drawn.cents[index]!,
  }));
  return drawn.order.map((index) => rows[index]!);
}

/** Orders at the beginning and at the end of the year, for customers who have others before and after. */
export function yearsEnds(): NewRow[] {
  const end = (Date.UTC(year + 1, 0, 1) - Date.UTC(year, 0, 1)) * 1000;
  const times = [-1, 0, 1, seconds * 1_000_000, end - 86_400_000_000, end - 1_500_000, end - 500_000, end - 1, end];
  return [0, 1].flatMap((index) =>
    times.map((micros, number) => ({
      customerId: customer + index,
      at: at(micros),
      cents: 10 ** number * (index + 1) * 7 + (number === 3 ? 2 ** 40 : 0),
    })),
  );
}

/** Orders of one customer whose refunds outweigh them. */
export function refunds(): NewRow[] {
  return [drawn.many, -100 * drawn.many].map((cents) => ({ customerId: customer + 4, at: at(1), cents }));
}

/** The orders of the year that those customers have whom the judge asks about. */
export function ofTheYear(): NewRow[] {
  return [
    ...watched.flatMap((customerId, index) => spread(customerId, 5 + (index % 4), year)),
    ...spread(customer, 25, year),
  ];
}

function spread(customerId: number, count: number, ofYear: number): NewRow[] {
  return Array.from({ length: count }, (_, index) => ({
    customerId,
    // In pairs at equal times.
    at: at((Math.floor(index / 2) * 90_000 + seconds) * 1_000_000, ofYear),
    cents: (index * 7919 + customerId) % 10_000,
  }));
}
