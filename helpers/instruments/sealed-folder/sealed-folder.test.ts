import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { readSealedFolder, sealFolder, sealedFile } from './sealed-folder.ts';

const folder = join(await testFolder(afterAll), 'kept-back');
const texts = { 'one.yaml': `does: ${'rounds down, '.repeat(40)}\n`, 'two.ts': 'export const price = "5 €";\n' };

test('a judge reads the same texts from the folder and from its sealed file, which shows none of them', async () => {
  await mkdir(folder);
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);

  const sealed = await sealFolder(folder);
  const ofFolder = await readSealedFolder(folder);
  await writeFile(sealedFile(folder), sealed);
  await rm(folder, { recursive: true });
  const ofSealedFile = await readSealedFolder(folder);

  expect(Object.fromEntries(ofFolder)).toEqual(texts);
  expect(ofSealedFile).toEqual(ofFolder);
  expect(sealed).toMatch(/^[\w+/=\n]+$/);
  expect(sealed).not.toMatch(/round|price|one|two/);
});

test('where there is neither, it says which file is missing', async () => {
  await expect(readSealedFolder(`${folder}-of-nobody`)).rejects.toThrow(/kept-back-of-nobody\.sealed/);
});
