import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import { collect } from '../../helpers/instruments/heap/heap-figures.ts';
import type { HoldersOptions } from '../../helpers/instruments/heap/holders.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne, expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/object-pool/object-pool.ts';
import {
  type History,
  type Kind,
  type Setup,
  type Times,
  breakSome,
  burst,
  callWithOld,
  collectBroken,
  comeBack,
  countForgotten,
  failToCreate,
  findTraces,
  forget,
  forgetLeases,
  forgetMany,
  growOld,
  live,
  passTime,
  refuseAndPass,
  releaseAgain,
  releaseForeign,
  reuse,
  useLeases,
  useMany,
} from './inside.ts';

const kinds: readonly Kind[] = ['buffers', 'frozen objects'];
const order = fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6, maxLength: 6 });
/** Different in each run; `KATA_SEED` draws others. */
const drawn = drawOne(
  fc.record({
    max: fc.integer({ min: 6, max: 12 }),
    few: fc.integer({ min: 2, max: 5 }),
    extra: fc.integer({ min: 2, max: 6 }),
    count: fc.integer({ min: 12, max: 24 }),
    sizeBytes: fc.integer({ min: 512, max: 1024 }),
    fill: fc.integer({ min: 1, max: 255 }),
    many: fc.integer({ min: 300, max: 600 }),
    idleMs: fc.integer({ min: 50, max: 100 }),
    orders: fc.array(order, { minLength: 4, maxLength: 4 }),
    some: fc.shuffledSubarray([true, false, false], { minLength: 3, maxLength: 3 }),
  }),
);
const { max, few, extra, count, many, sizeBytes, fill, idleMs, orders, some } = drawn;
/** The first and the last one are broken: whichever end the module begins at, it meets one before a clean one. */
const breaks = [true, ...some, true];
/** Less than the smallest object that something keeps of a use, bytes. */
const smallestLeak = 8;

const test = judge<typeof Kata>('object-pool')
  .extend('explained', { scope: 'file' }, () => new Explained('Desk'))
  .extend('holders', ({ subject, explained }) => {
    return (
      isKept: boolean,
      again: (() => Promise<unknown>) | 'there',
      options: HoldersOptions = { of: ['Frame'], atLeast: 1 },
    ) => explained.holders(subject, isKept, again, options);
  });

describe('core', () => {
  test('acquire must reuse an idle object, and call create only when there is none.', async ({ subject }) => {
    for (const kind of kinds) {
      const args = { setup: { kind, max, sizeBytes }, count: max + extra, back: max - 1 };
      const seen = await subject.run(reuse, args);

      expect(seen, `${kind}, ${args.count} are acquired, ${args.back} released; calls of create`).toEqual({
        'for new objects': args.count,
        'while as many are idle': 0,
        'objects that were not released': 0,
        'when none is idle': 1,
        'in 50 turns with one idle': 0,
      });
    }
  });

  test('Before an object gets a new holder, reset must have cleaned it.', async ({ subject }) => {
    for (const kind of kinds) {
      const seen = await subject.run(findTraces, { setup: { kind, max: 6, sizeBytes }, orders, fill });

      expect(seen, `${kind}, ${orders.length} rounds of 6 holders who write`).toEqual({
        reused: 6 * (orders.length - 1),
        'not clean': 0,
      });
    }
  });

  test('The pool must keep at most max idle objects, count idle and held exactly, and let the rest be collected.', async ({
    subject,
    holders,
  }) => {
    for (const keeps of [max, 0, 1]) {
      const args = { setup: frames(keeps), extra };
      const seen = await subject.run(comeBack, args);

      const all = keeps + extra;
      const isKept = seen.some(({ left }) => left !== keeps);
      const held = await holders(isKept, 'there');
      const counts = Array.from({ length: all + 1 }, (_, back) => ({ idle: Math.min(back, keeps), held: all - back }));
      expect(seen, `${held}max is ${keeps}; ${all} are acquired and then released one by one, twice`).toEqual(
        [all, extra].map((created) => ({ created, counts, 'after a collection': counts.at(-1), left: keeps })),
      );
    }

    for (const call of ['acquire', 'release'] as const) {
      const args = { setup: frames(many), idleMs, call };
      const { idle, held, left } = await subject.run(growOld, args);

      const heldFrames = await holders(left > idle + held, 'there');
      expect(
        left,
        `${heldFrames}1 object is too old, ${many - 2} idle ones are younger; ${call} was called, and garbage was collected; idle is ${idle}, held is ${held}; objects left`,
      ).toBe(idle + held);
    }

    const broken = await subject.run(collectBroken, { setup: frames(max), count: few });
    expect(
      broken.held,
      `reset threw for ${few} released objects, ${few} others were acquired, and garbage was collected; held`,
    ).toBe(few);
  });
});

