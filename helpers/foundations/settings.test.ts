import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from './catalogue/target.ts';
import { readSettings } from './settings.ts';

const own = 'helpers/foundations/settings.ts';
/** To be gone with the next edit of that judge; see adopt-settings.ts. */
const left = 'tests/memory-leak/memory-leak.test.ts';
/** A variable that is read: `process.env.KATA_X`, `env['KATA_X']`, `const { KATA_X } = process.env`. */
const reads = /\benv(?:\.|\[['"`])KATA_\w+|\{[^{}]*\bKATA_\w+[^{}]*\}\s*=\s*(?:process\.)?env\b/g;

test.each(['process.env.KATA_X ?? 1', "env['KATA_X']", 'const { KATA_X: x } = process.env;'])(
  '"%s" is seen to read a variable',
  (text) => {
    expect(text.match(reads)).toHaveLength(1);
  },
);

test('no other file reads a variable', () => {
  const files = globSync(['*.ts', 'helpers/**/*.{ts,js}', 'tests/*/*.ts'], { cwd: repositoryRoot }).filter(
    (file) => file !== own && file !== left && !(file.startsWith('helpers/') && file.endsWith('.test.ts')),
  );

  const found = files.flatMap((file) =>
    (readFileSync(join(repositoryRoot, file), 'utf8').match(reads) ?? []).map((text) => `${file}: ${text}`),
  );

  expect(files.length).toBeGreaterThan(100);
  expect(found).toEqual([]);
});

test('CONTRIBUTING.md lists every variable, and no other', () => {
  const listed = [...readFileSync(join(repositoryRoot, 'CONTRIBUTING.md'), 'utf8').matchAll(/^\| `(KATA_\w+)` /gm)];
  const known = [...readFileSync(join(repositoryRoot, own), 'utf8').matchAll(/env\['(KATA_\w+)'\]/g)];

  const namesOf = (matches: RegExpExecArray[]) =>
    [...new Set(matches.map(([, name]) => name))].toSorted((one = '', other = '') => one.localeCompare(other));
  expect(namesOf(listed)).toEqual(namesOf(known));
});

test('without variables, the starter is judged and the first failure is explained', () => {
  expect(readSettings({})).toMatchObject({ target: 'katas', explain: 'first', proc: true, seed: undefined });
});
