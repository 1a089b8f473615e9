import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { Explained } from '../../helpers/instruments/heap/explained.ts';
import type { HoldersOptions } from '../../helpers/instruments/heap/holders.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/weak-registry/weak-registry.ts';
import {
  annotate,
  annotateAndDrop,
  annotateInTwo,
  churn,
  deleteAndBringBack,
  deleteBeforeFinalizers,
  deleteHeld,
  dropAll,
  dropKeys,
  getOverAndOver,
  getsWhatIsCreated,
  holdHalf,
  iterate,
  iterateOverShared,
  replaceBeforeFinalizers,
  openAndDrop,
  replaceOneOfThree,
  tellApart,
  throwing,
} from './inside.ts';

const word = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz'), minLength: 4, maxLength: 8 });
/** Different in each run; `KATA_SEED` draws others. */
const drawn = drawOne(
  fc.record({
    keys: fc.uniqueArray(word, { minLength: 24, maxLength: 36 }),
    number: fc.integer({ min: 2, max: 1_000_000 }),
    count: fc.integer({ min: 10, max: 20 }),
  }),
);
const { keys, number, count } = drawn;
const half = Math.ceil(keys.length / 2);
const firstFour = keys.slice(0, 4) as [string, string, string, string];
/** Less than the smallest object that something keeps of an entry, bytes. */
const smallestLeak = 8;

const test = judge<typeof Kata>('weak-registry')
  .extend('explained', { scope: 'file' }, () => new Explained('Desk'))
  .extend('holders', ({ subject, explained }) => {
    return (isKept: boolean, again: () => Promise<unknown>, options?: HoldersOptions) =>
      explained.holders(subject, isKept, again, options);
  });

describe('core', () => {
  test('get must return the same object, without calling create again, as long as somebody holds it.', async ({
    subject,
  }) => {
    const first = await subject.run(getsWhatIsCreated, keys);
    const again = await subject.run(holdHalf, keys);

    const none = { 'other objects': 0, 'calls of create': 0 };
    expect(first, `${keys.length} new keys; get returned`).toEqual({
      'other objects': 0,
      'other keys given to create': 0,
    });
    for (const [round, seen] of again.entries())
      expect(seen, `${half} of ${keys.length} values are held; get, after ${round} collections`).toEqual(none);
  });

  test('Keys must be told apart as a Map does.', async ({ subject }) => {
    const { wrong, size, keys: differentKeys } = await subject.run(tellApart, { word: keys[0]!, number });

    expect(wrong, `${differentKeys} different keys, each with a value; what is wrong`).toEqual([]);
    expect(size, `${differentKeys} different keys, each with a value; size`).toBe(differentKeys);
  });

  test('The registry must not keep a value that nobody else holds; get must then create a new one.', async ({
    subject,
    holders,
  }) => {
    const seen = await subject.run(dropAll, keys);

    const dropOthers = () =>
      subject.run(
        dropAll,
        keys.map((key) => `${key} of another`),
      );
    const held = await holders(seen.left !== 0, dropOthers, { of: ['Doc'], atLeast: 1 });
    expect(seen.created, 'new keys; calls of create').toBe(keys.length);
    expectThat(seen.left === 0, `${held}nobody holds ${keys.length} values; ${seen.left} are left after a collection`);
    expect(seen['created again'], `${keys.length} values were collected; get again, calls of create`).toBe(keys.length);
  });
});

