import fc from 'fast-check';
import type { Play, Step, Walk } from './inside.ts';

type Act = Step[0];
type Options = Omit<Play, 'steps' | 'startMs'>;

const letters = ['a', 'b', 'c', 'd', 'e', 'f'];
const startMs = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 40 }));

/** Histories with these acts, the more often the higher the number. `ending` is what is asked at the end. */
export function histories(
  options: fc.Arbitrary<Options>,
  acts: Partial<Record<Act, number>>,
  ending: readonly Step[] = [['size']],
  length = 24,
): fc.Arbitrary<Play> {
  const kinds = Object.entries(acts).map(([act, weight]) => ({ weight, arbitrary: fc.constant(act as Act) }));
  return fc
    .record({
      options,
      startMs,
      // Ids are drawn, but no id comes twice: each step has the next one.
      firstId: fc.integer({ min: 0, max: 900 }),
      drawn: fc.array(
        fc.record({ act: fc.oneof(...kinds), key: fc.constantFrom(...letters), number: fc.nat({ max: 99 }) }),
        { minLength: 4, maxLength: length, size: 'max' },
      ),
    })
    .map(({ options: limits, startMs: from, firstId, drawn }) => ({
      ...limits,
      startMs: from,
      steps: [
        ...drawn.flatMap(({ act, key, number }, at) => stepsOf(act, key, number, firstId + at, limits)),
        ...ending,
      ],
    }));
}

/** An iteration with changes after each entry. Where an expired entry could be evicted, nothing expires. */
export const walks: fc.Arbitrary<Walk> = fc
  .record({
    startMs,
    limits: fc.oneof(
      fc.constant({ max: 6 }),
      // No entry is looked at in its last millisecond: whether that counts is not the matter here.
      fc.integer({ min: 2, max: 12 }).map((quarter) => ({ max: 100, ttlMs: 4 * quarter + 2 })),
    ),
    count: fc.integer({ min: 1, max: 6 }),
    drawn: fc.array(
      fc.array(
        fc.record({
          act: fc.constantFrom<Act>('get', 'get', 'set', 'delete', 'wait', 'use', 'clear'),
          key: fc.constantFrom(...letters),
          number: fc.nat({ max: 99 }),
        }),
        { maxLength: 2 },
      ),
      { maxLength: 6 },
    ),
  })
  .map(({ startMs: from, limits, count, drawn }) => {
    let id = 100;
    const changes = drawn.map((some) =>
      some.flatMap(({ act, key, number }): Step[] => {
        id += 1;
        if (act === 'clear') return number < 25 ? [['clear']] : [];
        if (act === 'use') return [['use', `new ${id}`, id]];
        if (act === 'set') return [['set', key, id, 1]];
        return act === 'wait' ? [['wait', 4 * (number % 5)]] : [[act as 'get' | 'delete', key]];
      }),
    );
    const filling = letters.slice(0, count).flatMap((key, at): Step[] => [
      ['set', key, at, 1],
      ['wait', 4],
    ]);
    return { ...limits, startMs: from, steps: [...filling, ['get', 'b']], changes };
  });

/** A play in plain words. */
export function inWords({ steps, max, maxBytes, ttlMs }: Play): string {
  const limits = [`max ${max}`, maxBytes && `maxBytes ${maxBytes}`, ttlMs && `ttlMs ${ttlMs}`].filter(Boolean);
  return `${limits.join(', ')}; ${steps.map(stepInWords).join(' · ')}`;
}

/** A walk in plain words. */
export function walkInWords(walk: Walk): string {
  const changes = walk.changes.map((some, at) =>
    some.length === 0 ? '' : `; after ${at + 1}: ${some.map(stepInWords).join(' · ')}`,
  );
  return `${inWords(walk)}; then iterate${changes.join('')}`;
}

/** A step in plain words. */
export function stepInWords([act, key, ...details]: Step): string {
  if (act === 'wait') return `wait ${key} ms`;
  if (act === 'set' || act === 'fetch') return `${act} ${key} to #${String(details[0])} (${details[1]} bytes)`;
  if (act === 'set badly')
    return `set ${key}, sizeOf ${details[0] === '' ? 'throws' : `returns ${String(details[0])}`}`;
  return [act, key].filter((word) => word !== undefined).join(' ');
}

const badSizes = [-1, 2.5, NaN, Infinity, '3', '', undefined, null];

function stepsOf(act: Act, key: string, number: number, id: number, { maxBytes = 0, ttlMs = 0 }: Options): Step[] {
  // Every tenth is larger than the limit; a third is nothing or all of it.
  const bytes =
    number < 10 ? maxBytes + 1 + number : number < 25 ? 0 : number < 40 ? maxBytes : number % (maxBytes + 1);
  switch (act) {
    case 'set':
    case 'fetch':
      return [[act, key, id, bytes]];
    case 'set badly':
      return [[act, key, badSizes[number % badSizes.length]]];
    case 'use':
      return [[act, key, id]];
    case 'wait':
      // Where an expired entry could be evicted, there are none.
      return [[act, waits(ttlMs)[number % 5]!], ['purge'], ['size']];
    case 'get':
    case 'peek':
    case 'has':
    case 'delete':
      return [[act, key]];
    case 'clear':
    case 'purge':
    case 'bytes':
    case 'size':
    case 'entries':
      return [[act]];
  }
}

/** Around the end of an entry, and less. */
function waits(ttlMs: number): number[] {
  return [ttlMs - 1, 1, ttlMs, Math.ceil(ttlMs / 2), 0];
}
