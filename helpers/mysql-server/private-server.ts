import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { type Socket, createServer } from 'node:net';
import { join } from 'node:path';
import { leash } from '../foundations/processes/leash.ts';
import { killGroup } from '../foundations/processes/kill-group.js';
import { spawnLeashed } from '../foundations/processes/spawn-leashed.ts';
import { diskRefusal } from './cache-folder.ts';
import { copyTemplate, dataTemplate, firstFlags, serverWords } from './data-template.ts';
import { serverFlags } from './flags.ts';
import { type ServerProgram, serverEnvironment } from './server-program.ts';
import { type MysqlServer, MysqlUnavailable } from './source.ts';

const readyLimitMs = 60_000;
const portAttempts = 5;
/** What the server may allocate. Idle it has 400 MiB; sessions and their variables could take any amount. */
const memoryLimitKib = 1536 * 1024;
const portTaken = /Address already in use|Can't start server: Bind on TCP|Do you already have another/i;

/**
 * Boots `program` on a data directory of its own, on a free port of the loopback. Process and folder are on the leash
 * before the server is up, and both are gone after dispose.
 * @throws MysqlUnavailable when it does not come up, with the server's own words
 */
export async function startPrivateServer(
  program: ServerProgram,
  onProgress: (line: string) => void,
  env: NodeJS.ProcessEnv = process.env,
  findPort: () => Promise<number> = freePort,
): Promise<MysqlServer> {
  const template = await dataTemplate(program, onProgress, env);
  const folder = join(program.tempFolder, `backend-katas-${randomBytes(6).toString('hex')}`);
  const release = leash({ folder });
  const removeFolder = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }).catch(() => undefined);
    release();
  };

  try {
    const data = join(folder, 'data');
    await mkdir(folder, { mode: 0o700, recursive: true });
    await mkdir(data, { mode: 0o750 });
    await mkdir(join(folder, 'tmp'), { mode: 0o700 });
    await copyTemplate(template, data);
    const password = randomBytes(12).toString('hex');
    await writeFile(join(folder, 'init.sql'), accountStatements(password), { mode: 0o600 });

    const { port, stop } = await bootOnFreePort(program, folder, findPort);
    await rm(join(folder, 'init.sql'));
    return {
      source: program.source,
      host: '127.0.0.1',
      port,
      user: 'root',
      password,
      flavour: program.flavour,
      version: program.version,
      async [Symbol.asyncDispose]() {
        await stop();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw diskRefusal(error, program.tempFolder, 'TMPDIR');
  }
}

/** One statement a line: MariaDB reads its init file so. Works on both, whatever accounts the template holds. */
function accountStatements(password: string): string {
  return ["'root'@'localhost'", "'root'@'127.0.0.1'"]
    .flatMap((account) => [
      `CREATE USER IF NOT EXISTS ${account};`,
      `ALTER USER ${account} IDENTIFIED BY '${password}';`,
      `GRANT ALL PRIVILEGES ON *.* TO ${account} WITH GRANT OPTION;`,
    ])
    .join('\n')
    .concat('\n');
}

async function bootOnFreePort(
  program: ServerProgram,
  folder: string,
  findPort: () => Promise<number>,
): Promise<{ port: number; stop: () => Promise<void> }> {
  for (let attempt = 1; ; attempt++) {
    const port = await findPort();
    const outcome = await boot(program, folder, port);
    if ('stop' in outcome) return { port, stop: outcome.stop };
    // Between our look and the server's bind someone else may have taken the port.
    if (attempt < portAttempts && portTaken.test(outcome.log)) continue;
    throw new MysqlUnavailable(`${program.command.at(-1)} ${outcome.ending}: ${serverWords(outcome.log)}`);
  }
}

async function boot(
  program: ServerProgram,
  folder: string,
  port: number,
): Promise<{ stop: () => Promise<void> } | { ending: string; log: string }> {
  const [file, ...first] = withinMemory(program.command);
  const child = spawnLeashed(
    file,
    [
      ...first,
      ...firstFlags(program),
      ...serverFlags(),
      `--datadir=${join(folder, 'data')}`,
      `--tmpdir=${join(folder, 'tmp')}`,
      `--secure-file-priv=${join(folder, 'tmp')}`,
      `--init-file=${join(folder, 'init.sql')}`,
      `--pid-file=${join(folder, 'pid')}`,
      ...(process.platform === 'win32' ? ['--console'] : ['--socket=socket']),
      '--bind-address=127.0.0.1',
      `--port=${port}`,
    ],
    // A process group of its own: Ctrl-C in the terminal is for us, and one signal ends all of it.
    { detached: true, env: serverEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = endOf(child);
  const stderr = child.stderr as Socket | null;
  const stop = async (): Promise<void> => {
    child.ref();
    stderr?.ref();
    if (child.exitCode === null && child.signalCode === null) killGroup(child.pid);
    await ended;
  };

  let log = '';
  // Both flavours print the port when they serve, MariaDB in a line of its own; a complaint about a taken port has it too.
  const readyWords = new RegExp(`ready for connections[^]*port: ${port}\\b`);
  const ready = new Promise<'ready'>((resolve) => {
    stderr?.on('data', (chunk) => {
      log = (log + String(chunk)).slice(-20_000);
      if (readyWords.test(log)) resolve('ready');
    });
  });
  let alarm: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    alarm = setTimeout(() => resolve(`was not ready after ${readyLimitMs / 1000} s`), readyLimitMs);
  });
  const outcome = await Promise.race([ready, ended, late]);
  clearTimeout(alarm);
  if (outcome !== 'ready') {
    await stop();
    return { ending: outcome, log };
  }

  // A run that forgets to dispose must still be able to end; the leash then does the rest.
  child.unref();
  stderr?.unref();
  return { stop };
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(`could not be started (${error.message})`));
    child.on('close', (code, signal) => resolve(`ended with ${signal ?? `exit code ${code}`} before it served`));
  });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

/** The command under a limit on its private memory, where the system has one that a shell can set. */
function withinMemory([file, ...args]: ServerProgram['command']): [string, ...string[]] {
  if (process.platform !== 'linux') return [file, ...args];
  return ['/bin/sh', '-c', `ulimit -d ${memoryLimitKib}; exec "$@"`, 'sh', file, ...args];
}
