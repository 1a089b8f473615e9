import { stat } from 'node:fs/promises';
import { runToEnd } from '../foundations/processes/run-to-end.ts';
import type { SourceName } from './source.ts';

/** A mysqld or mariadbd that can be run on this machine. */
export interface ServerProgram {
  readonly source: SourceName;
  /** The program, after the loader and its arguments where it needs one of its own. */
  readonly command: readonly [string, ...string[]];
  /** Where its messages, character sets and plugins are, when not where it was built to look. */
  readonly flags: readonly string[];
  readonly flavour: 'mysql' | 'mariadb';
  /** Without a distribution's suffix: `9.7.4`. */
  readonly version: string;
  /** The folder for data directories. */
  readonly tempFolder: string;
}

/** What a server of ours sees of the environment: nothing that could load a library into it or move its files. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'SystemRoot', 'SystemDrive', 'windir', 'TEMP', 'TMP'];
  return Object.fromEntries(kept.flatMap((key) => (process.env[key] ? [[key, process.env[key]]] : [])));
}

/**
 * Asks a server program what it is.
 * @throws Error when it cannot be run or is neither MySQL nor MariaDB
 */
export async function identifyProgram(
  command: readonly [string, ...string[]],
): Promise<Pick<ServerProgram, 'flavour' | 'version'>> {
  const [file, ...args] = command;
  const run = await runToEnd(file, [...args, '--no-defaults', '--version'], {
    env: serverEnvironment(),
    timeMs: 10_000,
  });
  const said = run.stdout.toString('utf8');
  if (run.code !== 0) throw new Error(run.stderr.trim() || `it ended with ${run.signal ?? `exit code ${run.code}`}`);
  const version = /\bVer (\d+\.\d+\.\d+)/.exec(said)?.[1];
  if (!version) throw new Error(`it says "${said.trim().slice(0, 100)}", which names no version`);
  return { flavour: /mariadb/i.test(said) ? 'mariadb' : 'mysql', version };
}

/** What changes when the program file is replaced, for the key of a cache. */
export async function programStamp(command: readonly string[]): Promise<string> {
  const file = command.at(-1) ?? '';
  const { size, mtimeMs } = await stat(file);
  return `${size}-${Math.trunc(mtimeMs)}`;
}
