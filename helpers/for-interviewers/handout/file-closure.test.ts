import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { fileClosure } from './file-closure.ts';

test.for<[how: string, line: string]>([
  ['an import', "import { b } from './parts/b.ts';"],
  ['an import of a type', "import type { B } from './parts/b.ts';"],
  ['a type written in place', "type B = typeof import('./parts/b.ts');"],
  ['an export from it', "export * from './parts/b.ts';"],
  ['an import at run time', 'const b = await import(`./parts/b.ts`);'],
  ['a URL', "const b = new URL('parts/b.ts', import.meta.url);"],
  ['its path from here', "const b = join(import.meta.dirname, 'parts/b.ts');"],
])('%s leads to a file, and from there on', async ([, line]) => {
  const root = await folderWith({ 'a.ts': line, 'parts/b.ts': "import './c.js';", 'parts/c.js': '', 'd.ts': '' });

  const { files } = await fileClosure(root, ['a.ts'], []);

  expect(files).toEqual(['a.ts', 'parts/b.ts', 'parts/c.js']);
});

test('a comment, a text that names no file and a file outside lead nowhere', async () => {
  const root = await folderWith({
    'inner/a.ts': "// import './b.ts'\nconst text = 'see b.ts'; const far = '../outside.ts';",
    'inner/b.ts': '',
    'outside.ts': '',
  });

  expect((await fileClosure(join(root, 'inner'), ['a.ts'], [])).files).toEqual(['a.ts']);
});

test('tells the packages that are named, by their own name', async () => {
  const root = await folderWith({
    'a.ts': "import type { A } from '@scope/one/deep';\nawait import('two');\nimport 'three-and-more';",
  });

  const { packages } = await fileClosure(root, ['a.ts'], ['@scope/one', 'two', 'three', 'four']);

  expect(packages).toEqual(['@scope/one', 'two']);
});

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await testFolder(onTestFinished);
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
  return root;
}