describe('robust', () => {
  test('When values have been collected, their keys must go too, and size must count only the others.', async ({
    subject,
    holders,
  }) => {
    const seen = await subject.run(dropKeys, count);
    const dropOthers = () => subject.run(openAndDrop, count);

    const held = await holders(seen['keys left'] !== 0, dropOthers, { of: ['Path'], atLeast: 1 });
    expect(seen, `${held}${count} values are held, ${2 * count} under ${3 * count} keys are not`).toEqual({
      before: 4 * count,
      'values left': 0,
      'keys left': 0,
      size: count,
      'size at last': 0,
    });

    const [one, two, three] = firstFour;
    expect(
      await subject.run(replaceOneOfThree, [one, two, three]),
      'a value of three keys was collected; before finalizers ran, the second key got another one, which is held; then',
    ).toEqual({ 'keys left': 0 });
  });

  test('A value that replaces a collected one before finalizers run must stay in the registry.', async ({
    subject,
  }) => {
    const { created, held, size, again } = await subject.run(replaceBeforeFinalizers, keys);

    expect(created, `${keys.length} keys; calls of create at first and after each of three collections`).toEqual(
      Array.from({ length: 4 }, () => keys.length),
    );
    expect(again, `${held} values have replaced collected ones and are held; get, after all finalizers`).toEqual({
      'other objects': 0,
      'calls of create': 0,
    });
    expect(size, `${held} values have replaced collected ones and are held; size, after all finalizers`).toBe(half);
  });

  test('When create throws, get must throw the same error, and nothing must be left.', async ({ subject }) => {
    const [fresh, held, gone] = firstFour;
    expect(await subject.run(throwing, [fresh, held, gone]), 'create throws an error; get').toEqual({
      'for a new key': 'the same error',
      'then size': 1,
      'then entries': [held],
      'for a held value': 'the held value',
      'for a collected value': 'the same error',
      'then size, after finalizers': 1,
      'all got at last': { 'other objects': 0, 'calls of create': 0 },
      'size at last': 3,
    });
  });

  test('A value’s metadata must come back while the value is held, and must not keep it.', async ({
    subject,
    holders,
  }) => {
    const seen = await subject.run(annotate, firstFour);

    const annotateOthers = () => subject.run(annotateAndDrop, ofOthers(keys));
    const held = await holders(seen['values left'] !== 0, annotateOthers, { of: ['Doc'], atLeast: 1 });
    expect(seen, `${held}metadata`).toEqual({
      'of a held value': 'the same object',
      'values left': 0,
      'metadata left': 0,
      'of a replacement, before it is set': undefined,
      'of a replacement, after finalizers': 'of the replacement',
      'of a new value of the old key': undefined,
      'simple values': [0, '', false, null, Number.NaN, 'text'],
    });
    expect(
      await subject.run(annotateInTwo, firstFour[0]),
      'a held value stands in two registries, and metadata is set in the second, too; metadata',
    ).toEqual({
      'in the second, before it is set': undefined,
      'in the first': 'of the first',
      'in the second': 'of the second',
    });
  });

  test('delete must forget one key at once, whoever holds its value, and must not harm what follows.', async ({
    subject,
  }) => {
    const [key] = firstFour;
    expect(await subject.run(deleteHeld, firstFour), 'held values are deleted').toEqual({
      'delete: of a key, again, of an unknown key': [true, false, false],
      'then size': 0,
      'then entries': 0,
      'get creates a new value': true,
      'delete of one of two keys, get of the other returns the value, size': [true, true, 2],
      'after a collection': { 'other objects': 0, 'calls of create': 0 },
      'size, when the value of two keys is gone': 1,
      'entries at last': [key],
    });
    expect(
      await subject.run(deleteBeforeFinalizers, keys),
      `${keys.length} values were collected, and before finalizers ran replaced, deleted and replaced again; then`,
    ).toEqual({ size: keys.length, again: { 'other objects': 0, 'calls of create': 0 } });
    expect(
      await subject.run(deleteAndBringBack, key),
      'a held value was deleted, came back by get, and was collected; then',
    ).toEqual({ size: 0, entries: 0 });
  });
});

describe('stretch', () => {
  test('Iteration must yield each held entry once, and no collected one, even if values are collected between its steps.', async ({
    subject,
  }) => {
    const { yielded, expected, left, byObjects } = await subject.run(iterate, keys);

    const what = 'values are collected while an iterator waits';
    expect(left, `${what}; those that it keeps, before and after finalizers run`).toEqual([0, 0]);
    expect(yielded, `${what}; keys that it yields`).toEqual(expected);
    const byObjectsWhat =
      'values are held, whose keys are objects that only the registry has; after a collection it yields';
    expect(byObjects, byObjectsWhat).toEqual([...keys].sort());

    const groups = [keys.slice(0, 1), keys.slice(1, 3), keys.slice(3, 6)];
    expect(
      await subject.run(iterateOverShared, groups),
      'three held values stand under one, two and three keys; keys that iteration yields',
    ).toEqual(groups.flat().sort());
  });

  test('100,000 short-lived entries must leave the heap flat.', async ({ subject, holders }) => {
    const perCycle = 10_000;
    const cycle = async () => {
      const created = await subject.run(churn, { prefix: keys[0]!, count: perCycle });
      expect(created, `${perCycle} new keys; calls of create`).toBe(perCycle);
    };

    const growth = await growthPerVisit({ subject, cycle, perCycle, warmUp: 2, cycles: 8 });

    const held = await holders(growth > smallestLeak, cycle, { atLeast: perCycle / 10 });
    expectAtMost(growth, smallestLeak, `${held}8 times ${perCycle} entries came and went; on the heap each left`);
  });

  test('Getting a long-lived value over and over, deleted in between or not, must leave the heap flat.', async ({
    subject,
    holders,
  }) => {
    const perCycle = 1_000;
    const cycle = async () => {
      const went = await subject.run(getOverAndOver, { keys: [firstFour[0], firstFour[1]], count: perCycle });
      expect(
        went,
        `${perCycle} times get two held values, and delete one under a new key and under its own; how often this went well`,
      ).toBe(perCycle);
    };

    const growth = await growthPerVisit({ subject, cycle, perCycle, cycles: 8 });

    const held = await holders(growth > smallestLeak, cycle, { atLeast: perCycle / 10 });
    expectAtMost(
      growth,
      smallestLeak,
      `${held}8 times ${perCycle} times get two held values, and delete one under a new key and under its own; on the heap each time left`,
    );
  });
});

/** As many other keys. */
function ofOthers(some: readonly string[]): string[] {
  return some.map((key) => `${key} of another`);
}
