import fc from 'fast-check';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';

/** What differs from seed to seed: times, and what keys and values are made of. */
const drawn = drawOne(
  fc.record({
    ttlMs: fc.integer({ min: 20_000, max: 90_000 }),
    staleMs: fc.integer({ min: 5_000, max: 15_000 }),
    missingMs: fc.integer({ min: 1_000, max: 4_000 }),
    maxKeys: fc.integer({ min: 5, max: 8 }),
    startMs: fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
    word: fc.stringMatching(/^[a-z]{5,9}$/),
    number: fc.integer({ min: 100, max: 90_000 }),
    callers: fc.integer({ min: 11, max: 20 }),
  }),
);
export const { ttlMs, staleMs, missingMs, maxKeys, startMs, callers } = drawn;
const { word } = drawn;

let keys = 0;
let values = 0;

/** A key that no other test uses. */
export function newKey(): string {
  return `${word}-${++keys}`;
}

/** A value that no other load has returned. */
export function newValue(): { value: unknown } {
  return { value: { price: drawn.number + ++values, text: `“${word}” é \\ ' %` } };
}

/** The longest keys that the README allows, in which nothing but the last character differs. */
export function longKeys(count: number): string[] {
  const start = newKey().padEnd(199, 'é');
  return Array.from({ length: count }, (_, index) => start + String(index));
}

/** Keys that a careless module takes for one another, or for something else. */
export function oddKeys(): string[] {
  const key = newKey();
  const long = newKey() + '😀'.repeat(80);
  return [
    '__proto__ constructor hasOwnProperty toString value loadedAt null undefined 0 00'.split(' '),
    ['', ' ', key, key.toUpperCase(), `${key} `, ` ${key}`, `${key}\n`],
    [`${key}é`, `${key}e\u0301`, `${key}e`, `${key}😀`, `${key}😁`],
    [`${key}'; --`, `${key}%`, `${key}_`, `${key}\\`, `${key}/../x`],
    [...longKeys(2), `${long}😀`, `${long}😁`],
  ].flat();
}
