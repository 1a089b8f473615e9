import { expect, test } from 'vitest';
import { after, settles, until } from './until.ts';

/** Keeps this process from running anything else, as a machine does that gives it no time. */
function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

test('a limit counts no time in which this process did not run', async () => {
  let late = false;
  const cancel = after(500, () => (late = true));

  block(800);
  await turn();
  expect(late, 'after 800 ms without a turn, of a limit of 500').toBe(false);
  expect(await until(() => late), 'in the end').toBe(true);
  cancel();
});

test('what is cancelled does not happen', async () => {
  let happened = false;

  after(10, () => (happened = true))();
  await until(() => happened, 200);

  expect(happened).toBe(false);
});

test('until and settles say no when it never comes', async () => {
  expect(await until(() => false, 50)).toBe(false);
  expect(await settles(new Promise(() => undefined), 50)).toBe(false);
});

test('until and settles say yes when it comes, also when it fails', async () => {
  let asked = 0;

  expect(await until(() => ++asked === 3)).toBe(true);
  expect(await settles(Promise.reject(new Error('no')))).toBe(true);
});
