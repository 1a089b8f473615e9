import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectAnswers } from './expect-answers.ts';

const doubling = {
  examples: fc.nat({ max: 100 }),
  count: 50,
  expected: (example: number) => ({ twice: example * 2 }),
  inWords: (example: number) => `the number ${example}`,
};

test('right answers pass', async () => {
  const ask = async (examples: readonly number[]) => examples.map((example) => ({ twice: example + example }));

  await expect(expectAnswers({ ...doubling, ask })).resolves.toBeUndefined();
});

test('a wrong answer fails with its example and both answers', async () => {
  const ask = async (examples: readonly number[]) =>
    examples.map((example) => ({ twice: example > 9 ? 0 : example * 2 }));

  await expect(expectAnswers({ ...doubling, ask })).rejects.toThrow(
    'the number 10: got {"twice":0}, expected {"twice":20}',
  );
});
