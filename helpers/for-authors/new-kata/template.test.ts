import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readKata } from '../../foundations/catalogue/catalogue.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { missingIn } from './missing.ts';
import { templateOf } from './template.ts';

test('a new kata can be read, its judge has the promise of its README, and what is missing is listed', async () => {
  const root = await testFolder(onTestFinished);
  const files = templateOf('quota-keeper');
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }

  const { title, promises, starterBreaks } = readKata('quota-keeper', root);

  expect({ title, starterBreaks, count: promises.length }).toEqual({
    title: 'Quota keeper',
    starterBreaks: [1],
    count: 1,
  });
  expect(files['tests/quota-keeper/quota-keeper.test.ts']!.replaceAll('\\`', '`')).toContain(promises[0]!.text);
  expect(missingIn('quota-keeper', root)).toEqual(
    expect.arrayContaining([
      'katas/quota-keeper/README.md:3 says TODO',
      'tests/quota-keeper/submissions/accepted has 0 correct answers; it needs 3 of different structure',
      'tests/quota-keeper/submissions/rejected has no wrong answer that breaks promise 1',
    ]),
  );
});
