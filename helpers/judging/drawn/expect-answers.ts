import { isDeepStrictEqual } from 'node:util';
import type fc from 'fast-check';
import { expectForDrawn } from './drawn.ts';

/** Random examples, and what the module must answer to each. */
export interface Answers<Example, Answer> {
  readonly examples: fc.Arbitrary<Example>;
  /** How many examples are drawn. */
  readonly count: number;
  /** Asks the module about many examples in one call; the answers are in the same order. */
  ask(examples: readonly Example[]): Promise<readonly Answer[]>;
  /** The right answer. */
  expected(example: Example): Answer;
  /** The example in plain words, for the failure. */
  inWords(example: Example): string;
}

/**
 * For a judge: draws examples and fails when the module's answer to one of them is not deeply equal to the expected one. The
 * failure shows the smallest such example that was found, both answers, and the seed.
 */
export async function expectAnswers<Example, Answer>(answers: Answers<Example, Answer>): Promise<void> {
  await expectForDrawn({
    ...answers,
    fault(answer, example) {
      const expected = answers.expected(example);
      if (isDeepStrictEqual(answer, expected)) return undefined;
      return `got ${JSON.stringify(answer)}, expected ${JSON.stringify(expected)}`;
    },
  });
}
