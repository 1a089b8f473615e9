import { join } from 'node:path';
import { repositoryRoot } from '../catalogue/target.ts';
import { runToEnd } from '../processes/run-to-end.ts';

/** How a command of this house ended, and what it said. */
export interface CommandRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** For tests: runs `helpers/<name>/main.ts` as a user's npm script would, without a terminal. */
export async function runHouseCommand(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  root = repositoryRoot,
): Promise<CommandRun> {
  return await runProgram(process.execPath, [join(root, 'helpers', name, 'main.ts'), ...args], root, env);
}

/** For tests: runs a program to its end, without a terminal. */
export async function runProgram(
  file: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<CommandRun> {
  const { VITEST: _own, FORCE_COLOR: _color, ...inherited } = process.env;
  const { code, stdout, stderr } = await runToEnd(file, args, { cwd, env: { ...inherited, ...env } });
  return { code, stdout: stdout.toString('utf8'), stderr };
}
