import { expect, test } from 'vitest';
import { contrast } from './contrast.ts';

const titles = ['Node', 'yours'] as const;
const shown = (text: string | undefined) => text?.split('\n').map((line) => line.split('|').map((part) => part.trim()));
const numbered = (length: number) => Array.from({ length }, (_, index) => `line ${index}`);

test('equal accounts have no contrast', () => {
  expect(contrast(['a', 'b'], ['a', 'b'], titles)).toBe(undefined);
});

test('a short account is shown as a whole, with the line that differs below it', () => {
  const expected = numbered(20);

  const rows = shown(contrast(expected, expected.with(12, 'another'), titles))!;

  expect(rows).toHaveLength(24);
  expect(rows.slice(0, 2)).toEqual([
    ['Node', 'yours'],
    ['line 0', 'line 0'],
  ]);
  expect(rows.slice(-3)).toEqual([['first difference, in line 13:'], ['expected: line 12'], ['seen:     another']]);
});

test('of a long account, the lines around the first difference are shown', () => {
  const expected = numbered(60);

  const rows = shown(contrast(expected, expected.with(40, 'another'), titles))!;

  expect(rows.slice(1, 3)).toEqual([
    ['…', '…'],
    ['line 28', 'line 28'],
  ]);
  expect(rows.slice(-6, -3)).toEqual([
    ['line 41', 'line 41'],
    ['line 42', 'line 42'],
    ['…', '…'],
  ]);
});

test('where one account ends early, the message says so', () => {
  expect(contrast(['a'], ['a', 'b'], titles)).toMatch(/expected: nothing more\n {2}seen: {5}b$/);
  expect(contrast(['a', 'b'], ['a'], titles)).toMatch(/expected: b\n {2}seen: {5}nothing more$/);
});

test('a long line is cut in the table but not below it, and a line break does not break the table', () => {
  const lines = contrast([''], [`${'x'.repeat(100)}\n| y`], titles)!.split('\n');

  expect(lines).toHaveLength(5);
  expect(lines[1]).toHaveLength(75);
  expect(lines[4]).toContain(`${'x'.repeat(100)} | y`);
});

test('an answer that is not a list of strings is named by its type', () => {
  expect(contrast(['a'], undefined, titles)).toContain('undefined, not a list of lines');
  expect(contrast(['a'], [{ toString: 7 }], titles)).toMatch(/seen: {5}object$/);
});
