import { access, constants, readdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { startPrivateServer } from '../private-server.ts';
import { type ServerProgram, identifyProgram } from '../server-program.ts';
import { type MysqlSource, MysqlUnavailable } from '../source.ts';

const oldest = { mysql: [8, 0], mariadb: [10, 6] } as const;
const remedy = 'Install MySQL 8.4 or newer (or MariaDB 10.11 or newer), or put its mysqld on the PATH.';

/** mysqld or mariadbd as installed on this machine, run as a private server; MySQL is taken before MariaDB. */
export function localSource(env: NodeJS.ProcessEnv = process.env): MysqlSource {
  return {
    name: 'local',
    async probe() {
      const { programs, refused } = await findPrograms(env);
      const [first] = programs;
      if (first) return { serves: true, detail: `${first.flavour} ${first.version} at ${first.command[0]}` };
      const why = refused.length > 0 ? refused.join('; ') : 'no mysqld or mariadbd on the PATH or in the usual folders';
      return { serves: false, why, remedy };
    },
    async start(onProgress) {
      const { programs, refused } = await findPrograms(env);
      const [first] = programs;
      if (!first) throw new MysqlUnavailable(`No mysqld or mariadbd serves here (${refused.join('; ')}). ${remedy}`);
      return startPrivateServer(first, onProgress, env);
    },
  };
}

async function findPrograms(env: NodeJS.ProcessEnv): Promise<{ programs: ServerProgram[]; refused: string[] }> {
  const programs: ServerProgram[] = [];
  const refused: string[] = [];
  const seen = new Set<string>();
  for (const folder of await folders(env)) {
    for (const name of ['mysqld', 'mariadbd']) {
      const file = join(folder, process.platform === 'win32' ? `${name}.exe` : name);
      if (
        !(await access(file, constants.X_OK).then(
          () => true,
          () => false,
        ))
      )
        continue;
      const real = await realpath(file);
      if (seen.has(real)) continue;
      seen.add(real);
      try {
        const identity = await identifyProgram([file]);
        if (isTooOld(identity)) refused.push(`${file} is ${identity.flavour} ${identity.version}, too old`);
        // The system's temporary folder, because a server under AppArmor may write nowhere else.
        else programs.push({ source: 'local', command: [file], flags: [], tempFolder: tmpdir(), ...identity });
      } catch (error) {
        refused.push(`${file} does not run: ${(error as Error).message.trim().split('\n').at(-1)}`);
      }
    }
  }
  programs.sort((a, b) => Number(a.flavour === 'mariadb') - Number(b.flavour === 'mariadb'));
  return { programs, refused };
}

function isTooOld({ flavour, version }: Pick<ServerProgram, 'flavour' | 'version'>): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = oldest[flavour];
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** The PATH, then where packages, Homebrew and installers put servers that are not on it. */
async function folders(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const path = (env['PATH'] ?? env['Path'] ?? '').split(delimiter).filter(Boolean);
  if (process.platform === 'win32') {
    const bases = ['ProgramFiles', 'ProgramW6432'].flatMap((key) => (env[key] ? [env[key]] : []));
    const homes = [...bases.map((base) => join(base, 'MySQL')), ...bases];
    return [...path, ...(await below(homes, /^(MySQL Server|MariaDB) /, 'bin'))];
  }
  const usual = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/libexec', '/usr/local/mysql/bin'];
  const brew = ['/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt'];
  return [...path, ...usual, ...(await below(brew, /^(mysql|mariadb)(@|$)/, 'bin'))];
}

async function below(parents: readonly string[], name: RegExp, child: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const parent of parents) {
    const entries = await readdir(parent).catch(() => []);
    // The newest version first.
    const fitting = entries.filter((entry) => name.test(entry));
    fitting.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
    found.push(...fitting.map((entry) => join(parent, entry, child)));
  }
  return found;
}
