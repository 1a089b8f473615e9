import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fromOutside } from '../../foundations/processes/proc.ts';
import { type Subject, startModule } from '../../judging/subject/subject.ts';
import { useWorkspace } from '../../judging/subject/use-workspace.ts';
import { fillDisk, noFullDisk } from './full-disk.ts';

const workspace = await useWorkspace();
const room = 1024 * 1024;

interface Kata {
  write(path: string, bytes: number): Promise<void>;
}

const ways: readonly [name: string, source: string][] = [
  ['writeFileSync', 'async (path, bytes) => fs.writeFileSync(path, Buffer.alloc(bytes))'],
  ['fs.promises.writeFile', '(path, bytes) => fs.promises.writeFile(path, Buffer.alloc(bytes))'],
  [
    'a stream',
    '(path, bytes) => new Promise((done, fail) => fs.createWriteStream(path).on("error", fail).on("finish", done).end(Buffer.alloc(bytes)))',
  ],
];

test.for(ways)('%s', async ([, source], { skip }) => {
  if (noFullDisk !== undefined) skip(noFullDisk);
  await using subject = await start(source);
  const [small, large, later] = ['small', 'large', 'later'].map((name) => join(workspace, name));

  {
    await using _disk = await fillDisk(subject, room);
    await write(subject, small!, room);
    await expect(write(subject, large!, 4 * room)).rejects.toThrow('EFBIG');
    await writeFile(later!, Buffer.alloc(4 * room));
  }
  await write(subject, later!, 2 * room);

  expect((await stat(small!)).size, 'a file for which there was room').toBe(room);
  expect((await stat(large!)).size, 'a file for which there was none').toBe(room);
  expect((await readFile(later!)).length, 'a file that was written when there was room again').toBe(2 * room);
});

test('where no limit can be set, it says why', async ({ skip }) => {
  if (noFullDisk !== undefined) skip(noFullDisk);
  // Above what Linux counts to.
  const nobody = 2 ** 22 + 1;

  const limits = [nobody, process.pid].map((pid) => fromOutside.limitFiles(pid, 'unlimited'));

  await expect(limits[0]).rejects.toThrow(/^The files of process 4194305 could not be limited, prlimit said: .*\.$/);
  await expect(limits[1], 'the next one').resolves.toBe(undefined);
});

async function write(subject: Subject<Kata>, path: string, bytes: number): Promise<void> {
  await subject.evaluate((kata, args) => kata.write(args.path, args.bytes), { path, bytes });
}

let modules = 0;

async function start(source: string): Promise<Subject<Kata>> {
  const module = join(workspace, `module-${++modules}.ts`);
  await writeFile(module, `import fs from 'node:fs';\nexport const write = ${source};`);
  return await startModule<Kata>(module, { needs: ['write-files'], workspace });
}
