import fc from 'fast-check';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';

const intervalMs = fc.integer({ min: 20_000, max: 60_000 });
const word = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz'), minLength: 4, maxLength: 8 });
const wordNames = ['prices', 'news', 'text', 'toAll', 'toYou', 'tooLate', 'notice'] as const;
const perMinute = fc.integer({ min: 3, max: 20 });
const byte = fc.integer({ min: 1, max: 255 });
const isAllDifferent = (values: readonly number[]) => new Set(values).size === values.length;

/** What the judge sends in this run, so that none of it can be built into an answer; `KATA_SEED` draws others. */
export const drawn = fc.sample(
  fc.record({
    intervals: fc.record({ heartbeatMs: intervalMs, onlineMs: intervalMs, updateMs: intervalMs }),
    /** Two topics, and what is sent as a message, a broadcast, direct messages and an announcement. */
    words: fc
      .uniqueArray(word, { minLength: wordNames.length, maxLength: wordNames.length })
      .map((words) => Object.fromEntries(wordNames.map((name, at) => [name, words[at]!])) as Words),
    /** Messages in two minutes that follow each other. */
    messages: fc.tuple(perMinute, perMinute).filter(isAllDifferent),
    /** What each byte of a draft is: of a client who stays, of one who leaves, of one who comes later. */
    bytes: fc.tuple(byte, byte, byte).filter(isAllDifferent),
    /** Numbers in a computation: so many, give or take a few. */
    numbers: fc.integer({ min: 2_000, max: 2_500 }),
    sections: fc.integer({ min: 5, max: 20 }),
  }),
  { seed: chosenSeed(), numRuns: 1 },
)[0]!;

type Words = Readonly<Record<(typeof wordNames)[number], string>>;
