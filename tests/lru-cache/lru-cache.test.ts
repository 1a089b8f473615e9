import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import { collectUntil, measure } from '../../helpers/instruments/heap/heap-figures.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne, expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { contrast } from '../../helpers/judging/verdict/contrast.ts';
import { expectAtLeast, expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { median } from '../../helpers/judging/verdict/median.ts';
import type * as Kata from '../../katas/lru-cache/lru-cache.ts';
import { histories, inWords, stepInWords, walkInWords, walks } from './histories.ts';
import {
  type FetchStep,
  type Play,
  type Seen,
  type Step,
  compareWithPackage,
  construct,
  holdClock,
  evictOddKeys,
  leaveInAllWays,
  overtakeLoads,
  playAll,
  playFetches,
  storeValues,
  walkAll,
} from './inside.ts';
import { expectedOf, faultOfWalk } from './oracle.ts';

/** How many entries leave in each way, and how many of them may still be in memory. */
const [leavers, leftLimit] = [100, 10];
/** How many times as much as the package. */
const costLimit = 3;

const test = judge<typeof Kata>('lru-cache', { furnish: holdClock }).extend(
  'explained',
  { scope: 'file' },
  () => new Explained('LruCache'),
);

const small = fc.integer({ min: 1, max: 4 });
const ttlMs = fc.integer({ min: 2, max: 1000 });
/** Longer than any entry lives. */
const longMs = 5_000;
const maxBytes = fc.integer({ min: 5, max: 40 });
const peekAll = ['a', 'b', 'c', 'd', 'e', 'f'].map((key): Step => ['peek', key]);

describe('core', () => {
  test('Beyond max entries, set must evict the least recently used; get and set are uses.', async ({ subject }) => {
    const few = small.map((max) => ({ max }));

    await expectHistories(subject, histories(few, { use: 1 }, [['size']], 40), 100);
    const stayed = await subject.run(evictOddKeys);
    expect(stayed, 'max 2; each of some odd keys was set, and then two more; those that were not evicted').toEqual([]);
  });

  test('undefined must be a value like any other: has finds it, and fetch does not load it again.', async ({
    subject,
  }) => {
    const faults = await subject.run(
      storeValues,
      drawOne(fc.tuple(fc.string({ minLength: 3 }), fc.integer({ min: 9 }))),
    );

    expectThat(faults.length === 0, `${faults[0]} (${faults.length} faults)`);
  });

  test('peek and has must answer as get does, without being uses.', async ({ subject }) => {
    const few = small.map((max) => ({ max }));

    await expectHistories(subject, histories(few, { use: 4, peek: 3, has: 3 }, [['size']], 40), 100);
  });
});

describe('robust', () => {
  test('An entry must expire ttlMs after its set by now alone, without timers; reading must not prolong it.', async ({
    subject,
  }) => {
    const lives = fc.tuple(ttlMs, fc.integer({ min: 0, max: 999 }), fc.constantFrom('get', 'peek', 'has', 'use'));
    const plays = lives.chain(([ms, early, read]) =>
      histories(fc.constant({ max: 100, ttlMs: ms }), { use: 1 }, [], 6).map(({ steps, ...play }): Play => ({
        ...play,
        steps: [
          ...steps,
          ['use', 'a', 1000],
          ['wait', early % ms],
          read === 'use' ? ['fetch', 'a', 1001, 1] : ([read, 'a'] as Step),
          ['get', 'b'],
          ['wait', ms - 1 - (early % ms)],
          ['has', 'a'],
          ['get', 'a'],
          ['wait', 1],
          read === 'use' ? ['has', 'a'] : ([read, 'a'] as Step),
          ['has', 'a'],
          ['fetch', 'a', 1002, 1],
          ['wait', ms - 1],
          ['peek', 'a'],
          ['wait', 1],
          ['peek', 'a'],
          ['get', 'b'],
        ],
      })),
    );

    const { timers: before } = await measure(subject);
    await expectHistories(subject, plays, 100);
    const { timers: after } = await measure(subject);
    expect(after - before, 'timers that 100 caches with a ttl started').toBe(0);
  });

  test('bytes must be the sum of the sizes and never exceed maxBytes; a larger value must be refused.', async ({
    subject,
  }) => {
    const withBytes = maxBytes.map((bytes) => ({ max: 100, maxBytes: bytes }));
    const acts = { use: 1, set: 6, 'set badly': 2, delete: 2, clear: 0.3, fetch: 1 } as const;

    await expectHistories(subject, afterEach(histories(withBytes, integers(acts)), ['bytes']), 150);
  });

  test('set on a known key must renew its value, size, age and rank, and evict only what is needed.', async ({
    subject,
  }) => {
    const limits = fc.record({ max: small, maxBytes, ttlMs });
    const byRank = histories(
      small.map((max) => ({ max })),
      { set: 1, use: 1 },
      peekAll,
    );
    const byBytes = histories(fc.record({ max: fc.constant(100), maxBytes }), { set: 1 }, [['bytes'], ...peekAll]);
    const byAge = histories(
      ttlMs.map((ms) => ({ max: 100, ttlMs: ms })),
      { set: 3, wait: 2 },
      peekAll,
    );
    const byAll = histories(limits, { set: 3, wait: 1 }, [['bytes'], ...peekAll]);

    await expectHistories(subject, fc.oneof(byRank, byBytes, byAge, byAll), 200);
  });

  test('An entry that leaves must be passed to dispose exactly once; nothing of it must stay in memory.', async ({
    subject,
    explained,
  }) => {
    const limits = fc.record({ max: small, maxBytes, ttlMs });
    const acts = { use: 2, set: 3, delete: 1, clear: 1, wait: 2, fetch: 1, get: 1 };
    await expectHistories(subject, histories(limits, acts, [['clear']]), 200, ({ disposed }) => [...disposed].sort(), [
      'expected of dispose',
      'seen of dispose',
    ]);
    // All that is left expires, and leaves by a purge or by clear.
    for (const ending of [[['purge']], [['wait', longMs], ['clear']]] satisfies Step[][]) {
      const last = histories(
        ttlMs.map((ms) => ({ max: 100, ttlMs: ms })),
        { set: 2, get: 2, wait: 2 },
        ending,
      );
      await expectHistories(subject, last, 100, ({ disposed }) => [...disposed].sort(), [
        'expected of dispose',
        'seen of dispose',
      ]);
    }

    const overtaken = await subject.run(overtakeLoads);
    expect(overtaken, 'calls that met a key while it was loaded, after which dispose got what was loaded').toEqual([]);

    const stays = await subject.run(leaveInAllWays, { count: leavers });
    for (const { way, stayed } of stays) expect(stayed, `${way}: 3 entries were set last; of them, has found`).toBe(3);
    const leftOf = ({ watched }: Awaited<ReturnType<typeof collectUntil>>) =>
      Object.entries(watched).map(([what, { seen, collected }]) => ({ what, left: seen - collected }));
    const figures = await collectUntil(subject, (now) => leftOf(now).every(({ left }) => left <= leftLimit / 2));
    const [worst] = leftOf(figures).sort((one, other) => other.left - one.left);
    const leaveAgain = () => subject.run(leaveInAllWays, { count: leavers });
    const held = await explained.holders(subject, worst!.left > leftLimit, leaveAgain, {
      of: ['Named', 'Weighty'],
      atLeast: leavers / 2,
    });
    expectAtMost(
      worst!.left,
      leftLimit,
      `${held}${leavers} entries left a cache in each way; in memory are still, of the ${worst!.what},`,
      'objects',
    );
  });

  test('fetch must load once for all who ask meanwhile, keep no failure, and overwrite nothing newer.', async ({
    subject,
  }) => {
    const ids = drawOne(fc.uniqueArray(fc.integer({ min: 100, max: 999 }), { minLength: 3, maxLength: 3 }));
    const [one, two, three] = ids as [number, number, number];
    const tooLarge = 10_001;
    await expectFetches(subject, [
      ['fetch', 'a'],
      ['fetch', 'a'],
      ['fetch', 'b'],
      ['rest', '2 loads; waits, waits, waits; cached nothing'],
      ['end', 2, 'returns', two],
      ['fetch', 'a'],
      ['rest', `2 loads; waits, waits, ${two}, waits; cached b=${two}`],
      ['end', 1, 'returns', one],
      ['rest', `2 loads; ${one}, ${one}, ${two}, ${one}; cached a=${one} b=${two}`],
      ['fetch', 'a'],
      ['rest', `2 loads; ${one}, ${one}, ${two}, ${one}, ${one}; cached a=${one} b=${two}`],
    ]);
    await expectFetches(subject, [
      ['fetch', 'a'],
      ['fetch', 'a'],
      ['rest', '1 loads; waits, waits; cached nothing'],
      ['end', 1, 'rejects', 0],
      ['rest', '1 loads; load 1 failed, load 1 failed; cached nothing'],
      ['fetch', 'a'],
      ['rest', '2 loads; load 1 failed, load 1 failed, waits; cached nothing'],
      ['end', 2, 'returns', one],
      ['rest', `2 loads; load 1 failed, load 1 failed, ${one}; cached a=${one}`],
      ['loads', 'throw'],
      ['fetch', 'b'],
      ['rest', `3 loads; load 1 failed, load 1 failed, ${one}, load 3 failed; cached a=${one}`],
      ['loads', 'return'],
      ['fetch', 'b'],
      ['rest', `4 loads; load 1 failed, load 1 failed, ${one}, load 3 failed, 4; cached a=${one} b=4`],
    ]);
    await expectFetches(subject, [
      ['fetch', 'a'],
      ['rest', '1 loads; waits; cached nothing'],
      ['end', 1, 'returns', -1],
      ['rest', '1 loads; not stored; cached nothing'],
      ['fetch', 'a'],
      ['rest', '2 loads; not stored, waits; cached nothing'],
      ['end', 2, 'returns', one],
      ['rest', `2 loads; not stored, ${one}; cached a=${one}`],
    ]);
    // Its ttl begins when it is stored, and a second load may follow the first.
    await expectFetches(subject, [
      ['fetch', 'a'],
      ['rest', '1 loads; waits; cached nothing'],
      ['wait', 900],
      ['end', 1, 'returns', one],
      ['rest', `1 loads; ${one}; cached a=${one}`],
      ['wait', 999],
      ['rest', `1 loads; ${one}; cached a=${one}`],
      ['wait', 1],
      ['fetch', 'a'],
      ['rest', `2 loads; ${one}, waits; cached nothing`],
      ['end', 2, 'returns', two],
      ['rest', `2 loads; ${one}, ${two}; cached a=${two}`],
    ]);
    const changes: FetchStep[] = [['set', 'a', three], ['set', 'a', tooLarge], ['delete', 'a'], ['clear']];
    for (const meanwhile of changes) {
      const cached = meanwhile[0] === 'set' && meanwhile[2] === three ? `a=${three}` : 'nothing';
      await expectFetches(subject, [
        ['fetch', 'a'],
        ['fetch', 'a'],
        ['rest', '1 loads; waits, waits; cached nothing'],
        meanwhile,
        ['rest', `1 loads; waits, waits; cached ${cached}`],
        ['end', 1, 'returns', one],
        ['rest', `1 loads; ${one}, ${one}; cached ${cached}`],
      ]);
    }
    // Who meets what is left of an expired entry leaves the load of its key alone.
    for (const meanwhile of [['purge'], ['get', 'a'], ['iterate']] as const satisfies FetchStep[])
      await expectFetches(subject, [
        ['wait', 1],
        ['fetch', 'a'],
        ['rest', '1 loads; waits; cached nothing'],
        ['end', 1, 'returns', one],
        ['rest', `1 loads; ${one}; cached a=${one}`],
        ['wait', 1000],
        ['fetch', 'a'],
        meanwhile,
        ['fetch', 'a'],
        ['rest', `2 loads; ${one}, waits, waits; cached nothing`],
        ['end', 2, 'returns', two],
        ['rest', `2 loads; ${one}, ${two}, ${two}; cached a=${two}`],
      ]);
  });

  test('The constructor must refuse a max, maxBytes or ttlMs that is not a positive whole number.', async ({
    subject,
  }) => {
    const fine = drawOne(fc.integer({ min: 2, max: 1000 }));
    const good = [1, fine].flatMap((value) => [
      { max: value },
      { max: fine, maxBytes: value },
      { max: fine, ttlMs: value },
      { max: value, maxBytes: value * 1_000_000, ttlMs: value * 1_000_000 },
    ]);
    const wrong = [0, -1, -fine, fine + 0.5, NaN, Infinity, -Infinity, String(fine), '', null, true, [fine], {}, 10n];
    const bad = [
      {},
      ...wrong.flatMap((value) => [{ max: value }, { max: fine, maxBytes: value }, { max: fine, ttlMs: value }]),
    ];

    const refused = await subject.run(construct, [...good, ...bad]);

    for (const [at, options] of [...good, ...bad].entries())
      expect(refused[at], `new LruCache(${optionsInWords(options)}); was it refused`).toBe(at >= good.length);
  });
});

describe('stretch', () => {
  test('Iteration must yield each entry that stays exactly once, and none that has left, while the cache changes.', async ({
    subject,
  }) => {
    const still = histories(fc.constant({ max: 100 }), { use: 1 }, [['entries'], ['use', 'a', 1000], ['entries']]);
    await expectHistories(subject, still, 30);
    await expectForDrawn({
      examples: walks,
      count: 200,
      ask: (all) => subject.run(walkAll, all),
      fault: ({ yielded, error }, one) => {
        const fault = error || faultOfWalk(one, yielded);
        return fault && `${fault}; yielded were ${yielded.slice(0, 12).join(' ') || 'none'}`;
      },
      inWords: walkInWords,
    });
  });

  test('Any history must give the results of a plain and slow cache.', async ({ subject }) => {
    const max = fc.integer({ min: 1, max: 6 });
    const limits = fc.oneof(fc.record({ max, maxBytes, ttlMs }), fc.record({ max, ttlMs }));
    const acts = { use: 4, set: 4, get: 4, peek: 2, has: 2, delete: 2, clear: 1, wait: 6, fetch: 3, 'set badly': 1 };
    const ending: Step[] = [['entries'], ['size'], ['bytes'], ['clear'], ['size'], ['bytes']];
    await expectHistories(subject, histories(limits, acts, ending, 40), 300, ({ lines, disposed }) => [
      ...lines,
      ...disposed.toSorted(),
    ]);
  });

  test('A million operations on 10,000 entries must cost at most 3 times the CPU time of the lru-cache package.', async ({
    fresh,
  }) => {
    // Without the need for its heap, V8 optimizes the module.
    const subject = await fresh({ needs: [], limitMs: 60_000 });
    const seed = drawOne(fc.integer({ min: 1, max: 2 ** 31 }));

    const costs = await subject.run(compareWithPackage, {
      max: 10_000,
      operations: 1_000_000,
      seed,
      hopeless: 4 * costLimit,
    });

    expect(costs.ownHits, 'entries found by get; the lru-cache package found').toBe(costs.otherHits);
    expectAtLeast(costs.own.length, 10, 'chunks of operations measured', 'chunks');
    const ratio = median(costs.own.map((cost, at) => cost / costs.others[at]!));
    expectAtMost(ratio, costLimit, 'CPU time, compared with the lru-cache package,', 'times');
  });
});

/** Plays drawn histories, and compares what was seen with the oracle. */
async function expectHistories(
  subject: Subject<typeof Kata>,
  examples: fc.Arbitrary<Play>,
  count: number,
  accountOf?: (seen: Seen) => readonly string[],
  titles: readonly [string, string] = ['expected', 'seen'],
): Promise<void> {
  await expectForDrawn({
    examples,
    count,
    ask: (plays: readonly Play[]) => subject.run(playAll, plays),
    fault: (seen, play) => {
      const account = accountOf ?? (({ lines }: Seen) => lines.map((line, at) => lineOf(play.steps[at]!, line)));
      const difference = contrast(account(expectedOf(play)), account(seen), titles);
      return difference && `\n${difference}\n`;
    },
    inWords,
  });
}

async function expectFetches(subject: Subject<typeof Kata>, steps: readonly FetchStep[]): Promise<void> {
  const seen = await subject.run(playFetches, { ttlMs: 1000, steps });
  const expected = steps.flatMap((step) => (step[0] === 'rest' ? [step[1]] : []));
  const difference = contrast(expected, seen, ['expected at each rest', 'seen']);
  const told = steps.map((step) => (step[0] === 'rest' ? 'rest' : step.join(' '))).join(' · ');
  expectThat(difference === undefined, `${told}\n${difference}`);
}

/** Asks the same after each step. */
function afterEach(plays: fc.Arbitrary<Play>, question: Step): fc.Arbitrary<Play> {
  return plays.map(({ steps, ...play }) => ({ ...play, steps: steps.flatMap((step) => [step, question]) }));
}

function integers<Acts extends Record<string, number>>(acts: Acts): Acts {
  return Object.fromEntries(Object.entries(acts).map(([act, weight]) => [act, Math.ceil(weight * 10)])) as Acts;
}

function lineOf(step: Step, line: string): string {
  return `${stepInWords(step)} → ${line}`;
}

function optionsInWords(options: object): string {
  return `{ ${Object.entries(options)
    .map(
      ([name, value]) =>
        `${name}: ${typeof value === 'bigint' ? `${value}n` : typeof value === 'number' ? value : JSON.stringify(value)}`,
    )
    .join(', ')} }`;
}