describe('robust', () => {
  test('release must refuse an object that was already released, with a DoubleReleaseError, and change nothing.', async ({
    subject,
  }) => {
    for (const kind of kinds)
      for (const keeps of [1, few])
        expect(
          await subject.run(releaseAgain, { kind, max: keeps, sizeBytes }),
          `${kind}, max is ${keeps}; ${keeps + 1} of ${keeps + 2} objects are released twice`,
        ).toEqual({
          'idle and surplus objects': { errors: ['DoubleReleaseError'], changed: 0 },
          'calls of create for as many as were idle': 0,
          'an object has two holders': false,
          'old and broken objects': { errors: ['DoubleReleaseError'], changed: 0 },
        });
  });

  test('release must refuse an object that this pool never handed out, with a ForeignReleaseError, and change nothing.', async ({
    subject,
  }) => {
    const error = 'ForeignReleaseError';
    for (const kind of kinds)
      expect(await subject.run(releaseForeign, { setup: { kind, max, sizeBytes }, fill }), kind).toEqual({
        errors: {
          'a copy': error,
          'a view of the same bytes': error,
          'an object that another pool’s user holds': error,
          'an object that is idle in another pool': error,
        },
        'objects whose bytes were changed': 0,
        'then idle and held': { idle: 0, held: 2 },
        'created for the next': 1,
        'the next is one of them': false,
        'idle at last, here and there': [3, 2],
      });
  });

  test('When reset throws, the pool must drop that object, tell onError once, and hand out another.', async ({
    subject,
    holders,
  }) => {
    for (const broken of [breaks, breaks.map(() => true), [true]]) {
      const args = { setup: frames(max), breaks: broken };
      const seen = await subject.run(breakSome, args);

      const all = broken.length;
      const failures = broken.filter(Boolean).length;
      const breakOthers = () => subject.run(breakSome, args);
      const held = await holders(seen['left when nobody holds one'] !== 0, breakOthers);
      expect(seen, `${held}reset throws for ${failures} of ${all} released objects; ${all} are acquired`).toEqual({
        'created while clean ones are idle': 0,
        created: failures,
        'broken objects acquired': 0,
        counts: { idle: 0, held: all },
        'errors told once': failures,
        'other errors': 0,
        'errors told later': 0,
        'idle and held at last': { idle: all, held: 0 },
        'left when nobody holds one': 0,
      });
    }
  });

  test('When create throws, acquire must throw the same error, and count nothing.', async ({ subject }) => {
    const error = 'the same error';
    for (const kind of kinds)
      expect(await subject.run(failToCreate, { kind, max, sizeBytes }), `${kind}, create throws; acquire`).toEqual({
        'at first': { acquire: error, lease: error, idle: 0, held: 0 },
        'with an idle object': 'an object',
        'with held objects': { acquire: error, lease: error, idle: 0, held: 2 },
        'created afterwards': 2,
        'idle and held': { idle: 0, held: 4 },
        'and when all are released': { idle: 4, held: 0 },
      });
  });

  test('No two holders may share an object, and the pool must not change bytes that somebody holds.', async ({
    subject,
  }) => {
    await expectForDrawn({
      examples: drawHistory,
      count: 120,
      ask: (lives) => subject.run(live, lives),
      fault: ({ fault }) => fault,
      inWords: historyInWords,
    });
    const forgotten = await subject.run(forgetLeases, { setup: { kind: 'buffers', max, sizeBytes }, count: few });

    expect(
      forgotten,
      `${few} objects are held whose leases were collected, and ${few} more are acquired; objects held`,
    ).toEqual({ held: 2 * few, different: 2 * few });
  });

  test('An object that its holder forgot must be collected, leave nothing behind, and no longer count as held.', async ({
    subject,
    holders,
  }) => {
    const args = { setup: frames(2), count };
    const seen = await subject.run(forget, args);
    const heldFrames = await holders(seen['left'] !== 4, () => subject.run(forget, args));
    expect(
      seen,
      `${heldFrames}4 objects are held, one of them by its lease only; ${count + 3} were forgotten, others dropped`,
    ).toEqual({
      before: { idle: 0, held: count + 7 },
      after: { idle: 0, held: 4 },
      left: 4,
      'at last': { idle: 2, held: 2 },
      'at last, after a collection': { idle: 2, held: 2 },
    });

    const perCycle = 1_000;
    // Empty references may stay for some cycles, until a module that counts by them clears them away.
    const [warmUp, cycles] = [2, 12];
    const cycle = () => subject.run(forgetMany, { setup: frames(2), count: perCycle });
    const growth = await growthPerVisit({ subject, cycle, perCycle, warmUp, cycles });

    const left = await holders(growth > smallestLeak, cycle, { atLeast: perCycle / 10 });
    const what = `${cycles} times ${perCycle} objects were forgotten`;
    expectAtMost(growth, smallestLeak, `${left}${what}, and nobody read held; on the heap each left`);
    expect(await subject.run(countForgotten, undefined), `${what}; held`).toBe(0);
  });
});

