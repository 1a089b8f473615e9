// Path: cache-folder.ts. Window: a folder that is cut off, made twice at once, or cannot be written.
// Invariant: what is found in the cache is whole, and what could not be made leaves nothing behind.
import { readFile, readdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../foundations/processes/test-folder.ts';
import { cacheFolder, cacheSizeBytes, cached, findCached } from './cache-folder.ts';

async function emptyCache(): Promise<NodeJS.ProcessEnv & { KATA_CACHE: string }> {
  return { KATA_CACHE: await testFolder(onTestFinished) };
}

async function makeOne(folder: string): Promise<string> {
  await writeFile(join(folder, 'one'), 'x'.repeat(1000));
  return 'made';
}

test('KATA_CACHE names the folder; without it XDG_CACHE_HOME holds it on Linux', () => {
  expect(cacheFolder({ KATA_CACHE: '/a/b' })).toBe('/a/b');
  if (process.platform === 'linux') expect(cacheFolder({ XDG_CACHE_HOME: '/a' })).toBe('/a/backend-katas');
});

test('a folder is made once and found whole afterwards, with the facts of its maker', async () => {
  const env = await emptyCache();
  let makes = 0;
  const make = (folder: string): Promise<string> => (makes++, makeOne(folder));

  const first = await cached('thing', make, env);
  const second = await cached('thing', make, env);

  expect(makes, 'times the folder was made').toBe(1);
  expect(second).toEqual(first);
  expect(second).toMatchObject({ files: { one: 1000 }, facts: 'made' });
  expect(await cacheSizeBytes(env), 'bytes of a file of 1000 and its list').toBeGreaterThan(1000);
});

test('a folder that lost a part of a file is made anew', async () => {
  const env = await emptyCache();
  const cutOff = await cached('thing', makeOne, env);
  await truncate(join(cutOff.folder, 'one'), 500);

  const anew = await cached('thing', makeOne, env);

  expect(await readFile(join(anew.folder, 'one'), 'utf8')).toHaveLength(1000);
  expect(await readdir(env.KATA_CACHE), 'the folder made anew and nothing else').toHaveLength(1);
});

test('a name is not taken for another that begins with it', async () => {
  const env = await emptyCache();
  await cached('data-9.7.4', makeOne, env);

  expect(await findCached('data-9.7', env)).toBeUndefined();
});

test('two makers at once in one process make one folder', async () => {
  const env = await emptyCache();

  const [one, two] = await Promise.all([cached('thing', makeOne, env), cached('thing', makeOne, env)]);

  expect(one.folder).toBe(two.folder);
  expect(await readdir(env.KATA_CACHE)).toHaveLength(1);
});

test('a folder that is being made is left alone by other makers, however old its files are', async () => {
  const env = await emptyCache();
  const make = async (folder: string): Promise<string> => {
    await utimes(folder, 0, 0);
    await cached('other', makeOne, env);
    return makeOne(folder);
  };

  expect(await cached('thing', make, env)).toMatchObject({ files: { one: 1000 } });
});

test('a full disk is one sentence that names the folder, and nothing half-made stays', async () => {
  const env = await emptyCache();
  const make = async (folder: string): Promise<never> => {
    await makeOne(folder);
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };

  await expect(cached('thing', make, env)).rejects.toMatchObject({
    name: 'MysqlUnavailable',
    message: `The disk is full at ${env.KATA_CACHE}: free about 1 GB there, or set KATA_CACHE to a folder on another disk.`,
  });
  expect(await readdir(env.KATA_CACHE)).toEqual([]);
});

test('a cache that cannot be written is one sentence that names the folder', async () => {
  const { KATA_CACHE } = await emptyCache();
  const file = join(KATA_CACHE, 'file');
  await writeFile(file, '');

  await expect(cached('thing', makeOne, { KATA_CACHE: join(file, 'cache') })).rejects.toMatchObject({
    name: 'MysqlUnavailable',
    message: expect.stringMatching(
      /^The folder .*file.cache cannot be written \(ENOTDIR\): make it writable, or set KATA_CACHE to one that is\.$/,
    ),
  });
});
