import { describe, expect, test } from 'vitest';
import { type Known, diagnose } from './diagnose.ts';
import { essence, similarity } from './similarity.ts';

const known: Known[] = [
  { name: 'starter', breaks: [1, 2, 3], ask: undefined, similarity: 0.3 },
  { name: 'solution', breaks: [], ask: undefined, similarity: 0.4 },
  { name: 'accepted/other', breaks: [], ask: undefined, similarity: 0.6 },
  { name: 'rejected/far', breaks: [2, 4], ask: 'Far?', similarity: 0.2 },
  { name: 'rejected/near', breaks: [4, 2], ask: 'Near?', similarity: 0.7 },
  { name: 'rejected/alone', breaks: [5], ask: 'Alone?', similarity: 0.9 },
];

describe('the broken promises are those of known wrong answers', () => {
  test('one: its question is asked', () => {
    expect(diagnose([5], known, true)).toMatchObject({
      kind: 'exact',
      sentence: 'It breaks exactly what alone breaks: ask "Alone?"',
      matches: [{ name: 'rejected/alone', ask: 'Alone?', breaks: [5], similarity: 0.9 }],
    });
  });

  test('several: all are told, the nearest in text first', () => {
    const { kind, sentence, matches } = diagnose([2, 4], known, true);

    expect({ kind, sentence }).toEqual({
      kind: 'exact',
      sentence: 'It breaks exactly what near breaks: ask "Near?" So does far.',
    });
    expect(matches.map(({ name }) => name)).toEqual(['rejected/near', 'rejected/far']);
  });

  test('the starter has no question', () => {
    expect(diagnose([3, 1, 2], known, true).sentence).toBe('It breaks exactly what the starter breaks.');
  });

  test('a copy is called one', () => {
    const copy = known.map((one) => (one.name === 'starter' ? { ...one, similarity: 1 } : one));

    expect(diagnose([1, 2, 3], copy, true).sentence).toBe(
      'It breaks exactly what the starter breaks. Its text is that of the starter, but for comments, spacing and names.',
    );
  });
});

test('when none breaks the same, the nearest is told as such', () => {
  expect(diagnose([1, 2, 3, 5], known, true)).toMatchObject({
    kind: 'nearest',
    sentence: 'No known wrong answer breaks exactly these. The nearest is the starter, which keeps 5.',
  });
  expect(diagnose([4], known, true)).toMatchObject({
    kind: 'nearest',
    sentence:
      'No known wrong answer breaks exactly these. The nearest is near, which breaks 2 too. Its question: "Near?" Equally near: far.',
  });
});

describe('a green module', () => {
  test('is accused of nothing', () => {
    expect(diagnose([], known, true)).toEqual({
      kind: 'green',
      sentence: 'It keeps every promise.',
      matches: [],
      nearest: { name: 'accepted/other', similarity: 0.6 },
    });
  });

  test.each([
    [1, 'It keeps every promise. Its text is that of solution, but for comments, spacing and names.'],
    [0.98, 'It keeps every promise. Its text is that of solution, nearly, but for comments, spacing and names.'],
    [0.96, 'It keeps every promise.'],
  ])('with a text that is %d the solution’s', (share, sentence) => {
    const copied = known.map((one) => (one.name === 'solution' ? { ...one, similarity: share } : one));

    expect(diagnose([], copied, true).sentence).toBe(sentence);
  });
});

test('what was not judged to the end is not diagnosed', () => {
  expect(diagnose([1, 2, 3], known, false)).toMatchObject({ kind: 'unjudged', matches: [] });
});

describe('how near two texts are', () => {
  const text =
    "import { a } from 'x';\n/** Adds. */\nexport function add(one: number, two: number) {\n  const sum = one + two; // the sum\n  return a(sum);\n}\n";

  test('comments, types, spacing and names of one’s own do not count', async () => {
    const renamed =
      "import { a as b } from 'x'\n\n\nexport function add(left, right) {\n      const total = left + right\n      return b(total)\n}";

    expect(similarity(await essence(text), await essence(renamed))).toBe(1);
  });

  test('what is done does', async () => {
    const other = text.replace('one + two', 'one * two - one');

    const share = similarity(await essence(text), await essence(other));
    expect(share).toBeGreaterThan(0.5);
    expect(share).toBeLessThan(1);
  });

  test('a text that does not compile, or is nothing, is compared as it is', async () => {
    expect(similarity(await essence('const ='), await essence('const   ='))).toBe(1);
    expect(similarity('', '')).toBe(1);
    expect(similarity('', 'abc')).toBe(0);
  });
});
