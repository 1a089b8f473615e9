import { expect, test } from 'vitest';
import { readStranger } from './read-stranger.ts';

test('what a module exports, and what of it is compared', async () => {
  const { exports, essence } = await readStranger(
    'export const a = 1; export type T = 1; export function b(given: T) {}',
  );

  expect(exports).toEqual(['a', 'b']);
  expect(essence).not.toContain('given');
});

test.for([
  ['20,000 conditions within each other', `export const a = () => ${'a?b:'.repeat(20_000)}1`],
  ['250,000 powers in a row', `export const a = ${'a**'.repeat(250_000)}1`],
])('a text that a parser does not survive exports nothing that is known: %s', async ([, source]) => {
  const { essence } = await readStranger(source!);

  expect(essence.length).toBe(20_000);
  expect((await readStranger('export const a = 1')).exports).toEqual(['a']);
});
