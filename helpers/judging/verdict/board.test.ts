import { expect, test } from 'vitest';
import { board } from './board.ts';
import type { PromiseVerdict } from './verdict.ts';

const hostile = 'a\x1b[2J\x1b]0;title\x07b\rc';

test('what a module printed, said or threw reaches the terminal as text only', () => {
  const promise: PromiseVerdict = {
    number: 1,
    tier: 'core',
    text: 'It counts.',
    held: false,
    notJudged: undefined,
    seen: hostile,
    stack: `    at ${hostile}`,
    printed: hostile,
    line: undefined,
    durationMs: 1,
    charts: [],
    margins: [],
  };

  const text = board(
    { slug: 'one' },
    { slug: 'one', promises: [promise], trouble: hostile },
    { isColored: false, file: 'x' },
  );

  expect(text).toContain('ab\\u{d}c');
  expect(/[\x00-\x09\x0b-\x1f]/.test(text)).toBe(false);
});
