import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readKata } from '../../foundations/catalogue/catalogue.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { missingIn } from './missing.ts';
import { templateOf } from './template.ts';

test('a new kata can be read, its judge has the promise of its README, and what is missing is listed', async () => {
  const root = await testFolder(onTestFinished);
  const files = templateOf('rate-limiter');
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }

  const { title, promises, starterBreaks } = readKata('rate-limiter', root);

  expect({ title, starterBreaks, count: promises.length }).toEqual({
    title: 'Rate limiter',
    starterBreaks: [1],
    count: 1,
  });
  expect(files['tests/rate-limiter/rate-limiter.test.ts']!.replaceAll('\\`', '`')).toContain(promises[0]!.text);
  expect(missingIn('rate-limiter', root)).toEqual(
    expect.arrayContaining([
      'katas/rate-limiter/README.md:3 says TODO',
      'tests/rate-limiter/submissions/accepted has 0 correct answers; it needs 3 of different structure',
      'tests/rate-limiter/submissions/rejected has no wrong answer that breaks promise 1',
    ]),
  );
});
