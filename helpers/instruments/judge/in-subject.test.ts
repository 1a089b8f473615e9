import { writeFile } from 'node:fs/promises';

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import type { Run } from '../../judging/subject/subject-types.ts';
import { Subject } from '../../judging/subject/subject.ts';

interface Module {
  name(): string;
}

test('What inside.ts changes is changed for the module, and not for the judge that imports it.', async () => {
  const folder = await testFolder(afterAll);
  const [insideFile, file] = [join(folder, 'inside.ts'), join(folder, 'module.ts')];
  await writeFile(
    insideFile,
    // Of node:fs the judge's functions have more than the module.
    `import crypto from 'node:crypto';
     import fs from 'node:fs';
     import { inSubject } from ${JSON.stringify(join(import.meta.dirname, 'in-subject.ts'))};
     inSubject(() => { crypto.randomUUID = () => 'changed'; fs.existsSync = () => 'changed'; });
     export const nameOf = ({ kata }) => kata.name();`,
  );
  await writeFile(
    file,
    "import { randomUUID } from 'node:crypto'; import { existsSync } from 'node:fs'; export const name = () => `${randomUUID()} ${existsSync('')}`;",
  );

  await import(insideFile);
  const nameOf: Run<Module, undefined, string> = () => '';

  await using subject = new Subject<Module>(file, { insideFile });
  await subject.load();

  expect(await subject.run(nameOf)).toBe('changed changed');
  expect(randomUUID()).not.toBe('changed');
});
