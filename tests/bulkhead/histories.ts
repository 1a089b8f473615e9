import fc from 'fast-check';
import type { Play, Step } from './inside.ts';

/**
 * Newcomers that arrive at every microtask after the end of a call, while others wait. In one of these moments the slot is
 * handed on.
 */
export const handOns: readonly Play[] = [1, 2].flatMap((concurrency) =>
  [1, 2].flatMap((waiters) =>
    [1, 2].flatMap((newcomers) =>
      Array.from({ length: 13 }, (_, gap): Play => ({
        concurrency,
        queueLimit: Infinity,
        steps: [
          ...Array.from({ length: concurrency + waiters }, (): Step => ['call']),
          ['rest'],
          ['end'],
          ['microtasks', gap],
          ...Array.from({ length: newcomers }, (): Step => ['call']),
        ],
      })),
    ),
  ),
);

const call: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>(['call']) },
  { weight: 1, arbitrary: fc.constant<Step>(['call', { again: 'at its begin' }]) },
  { weight: 1, arbitrary: fc.constant<Step>(['call', { again: 'at its result' }]) },
  { weight: 1, arbitrary: fc.constant<Step>(['call', { work: 'returns' }]) },
);
const end = fc.nat({ max: 3 }).map((which): Step => ['end', { which }]);
const microtasks = fc.integer({ min: 1, max: 8 }).map((count): Step => ['microtasks', count]);

/** Calls that come and end at any moment, with a queue without limit. */
export const drawHistory: fc.Arbitrary<Play> = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  queueLimit: fc.constant(Infinity),
  steps: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: call },
      { weight: 4, arbitrary: end },
      { weight: 3, arbitrary: microtasks },
      { weight: 1, arbitrary: fc.constant<Step>(['rest']) },
    ),
    { minLength: 6, maxLength: 30, size: 'max' },
  ),
});

const signal = fc.constantFrom('s', 't', 'u');

/** Calls that also fail, are refused, and are aborted while they wait or at work. */
export const drawHistoryWithEverything: fc.Arbitrary<Play> = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  queueLimit: fc.integer({ min: 0, max: 3 }),
  steps: fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constant<Step>(['call']) },
      { weight: 3, arbitrary: signal.map((name): Step => ['call', { signal: name }]) },
      { weight: 3, arbitrary: end },
      { weight: 1, arbitrary: fc.constant<Step>(['end', { how: 'rejects' }]) },
      { weight: 1, arbitrary: signal.map((name): Step => ['abort', name]) },
    ),
    { minLength: 4, maxLength: 16, size: 'max' },
  ),
});

/** A history in plain words. */
export function inWords({ concurrency, queueLimit, steps }: Play): string {
  const told = steps.map((step) => {
    const [what, detail] = step;
    if (what === 'rest') return 'rest';
    if (what === 'microtasks') return `${detail} microtasks`;
    if (detail === undefined) return what;
    return `${what} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`;
  });
  return `concurrency ${concurrency}, queueLimit ${queueLimit}; ${told.join(' · ')}`;
}
