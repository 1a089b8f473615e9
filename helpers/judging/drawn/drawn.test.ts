import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { SubjectError } from '../subject/subject-error.ts';
import { type Drawing, expectForDrawn, expectForEach } from './drawn.ts';
import { readSeed } from './seed.ts';

// What is asked here is not a module but a function: it has to say of two numbers whether they are more than ten together.

type Pair = readonly [number, number];
type Answer = (pair: Pair) => boolean;
const small = fc.integer({ min: 0, max: 100 });

function sums(answer: Answer, calls: Pair[][] = []): Drawing<Pair, boolean> {
  return {
    examples: fc.tuple(small, small),
    count: 200,
    ask: async (pairs) => (calls.push([...pairs]), pairs.map((pair) => answer(pair))),
    fault: (seen, [a, b]) => (seen === a + b > 10 ? undefined : `it said ${seen}`),
    inWords: (pair) => `the pair ${pair.join(' and ')}`,
  };
}

afterEach(() => vi.unstubAllEnvs());

test('what holds for all is asked in one call, and the same is drawn again', async () => {
  const first: Pair[][] = [];
  const second: Pair[][] = [];

  await expectForDrawn(sums(([a, b]) => a + b > 10, first));
  await expectForDrawn(sums(([a, b]) => a + b > 10, second));

  expect(first.map((pairs) => pairs.length)).toEqual([200]);
  expect(second).toEqual(first);
});

test('another seed draws others', async () => {
  const usual: Pair[][] = [];
  const other: Pair[][] = [];

  await expectForDrawn(sums(([a, b]) => a + b > 10, usual));
  vi.stubEnv('KATA_SEED', '-7');
  await expectForDrawn(sums(([a, b]) => a + b > 10, other));

  expect(other[0]).not.toEqual(usual[0]);
});

test('a failure tells the smallest example, what was seen, and the seed that draws it again', async () => {
  vi.stubEnv('KATA_SEED', '42');
  const careless: Answer = ([a, b]) => a + b > 10 && b < 95;

  const failure = expectForDrawn(sums(careless));

  await expect(failure).rejects.toThrow(
    /^the pair 0 and 95: it said false \(found with number 2 of 200 examples, KATA_SEED=42\)$/,
  );
});

test('one that errs only once is told as it was seen', async () => {
  let asked = 0;
  const forgetful: Answer = ([a, b]) => (++asked === 100 ? a + b <= 10 : a + b > 10);

  await expect(expectForDrawn(sums(forgetful))).rejects.toThrow(
    /^the pair \d+ and \d+: it said (true|false) \(found with number 100 of 200 examples/,
  );
});

test('one that stops before the end is not taken for right', async () => {
  const drawing = sums(([a, b]) => a + b > 10);
  const lazy = { ...drawing, ask: async (pairs: readonly Pair[]) => (await drawing.ask(pairs)).slice(0, 150) };

  await expect(expectForDrawn(lazy)).rejects.toThrow(/was not answered \(found with number 151 of 200/);
});

test('one that throws is asked again, one by one, and the example named beside its own stack', async () => {
  const calls: Pair[][] = [];
  const fragile: Answer = ([a, b]) => {
    if (a > 90) throw new SubjectError('it threw: too far.', '    at add (module.ts:1:1)');
    return a + b > 10;
  };

  const error = await expectForDrawn(sums(fragile, calls)).catch((thrown: Error) => thrown);

  expect(error).toBeInstanceOf(SubjectError);
  expect(error).toMatchObject({
    message: expect.stringMatching(/^the pair (9[1-9]|100) and \d+: it threw: too far\.$/),
    stack: expect.stringContaining('at add (module.ts:1:1)'),
  });
  expect(calls.slice(1).every((pairs) => pairs.length === 1)).toBe(true);
});

test.for(['', 'abc', '1.5', '1e3', '4294967296'])('KATA_SEED="%s" is refused with what to give', (word) => {
  expect(() => readSeed(word)).toThrow(`KATA_SEED is "${word}"; expected a whole number`);
});

test('one by one: the smallest that fails is told with its seed, and nothing more once it is spent', async () => {
  const asked: number[] = [];
  const least = (most: number, isSpent = () => false) =>
    expectForEach(
      small,
      200,
      async (number) => {
        asked.push(number);
        expect(number, 'a number').toBeLessThanOrEqual(most);
      },
      isSpent,
    );

  await expect(least(100)).resolves.toBeUndefined();
  expect(asked).toHaveLength(200);
  await expect(least(10)).rejects.toThrow(
    /^a number: expected 11 to be less than or equal to 10\n\(drawn at random, KATA_SEED=20260\)$/,
  );
  asked.length = 0;
  await expect(least(10, () => asked.some((number) => number > 10))).rejects.toThrow('KATA_SEED=20260');
  expect(asked.filter((number) => number > 10)).toHaveLength(1);
});
