import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import type { Run } from './subject-types.ts';
import { Subject } from './subject.ts';

interface Module {
  reach(name: string): Promise<unknown>;
}

test('The judge may use a package that the module cannot import.', async () => {
  const folder = await testFolder(afterAll);
  await symlink(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const insideFile = join(folder, 'inside.ts');
  await writeFile(
    insideFile,
    `import { LRUCache } from 'lru-cache';
     export const newest = ({ args: keys }) => {
       const cache = new LRUCache({ max: 1 });
       for (const key of keys) cache.set(key, true);
       return [...cache.keys()].join();
     };
     export const reach = ({ kata, args: name }) => kata.reach(name).then(() => 'reached', ({ code }) => code);`,
  );
  const file = join(folder, 'module.ts');
  await writeFile(file, 'export const reach = async (name: string) => await import(name);');
  // `run` goes by the name of a function alone.
  const newest: Run<Module, readonly string[], string> = () => '';
  const reach: Run<Module, string, string> = () => '';

  await using subject = new Subject<Module>(file, { insideFile });
  await subject.load();

  expect(await subject.run(newest, ['a', 'b'])).toBe('b');
  expect(await subject.run(reach, 'node:os')).toBe('reached');
  expect(await subject.run(reach, 'lru-cache')).toMatch(/^ERR_(ACCESS_DENIED|MODULE_NOT_FOUND)$/);
});
