import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { allowedPackages } from './allowed-packages.ts';
import { findForeignImport } from './foreign-imports.ts';

test.each([
  [
    "import { a } from './helper.ts';\na();",
    1,
    'it imports "./helper.ts", but only kata.ts is judged: put what you need into that file',
  ],
  ["\n\nimport { map } from 'lodash';\nmap();", 3, 'it imports "lodash", which is not there when the module is judged'],
  ["export * from '../other/other.ts';", 1, 'it imports "../other/other.ts"'],
  ["\nexport const later = () => import('left-pad');", 2, 'it imports "left-pad"'],
  ["import 'mysql2-like';", 1, 'it imports "mysql2-like"'],
])('%j is told by its line', async (text, line, sentence) => {
  const found = await findForeignImport('katas/kata/kata.ts', text);

  expect(found?.line).toBe(line);
  expect(found?.sentence).toContain(sentence);
});

test.each([
  "import { readFile } from 'node:fs/promises';\nexport const read = readFile;",
  "import { Readable } from 'stream';\nexport const one = Readable;",
  "import { createPool } from 'mysql2/promise';\nexport const one = createPool;",
  "import type { Helper } from './helper.ts';\nexport const one: Helper = 1;",
  'export const one = import.meta.url;',
  'this does not compile',
])('%j is fine', async (text) => {
  expect(await findForeignImport('katas/kata/kata.ts', text)).toBeUndefined();
});

test('what a module may import is what package.json has as dependencies', () => {
  const { dependencies } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };

  expect(Object.keys(dependencies)).toEqual(allowedPackages);
});
