import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { Need } from '../../foundations/catalogue/front-matter.ts';
import { type Subject, startModule } from './subject.ts';
import { useWorkspace, workspaceFolder } from './use-workspace.ts';

const workspace = await useWorkspace();

const source = `import { readFile, writeFile } from 'node:fs/promises';
  export const read = (file: string) => readFile(file, 'utf8');
  export const write = (file: string) => writeFile(file, 'its text');`;
interface Kata {
  read(file: string): Promise<string>;
  write(file: string): Promise<void>;
}
const denied = 'Access to this API has been restricted';

test('a test file has one workspace, and it is empty', async () => {
  expect(await useWorkspace()).toBe(workspace);
  expect(workspaceFolder()).toBe(workspace);
  expect(await readdir(workspace)).toEqual([]);
});

test.for<[needs: Need[], read: string, written: string]>([
  [[], denied, denied],
  [['read-files'], 'text', denied],
  [['write-files'], denied, 'its text'],
  [['read-files', 'write-files'], 'text', 'its text'],
])('a module that needs %j may do so there, and nowhere else', async ([needs, read, written]) => {
  const folder = join(workspace, needs.join('-and-') || 'nothing');
  const outside = join(dirname(workspace), `${workspace}-beside`);
  await mkdir(folder);
  await writeFile(join(folder, 'given'), 'text');
  await using subject = await start(folder, needs);

  expect(await attempt(subject, 'read', join(folder, 'given'))).toContain(read);
  const wrote = await attempt(subject, 'write', join(folder, 'made'));
  expect(wrote === 'done' ? await readFile(join(folder, 'made'), 'utf8') : wrote).toContain(written);
  expect(await attempt(subject, 'read', join(workspace, '..', 'no-such-file'))).toContain(denied);
  expect(await attempt(subject, 'write', outside)).toContain(denied);
});

test('a workspace that is reached through a link is the same by both names', async () => {
  const [folder, link] = [join(workspace, 'real'), join(workspace, 'link')];
  await mkdir(folder);
  await writeFile(join(folder, 'given'), 'text');
  await symlink(folder, link, 'junction');
  await using subject = await start(link, ['read-files']);

  expect(await attempt(subject, 'read', join(link, 'given'))).toBe('text');
  expect(await attempt(subject, 'read', join(folder, 'given'))).toBe('text');
});

let modules = 0;

async function start(folder: string, needs: Need[]): Promise<Subject<Kata>> {
  const file = join(workspace, `module-${++modules}.ts`);
  await writeFile(file, source);
  return await startModule<Kata>(file, { needs, workspace: folder });
}

async function attempt(subject: Subject<Kata>, what: 'read' | 'write', file: string): Promise<string> {
  return await subject
    .evaluate(async (kata, args) => (await kata[args.what](args.file)) ?? 'done', { what, file })
    .catch((error: Error) => error.message);
}
