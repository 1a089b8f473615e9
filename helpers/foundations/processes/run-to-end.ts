import { text } from 'node:stream/consumers';
import { killGroup } from './kill-group.js';
import { type LeashedOptions, spawnLeashed } from './spawn-leashed.ts';

export interface RunOptions extends Pick<LeashedOptions, 'cwd' | 'env' | 'shell'> {
  /** What it reads from its standard input; nothing by default. */
  readonly input?: string;
  /** How long it may take. */
  readonly timeMs?: number;
  /** Ends it when it is aborted. */
  readonly signal?: AbortSignal;
  /** How much it may print on its standard output; 256 MiB by default. */
  readonly outputBytes?: number;
}

/** How a program ended, and what it said. */
export interface ProgramRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Which of its limits it met, so that it was ended; undefined when it met none. */
  readonly met: 'time' | 'output' | undefined;
  /** Whether there is no such program. */
  readonly isMissing: boolean;
}

/** What a shell ends with when it finds no program of that name. */
const notFoundCode = 127;

/** Runs a program to its end, in a group of its own that ends with this process. Never throws. */
export async function runToEnd(
  file: string,
  args: readonly string[],
  { input, timeMs, signal: stopped, outputBytes = 256 * 1024 * 1024, ...options }: RunOptions = {},
): Promise<ProgramRun> {
  const child = spawnLeashed(file, args, {
    ...options,
    detached: process.platform !== 'win32',
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  let met: ProgramRun['met'];
  const stop = (limit: NonNullable<typeof met>) => {
    met ??= limit;
    killGroup(child.pid);
  };
  const timer = timeMs === undefined ? undefined : setTimeout(stop, timeMs, 'time');
  const end = () => killGroup(child.pid);
  stopped?.addEventListener('abort', end, { once: true });
  const stdout: Buffer[] = [];
  let bytes = 0;
  child.stdout!.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > outputBytes) stop('output');
    else stdout.push(chunk);
  });
  const stderr = text(child.stderr!);
  child.stdin?.on('error', () => undefined).end(input);
  const ended = await new Promise<Pick<ProgramRun, 'code' | 'signal' | 'isMissing'>>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ code: null, signal: null, isMissing: error.code === 'ENOENT' }),
    );
    child.once('close', (code, signal) => resolve({ code, signal, isMissing: code === notFoundCode }));
  });
  clearTimeout(timer);
  stopped?.removeEventListener('abort', end);
  return { ...ended, met, stdout: Buffer.concat(stdout), stderr: await stderr };
}
