import fc from 'fast-check';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';

const word = fc.stringMatching(/^[a-z]{5,9}$/);
const text = fc.oneof(word, fc.constantFrom('', "it's", '"\\n"', '50 % of ?', '😀 ä', 'null'));
const leaf = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null));
/** What JSON can hold. */
const json = fc.oneof(
  { weight: 2, arbitrary: leaf },
  { weight: 1, arbitrary: fc.array(leaf, { maxLength: 3 }) },
  { weight: 3, arbitrary: fc.dictionary(word, fc.oneof(leaf, fc.array(leaf, { maxLength: 2 })), { maxKeys: 3 }) },
);

/** What differs from seed to seed. The clock begins years after today. */
export const drawn = drawOne(
  fc.record({
    leaseMs: fc.integer({ min: 20_000, max: 90_000 }),
    retryMs: fc.integer({ min: 1_000, max: 4_000 }),
    /** Hours, as others have seconds. */
    longRetryMs: fc.integer({ min: 22_000_000, max: 30_000_000 }),
    maxAttempts: fc.integer({ min: 4, max: 5 }),
    startMs: fc.integer({ min: 1_900_000_000_000, max: 2_100_000_000_000 }),
    worker: word,
    // A text that looks like a number is a text.
    data: fc
      .tuple(fc.nat().map(String), fc.array(json, { minLength: 17, maxLength: 17 }))
      .map(([digits, others]): unknown[] => [digits, ...others]),
    waitsMs: fc
      .array(fc.constantFrom(undefined, -70, -5, -1, 0, 1, 90), { minLength: 11, maxLength: 11 })
      .chain((waits) => fc.shuffledSubarray([undefined, -70, -5, -5, 0, 1, 90, ...waits], { minLength: 18 })),
  }),
);

let count = 0;

/** Data that no other job has. */
export function newData(): { readonly mail: string } {
  return { mail: `${drawn.worker}-${++count}` };
}
