import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, copyFile, cp, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { leash } from '../foundations/processes/leash.ts';
import { runToEnd } from '../foundations/processes/run-to-end.ts';
import { type CachedFolder, cached, diskRefusal } from './cache-folder.ts';
import { serverFlags } from './flags.ts';
import { type ServerProgram, programStamp, serverEnvironment } from './server-program.ts';
import { MysqlUnavailable } from './source.ts';

/** Counts up when the way a template is made changes. */
const recipe = 1;

/** Leaves one account without a password, `root@localhost`; a template is never served as it is. */
const mariadbClosing = "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');\n";

/**
 * The initialised data directory that servers of this program start from; made on first use, then cached.
 * @throws MysqlUnavailable when the program cannot initialise one, with its own words
 */
export async function dataTemplate(
  program: ServerProgram,
  onProgress: (line: string) => void,
  env: NodeJS.ProcessEnv = process.env,
): Promise<CachedFolder<null>> {
  const key = createHash('sha256')
    .update(
      JSON.stringify([recipe, program.command, await programStamp(program.command), serverFlags(), mariadbClosing]),
    )
    .digest('hex');
  const name = `data-${program.flavour}-${program.version}-${key.slice(0, 12)}`;

  return cached(
    name,
    async (folder) => {
      const startedMs = performance.now();
      onProgress(`initialising a data directory for ${program.flavour} ${program.version}, once`);
      // First in the temporary folder: it is faster there, and a server under AppArmor may write nowhere else.
      const aside = join(program.tempFolder, `backend-katas-${randomBytes(6).toString('hex')}`);
      const release = leash({ folder: aside });
      try {
        await mkdir(aside, { recursive: true, mode: 0o700 });
        await initialise(program, join(aside, 'data'));
        await cp(join(aside, 'data'), folder, { recursive: true });
      } catch (error) {
        throw diskRefusal(error, program.tempFolder, 'TMPDIR');
      } finally {
        await rm(aside, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }).catch(() => undefined);
        release();
      }
      onProgress(`data directory ready after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
      return null;
    },
    env,
  );
}

/** Copies a template into the empty folder `target`, block by block only where the disk cannot share blocks. */
export async function copyTemplate(template: CachedFolder<null>, target: string): Promise<void> {
  for (const folder of template.folders) await mkdir(join(target, folder), { mode: 0o750 });
  await Promise.all(
    Object.keys(template.files).map((file) =>
      copyFile(join(template.folder, file), join(target, file), constants.COPYFILE_FICLONE),
    ),
  );
}

/** What a program gets on its command line before anything else: no option file, its own paths, the right user. */
export function firstFlags(program: ServerProgram): readonly string[] {
  const isRoot = process.getuid?.() === 0;
  return ['--no-defaults', ...program.flags, ...(isRoot ? ['--user=root'] : [])];
}

async function initialise(program: ServerProgram, data: string): Promise<void> {
  const flags = [...firstFlags(program), ...serverFlags(), `--datadir=${data}`];
  if (program.flavour === 'mysql') {
    await run(program, [...flags, '--initialize-insecure', `--secure-file-priv=${dirname(data)}`]);
    return;
  }
  const [tables, rows] = await systemTables(program);
  await mkdir(data, { mode: 0o700 });
  const sql = `CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n${tables}\n${rows}\n${mariadbClosing}`;
  await run(program, [...flags, '--bootstrap'], sql);
}

/** The statements that make MariaDB's own tables, from the folder of its messages. */
async function systemTables(program: ServerProgram): Promise<readonly [string, string]> {
  const told = program.flags.find((flag) => flag.startsWith('--lc-messages-dir='))?.split('=')[1];
  const shares = told ? [told] : await shareFolders(program);
  for (const share of shares) {
    for (const stem of ['mariadb_system_tables', 'mysql_system_tables']) {
      const tables = join(share, `${stem}.sql`);
      if (
        await access(tables).then(
          () => true,
          () => false,
        )
      ) {
        return [await readFile(tables, 'utf8'), await readFile(join(share, `${stem}_data.sql`), 'utf8')];
      }
    }
  }
  throw new MysqlUnavailable(
    `${program.command.at(-1)} has no mariadb_system_tables.sql in ${shares.join(' or ')}: install the whole server package.`,
  );
}

async function shareFolders(program: ServerProgram): Promise<readonly string[]> {
  const help = await run(program, ['--no-defaults', '--verbose', '--help']);
  const value = (name: string): string | undefined => new RegExp(`^${name}\\s+(\\S.*?)\\s*$`, 'm').exec(help)?.[1];
  const messages = value('lc-messages-dir');
  const base = value('basedir');
  return [
    ...(messages ? [messages] : []),
    ...(base ? ['mariadb', 'mysql', ''].map((name) => join(base, 'share', name)) : []),
  ];
}

/** Runs the program to its end and returns what it printed. */
async function run(program: ServerProgram, args: readonly string[], input = ''): Promise<string> {
  const [file, ...first] = program.command;
  const { code, signal, stdout, stderr } = await runToEnd(file, [...first, ...args], {
    env: serverEnvironment(),
    input,
    timeMs: 120_000,
  });
  if (code === 0) return stdout.toString('utf8');
  throw new MysqlUnavailable(
    `${program.command.at(-1)} could not initialise a data directory: it ended with ${signal ?? `exit code ${code}`}: ${serverWords(stderr)}`,
  );
}

/** The part of a server's log that says why it ended: its errors, else its last lines. */
export function serverWords(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => /\[ERROR\]|^mysqld: |^mariadbd: |error while loading/i.test(line));
  const words = (errors.length > 0 ? errors.slice(0, 3) : lines.slice(-3)).map((line) =>
    line
      .replace(/^\d{4}-\d\d-\d\d\S*\s+(\d\d:\d\d:\d\d )?/, '')
      .replace(/^\d+ /, '')
      .trim(),
  );
  return words.join(' / ') || 'it said nothing';
}
