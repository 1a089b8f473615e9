import { expect, test } from 'vitest';
import { align } from './align.ts';

const none = undefined;

test('equal lines share a row, and a changed stretch stands beside what it became', () => {
  expect(align(['a\nold\nz\n', 'a\nnew\nmore\nz\n'])).toEqual([
    ['a', 'a'],
    ['old', 'new'],
    [none, 'more'],
    ['z', 'z'],
  ]);
});

test('three texts keep to the middle one; lines that only the outer two have share a row', () => {
  expect(align(['a\nb\nc\n', 'a\nc\n', 'a\nd\nc\ne\n'])).toEqual([
    ['a', 'a', 'a'],
    ['b', none, 'd'],
    ['c', 'c', 'c'],
    [none, none, 'e'],
  ]);
});

test.for<[texts: readonly string[]]>([
  [['', 'a\nb', 'b\nc']],
  [['a\nb\nc\nd', 'x', 'a\nc']],
  [['x\ny', 'a\n\n\nb', 'y\nx']],
  [['1\n2\n3\n4\n5', '2\n4\n6', '1\n2\n6\n7']],
  [['a\na\na', 'a\na', 'a\na\na\na']],
])('every line of every text stands in its own column, once and in order: %j', ([texts]) => {
  const rows = align(texts);

  texts.forEach((text, column) => {
    expect(rows.flatMap((row) => (row[column] === undefined ? [] : [row[column]]))).toEqual(text.split('\n'));
  });
  expect(rows.every((row) => row.length === texts.length && row.some((line) => line !== undefined))).toBe(true);
});