describe('stretch', () => {
  test('100,000 uses must allocate at most 1 % of what Buffer.alloc would, and leave the heap flat.', async ({
    subject,
    holders,
  }) => {
    const atOnce = few;
    const perCycle = 10_000;
    const [warmUp, cycles] = [2, 8];
    let created = 0;
    const cycle = async () => {
      created += await subject.run(useMany, { setup: frames(max), idleMs, atOnce, rounds: perCycle / atOnce });
    };

    const { arrayBuffers: before } = await collect(subject);
    const growth = await growthPerVisit({ subject, cycle, perCycle, warmUp, cycles });
    const { arrayBuffers: after } = await collect(subject);

    const allocated = (warmUp + cycles) * perCycle * sizeBytes;
    const kept = Math.max(0, after - before);
    const left = await holders(growth > smallestLeak || kept > allocated / 100, cycle, { atLeast: perCycle / 100 });
    const what = `100,000 uses of ${sizeBytes} bytes, ${atOnce} at once`;
    expect(created, `${what}; calls of create`).toBeGreaterThanOrEqual(atOnce);
    expectAtMost(created * sizeBytes, allocated / 100, `${what}; create allocated`);
    expectAtMost(kept, allocated / 100, `${left}${what}; buffers that are left have`);
    expectAtMost(growth, smallestLeak, `${left}${what}; on the heap each left`);
  });

  test('using must release a lease’s object at the end of the block, and only once.', async ({ subject }) => {
    const counts = { idle: 2, held: 0 };
    for (const kind of kinds)
      expect(await subject.run(useLeases, { kind, max, sizeBytes }), `${kind}, two leases a block`).toEqual({
        returned: 'a value',
        'idle and held inside': [
          { idle: 0, held: 2 },
          { idle: 0, held: 2 },
        ],
        'object is the same each time, another for each lease': true,
        'idle and held after a return': counts,
        thrown: 'the same error',
        'idle and held after an error': counts,
        'object of a disposed lease': ['an error'],
        'dispose again': ['no error'],
        'idle and held after that': { idle: 0, held: 4 },
        'different objects of 6 held': 6,
        created: 6,
      });
  });

  test('Objects that were idle for idleMs must go, even during steady use; steady use must not create new objects.', async ({
    subject,
    holders,
  }) => {
    await expectForDrawn({
      examples: drawTimes,
      count: 100,
      ask: (times) => subject.run(passTime, { setup: { kind: 'buffers', max: 100, sizeBytes: 1 }, times }),
      fault: ({ fault }) => fault,
      inWords: timesInWords,
    });

    const idle = await subject.run(callWithOld, { setup: frames(many), idleMs });
    // A module that resets when an object is acquired cannot know yet that this will fail.
    const unknown = (call: string) => Math.min(1, idle[call]!);
    expect(idle, `${many} objects were idle for idleMs, max is ${many}; idle objects after one call`).toEqual({
      acquire: 0,
      lease: 0,
      release: 1,
      dispose: 1,
      'release, reset throws': unknown('release, reset throws'),
      'dispose, reset throws': unknown('dispose, reset throws'),
    });

    const again = await subject.run(refuseAndPass, { setup: frames(few), idleMs });
    const refused = `${few} idle objects were released again 1 ms before they were too old, and refused; 1 ms later one is acquired; idle`;
    expect(again, refused).toBe(0);

    const large = 65_536;
    const steady = few;
    const args = { setup: { ...frames(400), sizeBytes: large }, idleMs, count: 24 * steady, steady };
    const { left, bytes, ...seen } = await subject.run(burst, args);
    // Whatever the order, only what was used after the burst may stay.
    const used = 4 * steady;
    const most = 10 * steady * large;
    const held = await holders(left > used || bytes > most, 'there', { of: ['ArrayBuffer'], atLeast: 1 });
    const what = `${held}after a burst of ${args.count}, ${steady} are used four times until idleMs have passed`;
    expectAtMost(bytes, most, `${what}; buffers have`);
    expect(seen, what).toEqual({
      inBurst: { idle: args.count, held: 0 },
      created: 0,
      after: { idle: left, held: 0 },
    });
    expectThat(left >= steady && left <= used, `${what}; expected ${steady} to ${used} objects, saw ${left}`);
  });
});

