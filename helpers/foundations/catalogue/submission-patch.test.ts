import { describe, expect, test } from 'vitest';
import { applySubmissionPatch, foldSubmission, parseSubmissionPatch } from './submission-patch.ts';

const names = { patch: 'rejected/b.patch', base: 'accepted/a.ts' };
const baseText = 'one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n';
const claims = '/*\nbreaks: [1]\nwhy: Two: it is missing.\nask: Why?\n*/\n';
const wrong = `${claims}one\nthree\nfour\nfive\nsix\nSEVEN\neight\nnine\n`;
const folded = foldSubmission(wrong, { name: 'b', base: 'accepted/a.ts', baseText });

test('a wrong answer is stored as its claims and its mistake, with one line around each change', () => {
  expect(folded).toEqual({
    changedLines: 4,
    shared: 6 / 8,
    text: `breaks: [1]
why: Two: it is missing.
ask: Why?

--- accepted/a.ts
+++ rejected/b.ts
@@ -1,3 +1,2 @@
 one
-two
 three
@@ -6,3 +5,4 @@
 six
-seven
+SEVEN
 eight
+nine
`,
  });
});

test.for<[what: string, body: string]>([
  ['a change in the middle', 'one\ntwo\nthree\n4\nfive\nsix\nseven\neight\n'],
  ['lines before the first', `zero\n\n${baseText}`],
  ['nothing left', ''],
  ['lines that look like a diff', '--- a\n+++ b\n@@ -1 +1 @@\n\\ No newline\n'],
])('what is folded is given back letter for letter: %s', ([, body]) => {
  const { text } = foldSubmission(claims + body, { name: 'b', base: 'accepted/a.ts', baseText });
  expect(applySubmissionPatch(parseSubmissionPatch(text, names.patch), baseText, names)).toBe(claims + body);
});

test('a patch against an empty base, and an insertion at its very start', () => {
  const { text } = foldSubmission(wrong, { name: 'b', base: 'solution.ts', baseText: '' });
  expect(applySubmissionPatch(parseSubmissionPatch(text, names.patch), '', names)).toBe(wrong);
});

test('a hunk whose lines have moved is put where they are', () => {
  const moved = applied(folded.text, `zero\nand a half\n${baseText}`);
  expect(moved).toBe(wrong.replace('*/\n', '*/\nzero\nand a half\n'));
});

describe('a patch that does not apply names the patch, the base and the hunk', () => {
  test('a line of the base has changed', () => {
    expect(() => applied(folded.text, baseText.replace('seven', 'sieben'))).toThrow(
      'rejected/b.patch does not apply to accepted/a.ts: hunk 2 of 2 (line 6) expects "seven" where the base has "sieben".',
    );
  });

  test('the base has become shorter', () => {
    expect(() => applied(folded.text, 'one\ntwo\nthree\n')).toThrow(
      'hunk 2 of 2 (line 6) expects "six" where the base has no line any more.',
    );
  });

  test('the lines have moved, and are there twice', () => {
    const twice = 'zero\none\ntwo\nthree\none\ntwo\nthree\n';
    expect(() => applied(folded.text, twice)).toThrow('hunk 1 of 2 (line 1) has moved, and its lines are in 2 places.');
  });
});

test.for<[fault: string, text: string, sentence: string]>([
  ['no header', folded.text.replace(/^[^]*?\n\n/, ''), 'is not a patch of a submission'],
  ['a base outside the kata', folded.text.replace('accepted/a.ts', '../../x.ts'), 'starts from ../../x.ts'],
  ['a hunk with a line too few', folded.text.replace(' three\n', ''), 'cannot be read: '],
  ['no hunk', folded.text.replace(/@@[^]*/, ''), 'has no hunk'],
])('%s is one sentence that names the patch', ([, text, sentence]) => {
  expect(() => parseSubmissionPatch(text, 'x.patch')).toThrow(/^x\.patch [^\n]*$/);
  expect(() => parseSubmissionPatch(text, 'x.patch')).toThrow(sentence);
});

function applied(text: string, base: string): string {
  return applySubmissionPatch(parseSubmissionPatch(text, names.patch), base, names);
}
