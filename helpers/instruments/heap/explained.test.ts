import { afterEach, expect, test, vi } from 'vitest';
import { Explained } from './explained.ts';

afterEach(() => vi.unstubAllEnvs());

/** Counts how often it is asked, and never answers. */
function silentSubject() {
  let asked = 0;
  const probe = () => {
    asked++;
    return Promise.reject(new Error('it has ended'));
  };
  return { probe, asked: () => asked };
}

const again = () => Promise.resolve();
const failed = '(who holds it could not be told: Error: it has ended)\n';

test('explains only the first broken promise, and never throws', async () => {
  vi.stubEnv('KATA_EXPLAIN', 'first');
  const subject = silentSubject();
  const explained = new Explained('Gateway');

  expect(await explained.holders(subject, false, again)).toBe('');
  expect(await explained.holders(subject, true, again)).toBe(failed);
  expect(await explained.holders(subject, true, again)).toBe('');
  expect(subject.asked()).toBe(1);
});

test('explains all of them when told so', async () => {
  vi.stubEnv('KATA_EXPLAIN', 'all');
  const explained = new Explained('Gateway');

  for (const _ of [1, 2]) expect(await explained.holders(silentSubject(), true, again)).toBe(failed);
});

test('explains nothing when told so', async () => {
  vi.stubEnv('KATA_EXPLAIN', 'none');
  const subject = silentSubject();

  expect(await new Explained('Gateway').holders(subject, true, again)).toBe('');
  expect(subject.asked()).toBe(0);
});