function frames(keeps: number): Setup {
  return { kind: 'frozen objects', max: keeps, sizeBytes };
}

const drawHistory: fc.Arbitrary<History> = fc.record({
  max: fc.integer({ min: 1, max: 4 }),
  sizeBytes: fc.integer({ min: 2, max: 8 }),
  happenings: fc.array(
    fc.record({
      what: fc.constantFrom(
        'acquire',
        'acquire',
        'lease',
        'lease',
        'release',
        'release',
        'release',
        'release again',
        'release a view',
        'break and release',
        'fail',
      ),
      pick: fc.nat(11),
    }),
    { minLength: 4, maxLength: 40 },
  ),
});

function historyInWords({ max: keeps, happenings }: History): string {
  return `max is ${keeps}; ${happenings.map(({ what }) => what).join(', ')}`;
}

const drawTimes: fc.Arbitrary<Times> = fc.integer({ min: 5, max: 50 }).chain((ms) =>
  fc.record({
    idleMs: fc.constant(ms),
    moments: fc.array(
      fc.record({
        passMs: fc.constantFrom(0, 0, 1, Math.floor(ms / 2), ms - 2, ms - 1, ms, ms + 1),
        take: fc.integer({ min: -4, max: 4 }),
      }),
      { minLength: 3, maxLength: 20 },
    ),
  }),
);

function timesInWords({ idleMs: ms }: Times): string {
  return `idleMs is ${ms}`;
}
