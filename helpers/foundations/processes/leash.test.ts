import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type RowDataPacket, createConnection } from 'mysql2/promise';
import { expect, inject, onTestFinished, test } from 'vitest';
import '../../instruments/mysql/use-test-database.ts';
import { repositoryRoot } from '../catalogue/target.ts';
import { until } from '../waiting/until.ts';
import type { Duty } from './leash.ts';
import { leashedFolder } from './leashed-folder.ts';

// A holder is a process that puts duties on the leash and is then killed. Processes and containers have their tests
// beside what starts them.

test('a folder goes with its holder, and one that was taken back stays', async () => {
  const [lost, kept] = [await mkdtemp(join(tmpdir(), 'leash-')), await mkdtemp(join(tmpdir(), 'leash-'))];
  onTestFinished(() => rm(kept, { recursive: true, force: true }));
  await writeFile(join(lost, 'file'), 'text');

  await killHolderOf([{ folder: kept }, { folder: lost }], 1);

  expect(await until(async () => !(await exists(lost)), 20_000), 'the folder is gone').toBe(true);
  expect(await exists(kept)).toBe(true);
});

test('a folder that is deeper than a path may be long goes as well', async () => {
  const folder = await leashedFolder(tmpdir(), 'leash-');
  // In a process of its own, since it has to go down by chdir.
  const dig = `process.chdir(${JSON.stringify(folder.path)});
for (let n = 0; n < 40; n++) { fs.mkdirSync('d'.repeat(200)); process.chdir('d'.repeat(200)); }`;
  const digger = spawn(process.execPath, ['-e', dig], { stdio: 'ignore' });
  expect((await once(digger, 'close'))[0]).toBe(0);

  await folder[Symbol.asyncDispose]();

  expect(await exists(folder.path)).toBe(false);
});

test('a database on a server that stays goes with its holder, also when an earlier statement fails', async () => {
  const { host, port, user, password } = inject('mysqlServers')[0]!;
  const admin = await createConnection({ host, port, user, password });
  onTestFinished(() => admin.destroy());
  const name = `leash_${process.pid}_${port}`;
  await admin.query(`CREATE DATABASE ${name}`);
  const there = async () => {
    const [rows] = await admin.query<RowDataPacket[]>('SHOW DATABASES LIKE ?', [name]);
    return rows.length > 0;
  };

  await killHolderOf([{ database: name, preparedBefore: [], server: `mysql://${user}:${password}@${host}:${port}/` }]);

  expect(await until(async () => !(await there()), 20_000), 'the database is gone').toBe(true);
});

test.skipIf(process.platform === 'win32').for([
  ['spawnLeashed', false],
  ['spawn', true],
] as const)(
  'a holder that is killed within %s, before the leash can have the program: that it began is %s',
  async ([name, begins]) => {
    const folder = await mkdtemp(join(tmpdir(), 'leash-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const sign = join(folder, 'it-began');
    const script = `import { ChildProcess, spawn } from 'node:child_process';
      import { spawnLeashed } from ${JSON.stringify(join(repositoryRoot, 'helpers/foundations/processes/spawn-leashed.ts'))};
      const { spawn: start } = ChildProcess.prototype;
      ChildProcess.prototype.spawn = function (options) {
        start.call(this, options);
        process.kill(process.pid, 'SIGKILL');
      };
      ${name}('mkdir', [${JSON.stringify(sign)}], { stdio: 'inherit' });`;

    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    // Whoever it has started holds its output open: this waits for all of them.
    await once(holder, 'close', { signal: AbortSignal.timeout(20_000) });

    expect(holder.signalCode).toBe('SIGKILL');
    expect(await exists(sign)).toBe(begins);
  },
);

/** Starts a process that holds the duties, takes back the first few of them, and is killed. */
async function killHolderOf(duties: readonly Duty[], takenBack = 0): Promise<void> {
  const script = `import { leash } from ${JSON.stringify(join(repositoryRoot, 'helpers/foundations/processes/leash.ts'))};
    const releases = ${JSON.stringify(duties)}.map((duty) => leash(duty));
    for (const release of releases.slice(0, ${takenBack})) release();
    console.log('held');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(createInterface({ input: holder.stdout }), 'line', { signal: AbortSignal.timeout(20_000) });
  holder.kill('SIGKILL');
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
