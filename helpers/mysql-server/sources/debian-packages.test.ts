// Path: sources/debian-packages.ts. Window: the first run, without a network.
// Invariant: a probe fetches nothing; a fetch that fails is one sentence, and leaves the cache empty.
import { readdir } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { debianMariadbSource } from './debian-mariadb.ts';
import { debianMysqlSource } from './debian-mysql.ts';

const deadProxy = 'http://127.0.0.1:9';

async function firstRunOffline(): Promise<NodeJS.ProcessEnv & { KATA_CACHE: string }> {
  const KATA_CACHE = await testFolder(onTestFinished);
  return { ...process.env, KATA_CACHE, http_proxy: deadProxy, https_proxy: deadProxy };
}

test('the probe names what would be fetched, and fetches nothing', async (ctx) => {
  const env = await firstRunOffline();

  const probes = await Promise.all([debianMysqlSource(env).probe(), debianMariadbSource(env).probe()]);

  for (const probe of probes) if (!probe.serves) return ctx.skip(probe.why);
  expect(probes).toEqual([
    { serves: true, detail: expect.stringMatching(/^MySQL from sid at \S+; packages are fetched on first use$/) },
    { serves: true, detail: expect.stringMatching(/^MariaDB from \S+ at \S+.*; packages are fetched on first use$/) },
  ]);
  expect(await readdir(env.KATA_CACHE)).toEqual([]);
});

test('a mirror that cannot be reached is told in the words of apt, and nothing half-made stays', async (ctx) => {
  const env = await firstRunOffline();
  const source = debianMysqlSource(env);
  const probe = await source.probe();
  if (!probe.serves) return ctx.skip(probe.why);
  const lines: string[] = [];

  await expect(source.start((line) => lines.push(line))).rejects.toMatchObject({
    name: 'MysqlUnavailable',
    message: expect.stringMatching(
      /^MySQL could not be fetched from the distribution's packages \(apt-get update failed: .*127\.0\.0\.1.*\): check the network/,
    ),
  });
  expect(lines, 'progress').toEqual([expect.stringMatching(/: fetching the package lists of /)]);
  expect(await readdir(env.KATA_CACHE)).toEqual([]);
});

test('without apt the reason is told', async (ctx) => {
  if (process.platform !== 'linux') return ctx.skip('only Linux is asked for apt');
  const env = await firstRunOffline();

  expect(await debianMysqlSource({ ...env, PATH: '/nowhere' }).probe()).toEqual({
    serves: false,
    why: 'apt-get, apt-cache, apt-config, dpkg, dpkg-deb are not all here',
    remedy: 'Use Docker, or install MySQL and put mysqld on the PATH.',
  });
});
