// Path: start-server.ts. Window: a choice that is unknown, that fails, or that nobody made.
// Invariant: what was chosen is never silently replaced; what was not chosen is tried in order, and told when all fail.
import { chmod, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../foundations/processes/test-folder.ts';
import { sourceNames } from './source.ts';
import { chooseSource, probeAll, startServer } from './start-server.ts';

const noDocker = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };

/** A mysqld that says its version and cannot do anything else. */
async function brokenMysqld(): Promise<string> {
  const folder = await testFolder(onTestFinished);
  const lines = ['#!/bin/sh', 'case "$*" in *--version*) echo "mysqld  Ver 99.1.2 for Linux";;'];
  lines.push('*) echo "[ERROR] the moon is full" >&2; exit 3;; esac');
  await writeFile(join(folder, 'mysqld'), lines.join('\n'));
  await chmod(join(folder, 'mysqld'), 0o755);
  return folder;
}

test('an unknown KATA_MYSQL is refused with the words that it may be', async () => {
  await expect(startServer({ env: { KATA_MYSQL: 'dokcer' } })).rejects.toThrow(
    'KATA_MYSQL is "dokcer": set it to url, docker, local, debian-mysql, debian-mariadb or packages, or leave it out.',
  );
});

test('KATA_MYSQL=url without MYSQL_URL says which is missing', async () => {
  await expect(startServer({ env: { KATA_MYSQL: 'url' } })).rejects.toThrow(
    /^MYSQL_URL is not set\. Set it, as in MYSQL_URL=mysql:/,
  );
});

test('a chosen source that does not serve is not replaced', async () => {
  await expect(startServer({ env: { ...process.env, ...noDocker, KATA_MYSQL: 'docker' } })).rejects.toThrow(
    'KATA_MYSQL=docker does not serve. No Docker engine answers at unix:///nowhere/docker.sock (ENOENT). Start it, or correct DOCKER_HOST.',
  );
});

test('when all that may be tried fail, the message has each with its reason and its remedy', async () => {
  const env = { KATA_MYSQL: 'packages', PATH: '/nowhere', KATA_CACHE: await testFolder(onTestFinished) };

  await expect(startServer({ env })).rejects.toMatchObject({
    name: 'MysqlUnavailable',
    message: expect.stringMatching(
      /^KATA_MYSQL=packages does not serve.*\n {2}- debian-mysql: .+\. .+\n {2}- debian-mariadb: .+\. .+\n.*install MySQL/,
    ),
  });
  await expect(chooseSource(env)).rejects.toThrow(/debian-mariadb: /);
});

test('every source is probed, in order', async () => {
  const probes = await probeAll({ ...process.env, MYSQL_URL: '' });

  expect(probes.map(({ name }) => name)).toEqual(sourceNames);
  expect(probes[0]?.probe).toMatchObject({ serves: false, why: 'MYSQL_URL is not set' });
});

test.skipIf(process.platform === 'win32')(
  'a chosen source that fails to start is told with the words of its server',
  async () => {
    const env = {
      ...process.env,
      PATH: await brokenMysqld(),
      KATA_MYSQL: 'local',
      KATA_CACHE: await testFolder(onTestFinished),
    };

    await expect(startServer({ env })).rejects.toThrow(
      /^KATA_MYSQL=local does not serve\. .*mysqld could not initialise a data directory: it ended with exit code 3: \[ERROR\] the moon is full/,
    );
  },
);

test('a source that nobody chose and that fails to start is passed over, and the reason is told', async (ctx) => {
  if (process.platform === 'win32') return ctx.skip('the broken mysqld of this test is a shell script');
  const env = {
    ...process.env,
    ...noDocker,
    MYSQL_URL: '',
    KATA_MYSQL: '',
    PATH: `${await brokenMysqld()}${delimiter}${process.env['PATH']}`,
  };
  const packages = (await probeAll(env)).find(({ name, probe }) => name.startsWith('debian-') && probe.serves);
  if (!packages) return ctx.skip('nothing but Docker serves here');
  const lines: string[] = [];

  await using server = await startServer({ env, onProgress: (line) => lines.push(line) });

  expect(server.source).toBe(packages.name);
  expect(lines).toContainEqual(expect.stringMatching(/^local did not serve: .*the moon is full/));
});

test.for(['docker', 'debian-mysql', 'debian-mariadb'] as const)(
  'MD5() and SHA1() are there on a server from %s',
  async (name, { skip }) => {
    const env = { ...process.env, KATA_MYSQL: name };
    const found = (await probeAll(env)).find((one) => one.name === name)!.probe;
    if (!found.serves) return skip(found.why);
    await using server = await startServer({ env });
    const { host, port, user, password } = server;
    const connection = await createConnection({ host, port, user, password });
    const [rows] = await connection
      .query("SELECT MD5('') AS md5, SHA1('') AS sha1")
      .finally(() => connection.destroy());

    expect(rows).toEqual([
      { md5: 'd41d8cd98f00b204e9800998ecf8427e', sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709' },
    ]);
  },
);
