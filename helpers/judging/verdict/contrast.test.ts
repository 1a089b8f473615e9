import { expect, test } from 'vitest';
import { contrast } from './contrast.ts';

const titles = ['Node', 'yours'] as const;
const shown = (text: string | undefined) => text?.split('\n').map((line) => line.split('|').map((part) => part.trim()));

test('equal accounts have no contrast', () => {
  expect(contrast(['a', 'b'], ['a', 'b'], titles)).toBe(undefined);
});

test('it begins some lines before the first difference and ends soon behind it', () => {
  const expected = Array.from({ length: 20 }, (_, index) => `line ${index}`);
  const seen = expected.with(12, 'another');

  const rows = shown(contrast(expected, seen, titles))!;

  expect(rows.slice(0, 3)).toEqual([
    ['Node', 'yours'],
    ['…', '…'],
    ['line 4', 'line 4'],
  ]);
  expect(rows.slice(-3)).toEqual([
    ['line 12', 'another'],
    ['line 13', 'line 13'],
    ['line 14', 'line 14'],
  ]);
});

test('the longer one of two accounts is shown beside nothing', () => {
  expect(shown(contrast(['a'], ['a', 'b'], titles))?.at(-1)).toEqual(['', 'b']);
  expect(shown(contrast(['a', 'b'], ['a'], titles))?.at(-1)).toEqual(['b', '']);
});

test('a long line is cut, and one of several lines stays one', () => {
  const text = contrast([''], [`${'x'.repeat(100)}\n| y`], titles)!;

  expect(text.split('\n')).toHaveLength(2);
  expect(text.split('\n')[1]).toHaveLength(75);
});

test('what is no account is told as such', () => {
  expect(shown(contrast(['a'], undefined, titles))?.at(-1)).toEqual(['a', 'undefined, and no account']);
  expect(shown(contrast(['a'], [{ toString: 7 }], titles))?.at(-1)).toEqual(['a', 'object']);
});
