import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What must be cleaned up after this process has ended, for whatever reason. */
export type Duty =
  /** SIGKILL to the process, and on POSIX to the group that it leads. */
  | { readonly kill: number }
  /** Delete the folder and all in it. */
  | { readonly folder: string }
  /**
   * Remove the container of this id or name and its volumes, through the engine that Testcontainers finds. One that is
   * not there yet, because we were killed while the engine made it, is waited for `appearsWithinMs` (default 0).
   */
  | { readonly container: string; readonly appearsWithinMs?: number }
  /** Remove the database and its account from a server that outlives this process; see `removeDatabase`. */
  | { readonly database: string; readonly server: string; readonly preparedBefore: readonly string[] };

const keeperFile = fileURLToPath(new URL('keeper.js', import.meta.url));

/**
 * Reads its input to the end, and starts the keeper's program only when a duty is left. Every thread of every run has a keeper, and
 * a shell starts in 1 ms, Node in 50.
 */
const waitingScript = 'told=$(cat); case $told in *"{}") exit;; esac; printf "%s\\n" "$told" | "$@"';

let keeper: ChildProcess | undefined;
const held = new Set<number>();
let lastId = 0;

/**
 * Promises that `duty` is done as soon as this process ends, also by `kill -9`, and returns the function that takes
 * the promise back. Whoever holds a resource still closes it; the leash is for when they no longer can.
 *
 * How: a detached keeper process reads a pipe from this one. The pipe ends with this process, whatever ended it, and
 * the keeper then does what has not been taken back, latest first.
 */
export function leash(duty: Duty): () => void {
  keeper ??= startKeeper();
  const id = ++lastId;
  held.add(id);
  tell({ id, duty });
  return () => {
    held.delete(id);
    tell({ id });
  };
}

/** Lets the keeper of this thread end: it does what has not been taken back. What is promised after that gets another one. */
export function endKeeper(): void {
  // What the shell looks for at the end: nothing is left to do.
  if (held.size === 0) tell({});
  held.clear();
  keeper?.stdin?.end();
  keeper = undefined;
}

function startKeeper(): ChildProcess {
  const program = [process.execPath, keeperFile] as const;
  const [file, ...args] = process.platform === 'win32' ? program : ['/bin/sh', '-c', waitingScript, 'sh', ...program];
  // A session of its own, so that Ctrl-C in the terminal does not reach it.
  const child = spawn(file!, args, {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    windowsHide: true,
  });
  child.on('error', () => undefined);
  child.stdin?.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref(): void } | null)?.unref();
  process.once('exit', endKeeper);
  return child;
}

function tell(line: { readonly id?: number; readonly duty?: Duty }): void {
  // A pipe takes a short line at once, so it is on its way even if the next thing is a SIGKILL.
  keeper?.stdin?.write(`${JSON.stringify(line)}\n`);
}
