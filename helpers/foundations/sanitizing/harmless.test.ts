import { describe, expect, test } from 'vitest';
import { harmless, harmlessDeep, harmlessLine } from './harmless.ts';

describe('a workflow command is none any more', () => {
  test.each([
    ['::notice::x', '\\::notice::x'],
    ['a\n  ::set-output name=a::b', 'a\n  \\::set-output name=a::b'],
    ['\u00a0::error::x', '\u00a0\\::error::x'],
    ['a\r\n::error::x', 'a\n\\::error::x'],
    ['\n\n::error::x', '\n\n\\::error::x'],
    ['a ##[error]x', 'a # #[error]x'],
    ['###[error]x', '## #[error]x'],
  ])('%j', (text, expected) => {
    expect(harmless(text)).toBe(expected);
  });

  test('one that a terminal sequence, a carriage return or another end of line hid', () => {
    expect(harmless('\x1b[31m::error::x\x1b[0m')).toBe('\\::error::x');
    for (const mark of ['\r', '\u2028', '\u0085', '\v', '\f', '\0'])
      expect(harmless(`a${mark}::error::x`)).toMatch(/^a\\u\{[\da-f]+\}::error::x$/);
  });
});

describe('what is not to be seen becomes visible', () => {
  test.each([
    ['a\u202eb', 'a\\u{202e}b'],
    ['a\u200bb', 'a\\u{200b}b'],
    ['a\x07b', 'a\\u{7}b'],
    ['a\x9b31mb', 'ab'],
    ['\ufffe', '\\u{fffe}'],
    ['\ud800', '\ufffd'],
    ['\x1b]0;title\x07a\x1b[2J', 'a'],
  ])('%j', (text, expected) => {
    expect(harmless(text)).toBe(expected);
  });
});

test('ordinary text stays as it is', () => {
  const text = 'A | B\n\tSELECT `x` → 100; a::b, c ## [d] é 日本 <b>';

  expect(harmless(text)).toBe(text);
});

test('long text is cut, and says so', () => {
  expect(harmless('x'.repeat(30), 10)).toBe(`${'x'.repeat(10)}\n[20 characters left out]`);
  expect(harmlessLine(`a\n\n::b ${'x'.repeat(30)}`, 10)).toBe('a ::b xxx…');
});

test('all texts in plain data', () => {
  expect(harmlessDeep({ a: ['::x', 1, null], b: { c: '\r' } }, 10)).toEqual({
    a: ['\\::x', 1, null],
    b: { c: '\\u{d}' },
  });
});

test('many blank lines cost no time', () => {
  const startedAt = performance.now();
  harmless(' \n'.repeat(500_000), 1_000_000);

  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
