// Path: sources/local.ts. Window: what stands on the PATH under the name of a server.
// Invariant: MySQL before MariaDB, nothing too old, nothing that does not run; the reason names the file.
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { describe, expect, onTestFinished, test } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { chooseSource, startServer } from '../start-server.ts';
import { localSource } from './local.ts';

/** A folder with an executable that prints `line`. */
async function folderWith(name: string, line: string): Promise<string> {
  const folder = await testFolder(onTestFinished);
  await writeFile(join(folder, name), `#!/bin/sh\n${line}\n`);
  await chmod(join(folder, name), 0o755);
  return folder;
}

const mysql = "echo 'mysqld  Ver 9.7.4 for Linux on x86_64 (Source distribution)'";
const mariadb = "echo 'mariadbd  Ver 11.8.6-MariaDB for debian-linux-gnu on x86_64'";
const old = "echo 'mysqld  Ver 5.7.44 for Linux on x86_64'";

describe.skipIf(process.platform === 'win32')('programs on the PATH', () => {
  test('MySQL is taken before a MariaDB that comes first', async () => {
    const folders = [await folderWith('mariadbd', mariadb), await folderWith('mysqld', mysql)];

    const probe = await localSource({ PATH: folders.join(delimiter) }).probe();

    expect(probe).toEqual({ serves: true, detail: `mysql 9.7.4 at ${join(folders[1] ?? '', 'mysqld')}` });
  });

  test("MariaDB under MySQL's name is told as MariaDB", async () => {
    const PATH = await folderWith('mysqld', mariadb);

    const probe = await localSource({ PATH }).probe();

    expect(probe).toMatchObject({ serves: true, detail: expect.stringContaining('mariadb 11.8.6 at') });
  });

  test.for([
    ['is too old', old, /mysqld is mysql 5\.7\.44, too old/],
    [
      'does not run',
      'echo "cannot open shared object" >&2; exit 127',
      /mysqld does not run: cannot open shared object/,
    ],
    ['says no version', 'echo hello', /mysqld does not run: it says "hello", which names no version/],
  ] as const)('one that %s is refused by name', async ([, line, reason], ctx) => {
    const elsewhere = await localSource({ PATH: '' }).probe();
    if (elsewhere.serves) ctx.skip(`a server is installed here: ${elsewhere.detail}`);
    const PATH = await folderWith('mysqld', line);

    const probe = await localSource({ PATH }).probe();

    expect(probe).toMatchObject({
      serves: false,
      why: expect.stringMatching(reason),
      remedy: expect.stringMatching(/^Install MySQL/),
    });
  });
});

test('a server that is installed serves', async (ctx) => {
  const env = { ...process.env, KATA_MYSQL: 'debian-mariadb' };
  const refusal = await chooseSource(env).then(
    () => '',
    (error: Error) => error.message,
  );
  if (refusal) return ctx.skip(refusal);
  const PATH = await folderWith('mysqld', `exec ${await commandOf(env)}`);
  const local = { ...process.env, PATH: `${PATH}${delimiter}${process.env['PATH']}`, KATA_MYSQL: 'local' };

  await using server = await startServer({ env: { ...local, KATA_CACHE: await folderWith('empty', '') } });
  const { host, port, user, password } = server;
  const connection = await createConnection({ host, port, user, password });
  onTestFinished(() => connection.destroy());
  const [rows] = await connection.query('SELECT @@port AS port');

  expect(server.source).toBe('local');
  expect(rows).toEqual([{ port: server.port }]);
});

/** The command line that runs an unpacked server, up to its first flag and with the paths of its files. */
async function commandOf(env: NodeJS.ProcessEnv): Promise<string> {
  await using server = await startServer({ env });
  const { host, port, user, password } = server;
  const connection = await createConnection({ host, port, user, password });
  const [[row]] = (await connection.query('SELECT @@pid_file AS file')) as unknown as [[{ file: string }]];
  connection.destroy();
  const parts = (await readFile(`/proc/${Number(await readFile(row.file, 'utf8'))}/cmdline`, 'utf8')).split('\0');
  const command = parts.slice(0, parts.indexOf('--no-defaults'));
  const paths = parts.filter((part) => /^--(lc-messages-dir|character-sets-dir|plugin-dir)=/.test(part));
  return [...command, '"$@"', ...paths].join(' ');
}
