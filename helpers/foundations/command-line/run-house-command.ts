import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from '../catalogue/target.ts';

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
  const { VITEST: _own, FORCE_COLOR: _colour, ...inherited } = process.env;
  const child = spawn(file, args, {
    cwd,
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, code] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)),
  ]);
  return { code, stdout, stderr };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
