import { open, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { hasProc } from '../../foundations/processes/proc.ts';
import { until } from '../../foundations/waiting/until.ts';
import { startModule } from './subject.ts';
import { watchQuota } from './workspace-quota.ts';

const mebibyte = 1024 ** 2;

test.for([
  ['files', { files: 3, bytes: mebibyte }, 'more than 3 files'],
  ['bytes', { files: 100, bytes: mebibyte }, 'more than 1 MiB'],
] as const)('a folder with too many %s is told once, and one within its limits never', async ([kind, limits, what]) => {
  const folder = await testFolder(onTestFinished);
  const told: string[] = [];
  const end = watchQuota(folder, (words) => told.push(words), { limits });
  onTestFinished(end);
  await writeFile(join(folder, 'first'), 'x');
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(told).toEqual([]);

  for (const name of ['a', 'b', 'c'])
    await writeFile(join(folder, name), kind === 'bytes' ? Buffer.alloc(mebibyte) : 'x');

  expect(await until(() => told.length > 0)).toBe(true);
  expect(told).toEqual([what]);
});

test.skipIf(!hasProc)('a file without a name counts while its process has it open', async () => {
  const folder = await testFolder(onTestFinished);
  const told: string[] = [];
  const limits = { files: 100, bytes: mebibyte };
  onTestFinished(watchQuota(folder, (words) => told.push(words), { pid: process.pid, limits }));
  const handle = await open(join(folder, 'file'), 'w');
  onTestFinished(() => handle.close());
  await unlink(join(folder, 'file'));

  await handle.write(Buffer.alloc(2 * mebibyte, 1));

  expect(await until(() => told.length > 0)).toBe(true);
  expect(told).toEqual(['more than 1 MiB']);
});

test('a module that fills its workspace is stopped and named', async () => {
  const folder = await testFolder(onTestFinished);
  const file = join(folder, 'module.ts');
  await writeFile(
    file,
    `import { writeFileSync } from 'node:fs';
     export const go = async (folder: string) => { for (let n = 0; ; n++) { writeFileSync(folder + '/' + n, 'x'); if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1)); } };`,
  );
  await using subject = await startModule<{ go(folder: string): Promise<void> }>(file, {
    needs: ['write-files'],
    workspace: folder,
  });

  await expect(subject.evaluate((kata, path) => kata.go(path), folder)).rejects.toThrow(
    /filled its workspace with more than 2000 files/,
  );
});
