import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, expect, test } from 'vitest';
import { hasProc } from '../foundations/processes/proc.ts';
import { testFolder } from '../foundations/processes/test-folder.ts';
import { serverPid } from './server-process.ts';
import { startServer } from './start-server.ts';

const workspace = await testFolder(afterAll);

/** A session with a server that says that its process's id is in this file. */
function says(file: string): Connection {
  return { query: () => Promise.resolve([[{ file }]]) } as unknown as Connection;
}

test('a server of ours is found by its id', async ({ skip }) => {
  await using server = await startServer();
  if (!hasProc || !server.source.startsWith('debian')) skip(`${server.source} does not run in a process of ours.`);
  const { host, port, user, password } = server;
  const admin = await createConnection({ host, port, user, password });

  const pid = await serverPid(admin);
  admin.destroy();

  expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain(`--port=${port}`);
});

test('a server whose file is not here, or is another one’s, has no id', async () => {
  const file = join(workspace, 'server.pid');
  await writeFile(file, `${process.pid}\n`);

  expect(await serverPid(says(join(workspace, 'none.pid')))).toBeUndefined();
  expect(await serverPid(says(file))).toBeUndefined();
});
