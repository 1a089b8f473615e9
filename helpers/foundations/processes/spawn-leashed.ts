import { type ChildProcess, type SpawnOptions, fork, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { repositoryRoot } from '../catalogue/target.ts';
import { leash } from './leash.ts';

type Stdio = 'ignore' | 'inherit' | 'pipe';

export interface LeashedOptions extends Pick<SpawnOptions, 'cwd' | 'env' | 'detached'> {
  /** Standard input, output and error; a pipe each by default. */
  readonly stdio?: Stdio | readonly [Stdio, Stdio, Stdio];
  /** To run a .cmd file; heard on Windows only. */
  readonly shell?: boolean;
}

/**
 * Starts a program that ends with this process, also by `kill -9`, at whatever moment that comes: the program begins when
 * the leash has it, and not before. A program that cannot be started ends with exit code 126 or 127, and says why on
 * its standard error; on Windows it emits 'error'.
 *
 * How: a shell waits in its place for a line, and becomes the program when the line comes; its process is the program's. If
 * this process is gone by then, the shell reads the end of the pipe and ends. Windows has no such shell, and there the
 * moment between start and leash remains.
 */
export function spawnLeashed(
  file: string,
  args: readonly string[],
  { stdio = 'pipe', shell = false, ...options }: LeashedOptions = {},
): ChildProcess {
  const three = typeof stdio === 'string' ? ([stdio, stdio, stdio] as const) : stdio;
  const child =
    process.platform === 'win32'
      ? spawn(file, args, { windowsHide: true, shell, ...options, stdio: [...three] })
      : spawn('/bin/sh', ['-c', 'read -r _ <&3 || exit 1; exec 3<&-; exec "$@"', 'sh', file, ...args], {
          ...options,
          stdio: [...three, 'pipe'],
        });
  if (child.pid === undefined) return child;
  child.once('close', leash({ kill: child.pid }));
  const gate = child.stdio[3] as Writable | null | undefined;
  gate?.on('error', () => undefined);
  gate?.end('\n');
  return child;
}

/**
 * Starts one of our own files in a process that hears messages, has no input, and ends with this one. It leads a group, so Ctrl-C in a
 * terminal reaches only the command, which then ends it.
 */
export function forkLeashed(file: string, output: 'inherit' | 'pipe'): ChildProcess {
  const child = fork(file, {
    cwd: repositoryRoot,
    detached: process.platform !== 'win32',
    execArgv: ['--disable-warning=ExperimentalWarning'],
    serialization: 'advanced',
    stdio: ['ignore', output, output, 'ipc'],
  });
  if (child.pid !== undefined) child.once('close', leash({ kill: child.pid }));
  return child;
}
