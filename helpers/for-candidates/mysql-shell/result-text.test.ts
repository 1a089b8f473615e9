// Path: result-text.ts. Window: values that are wide, long, absent, or not meant for a terminal.
// Invariant: a table is never wider than its screen while its columns can give, and shows no byte that acts on it.
import { expect, test } from 'vitest';
import { resultText } from './result-text.ts';

const text = (name: string) => ({ name, isNumber: false });
const number = (name: string) => ({ name, isNumber: true });

test('numbers stand on the right, NULL is NULL, and the rows are counted', () => {
  const shown = resultText(
    {
      columns: [text('id'), number('value')],
      rows: [
        ['a', '100'],
        ['b', null],
      ],
    },
    'SELECT',
    1.24,
    80,
  );

  expect(shown).toBe(
    [
      '┌────┬───────┐',
      '│ id │ value │',
      '├────┼───────┤',
      '│ a  │   100 │',
      '│ b  │  NULL │',
      '└────┴───────┘',
      '2 rows, 1.2 ms',
    ].join('\n'),
  );
});

test('the widest values are cut until the table fits, and the others stay whole', () => {
  const shown = resultText(
    { columns: [text('id'), text('long'), text('longer')], rows: [['abc', 'x'.repeat(100), 'y'.repeat(300)]] },
    'SELECT',
    1,
    60,
  );

  const widths = shown
    .split('\n')
    .slice(0, -1)
    .map((line) => line.length);
  expect(new Set(widths)).toEqual(new Set([60]));
  expect(shown).toMatch(/│ abc │ x{20,}… │ y{20,}… │/);
});

test('without a screen nothing is cut', () => {
  const shown = resultText({ columns: [text('long')], rows: [['x'.repeat(500)]] }, 'SELECT', 1, Infinity);

  expect(shown).toContain('x'.repeat(500));
});

test('a value cannot act on the terminal, and keeps its lines', () => {
  const shown = resultText({ columns: [text('v')], rows: [['\u001b[2Jred\u0007\ttab\nnext']] }, 'SELECT', 1, 80);

  expect(shown).toContain('│ red�    tab │\n│ next        │');
});

test('vertical shows a wide value whole', () => {
  const shown = resultText(
    { columns: [text('id'), text('long')], rows: [['a', 'x'.repeat(100)]] },
    'SELECT',
    1,
    40,
    true,
  );

  expect(shown).toBe(`--- row 1 ---\n  id: a\nlong: ${'x'.repeat(100)}\n1 row, 1.0 ms`);
});

test('says how many rows it leaves out', () => {
  const rows = Array.from({ length: 1_001 }, (_, index) => [String(index)]);

  const shown = resultText({ columns: [number('n')], rows }, 'SELECT', 1, 80);

  expect(shown.split('\n').at(-1)).toBe('1001 rows (the last 1 not shown), 1.0 ms');
  expect(shown).toContain(' 999 ');
});

test.each([
  ['START TRANSACTION', { affected: 0, info: '', insertId: 0, warnings: 0 }, 'OK, 1.0 ms'],
  ['DELETE FROM t', { affected: 0, info: '', insertId: 0, warnings: 0 }, 'OK, 0 rows, 1.0 ms'],
  ['INSERT INTO t VALUES (1)', { affected: 1, info: '', insertId: 7, warnings: 0 }, 'OK, 1 row, insert id 7, 1.0 ms'],
  [
    'UPDATE t SET a = 1',
    { affected: 2, info: 'Rows matched: 2  Changed: 1  Warnings: 1', insertId: 0, warnings: 1 },
    'OK, 2 rows matched, 1 changed, 1 warning (SHOW WARNINGS; tells more), 1.0 ms',
  ],
])('%s is answered with what it did', (sql, counts, expected) => {
  const shown = resultText(counts, sql, 1, 80);

  expect(shown).toBe(expected);
});
