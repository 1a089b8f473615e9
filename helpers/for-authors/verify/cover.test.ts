import { expect, test } from 'vitest';
import type { Submission } from '../../foundations/catalogue/submissions.ts';
import { coverOf } from './cover.ts';

const submissions = [
  submission('starter', [1, 2]),
  submission('solution', []),
  submission('accepted/other', []),
  submission('rejected/a', [1, 2]),
  submission('rejected/b', [1]),
  submission('rejected/c', [1]),
  submission('rejected/d', [2, 3]),
];

test('as few answers as break every promise, the first by name where several do', () => {
  // a and d between them break all three.
  expect(chosen({})).toEqual(['rejected/a', 'rejected/d']);
});

test('an answer that breaks many promises counts only where no other breaks one of them', () => {
  const starterLike = submission('rejected/does-nothing', [1, 2, 3, 4]);
  const names = (list: readonly Submission[]) => coverOf(list, {}).map(({ name }) => name);

  expect(names([...submissions, starterLike]).slice(3)).toEqual(['rejected/a', 'rejected/d', 'rejected/does-nothing']);
  expect(names([...submissions, starterLike, submission('rejected/e', [4])]).slice(3)).toEqual([
    'rejected/a',
    'rejected/d',
    'rejected/e',
  ]);
});

test('the answer with the smallest recorded margin is taken', () => {
  expect(chosen({ 1: { name: 'rejected/c', use: 1.6 }, 2: { name: 'rejected/d', use: 2 } })).toEqual([
    'rejected/c',
    'rejected/d',
  ]);
});

test('a record of an answer that is gone, or that breaks something else now, counts for nothing', () => {
  expect(chosen({ 1: { name: 'rejected/gone', use: 2 }, 2: { name: 'rejected/c', use: 2 } })).toEqual(chosen({}));
});

test('the order in which answers are listed makes no difference', () => {
  const names = (list: readonly Submission[]) => new Set(coverOf(list, {}).map(({ name }) => name));
  expect(names(submissions.toReversed())).toEqual(names(submissions));
});

function chosen(recorded: Parameters<typeof coverOf>[1]): string[] {
  const names = coverOf(submissions, recorded).map(({ name }) => name);
  expect(names.slice(0, 3)).toEqual(['starter', 'solution', 'accepted/other']);
  return names.slice(3);
}

function submission(name: string, breaks: readonly number[]): Submission {
  return { slug: 'kata', name, target: name, file: name, source: name, breaks, ask: undefined };
}
