import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { settings } from '../settings.ts';
import { settles } from '../waiting/until.ts';

// What the judge reads of a process from outside, where the module cannot interfere. Most of it is read from Linux's /proc, and
// synchronously: no disk is waited for there, and a thread of the pool for each file would cost ten times as much.

/** Whether there is a /proc to read. */
export const hasProc = process.platform === 'linux' && settings().proc;

/** How many bytes the process has read so far, from files, sockets and pipes, also what came out of a cache. */
function bytesRead(pid: number): number {
  return ioOf(`${pid}`).rchar!;
}

/** How many bytes the process's main thread has read so far. While it reads, it serves nobody. */
function bytesReadByMainThread(pid: number): number {
  return ioOf(`${pid}/task/${pid}`).rchar!;
}

/** With so many bytes a thread wakes another one, by eventfd(2): each finished file operation, each step of a garbage collection. */
const wakeUpBytes = 8;

/** How many bytes the process has written so far, to files, sockets and pipes: each write counts by what it has beyond a wake-up. */
function bytesWritten(pid: number): number {
  const { wchar, syscw } = ioOf(`${pid}`);
  return wchar! - wakeUpBytes * syscw!;
}

/** What proc_pid_io(5) tells of a process or of one of its threads, by its names. */
function ioOf(folder: string): Record<string, number> {
  const text = readFileSync(`/proc/${folder}/io`, 'utf8');
  return Object.fromEntries([...text.matchAll(/^(\w+): (\d+)$/gm)].map(([, name, figure]) => [name, Number(figure)]));
}

/** The most memory that the process has held at any time since it was started, in bytes. */
function peakBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}

/** Linux counts in steps of 10 ms, on every machine. */
const tickMs = 10;

/** How much CPU time all threads of the process have used so far, in ms. */
function cpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the program comes second, in brackets, and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/**
 * How long the process's threads have wanted a processor so far and had none, in ms, each thread by itself; 0 on a kernel
 * that does not tell (proc_pid_schedstat in its documentation).
 */
function waitedForCpuMs(pid: number): number {
  let waitedNs = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = unlessGone(() => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')) ?? '';
    waitedNs += Number(text.split(' ')[1] ?? 0);
  }
  return waitedNs / 1e6;
}

/** How much CPU time the thread that asks has used so far, and how long it has wanted a processor and had none. */
export function ofThisThread(): { cpuMs: number; waitedForCpuMs: number } {
  // A kernel that does not tell has no such file.
  const text = unlessGone(() => readFileSync('/proc/thread-self/schedstat', 'utf8')) ?? '0 0';
  const [ranNs, waitedNs] = text.split(' ').map(Number);
  return { cpuMs: ranNs! / 1e6, waitedForCpuMs: waitedNs! / 1e6 };
}

/** The numbers of the process's open files that are this one, whatever its name is by now. */
function descriptors(pid: number, file: { dev: number; ino: number }): number[] {
  const found: number[] = [];
  const names = readdirSync(`/proc/${pid}/fd`);
  // A process that is ending still has an entry here for a moment, and nothing open.
  if (names.length === 0) throw new Error(`Process ${pid} has nothing open: it is ending.`);
  for (const name of names) {
    // One that has been closed since is no longer open.
    const seen = unlessGone(() => statSync(`/proc/${pid}/fd/${name}`));
    if (seen?.dev === file.dev && seen.ino === file.ino) found.push(Number(name));
  }
  return found;
}

/** How often the process's threads have been given or have left a processor, or undefined while one of them wants to run. */
function switchesAsleep(pid: number): number | undefined {
  let switches = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = unlessGone(() => readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')) ?? '';
    if (!/^State:\s+S/m.test(text)) return undefined;
    for (const [, count] of text.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)$/gm)) switches += Number(count);
  }
  return switches;
}

/** Undefined when it is about a thread or a file that has gone since. */
function unlessGone<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** For a prlimit that never ends. */
const limitingMs = 60_000;

/** Waits for orders, one a line, and says of each how it went. */
const limitingScript =
  'while read -r pid limit; do said=$(prlimit --pid "$pid" --fsize="$limit:" 2>&1); echo ${said:-done}; done';

/** One shell for all limits of this thread: it starts a program in a millisecond, a runner of 500 MB takes 18. */
let limiter: { readonly shell: ChildProcess; readonly asking: ((said: string) => void)[] } | undefined;

/** Sets the soft limit of the length of the files that the process writes, in bytes or `unlimited`. */
async function limitFiles(pid: number, limit: string): Promise<void> {
  const { shell, asking } = (limiter ??= startLimiter());
  const { promise, resolve } = Promise.withResolvers<string>();
  asking.push(resolve);
  shell.stdin!.write(`${pid} ${limit}\n`);
  const said = (await settles(promise, limitingMs)) ? await promise : `nothing in ${limitingMs / 1000} s`;
  if (said !== 'done') throw new Error(`The files of process ${pid} could not be limited, prlimit said: ${said}.`);
}

function startLimiter(): NonNullable<typeof limiter> {
  const shell = spawn('/bin/sh', ['-c', limitingScript], { stdio: ['pipe', 'pipe', 'ignore'] });
  const asking: ((said: string) => void)[] = [];
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  createInterface({ input: shell.stdout })
    .on('line', (said) => asking.shift()?.(said))
    .on('close', () => {
      if (limiter?.shell === shell) limiter = undefined;
      for (const told of asking.splice(0)) told('its shell has ended');
    });
  shell.unref();
  for (const stream of [shell.stdin, shell.stdout]) (stream as unknown as { unref(): void }).unref();
  return { shell, asking };
}

/** Lets the shell of this thread end. Who limits after that gets another one. */
export function endLimiter(): void {
  limiter?.shell.stdin!.end();
  limiter = undefined;
}

/** What can be read of a process or done to it by its id, on Linux. */
export const fromOutside = {
  bytesRead,
  bytesReadByMainThread,
  bytesWritten,
  cpuMs,
  descriptors,
  limitFiles,
  peakBytes,
  switchesAsleep,
  waitedForCpuMs,
};
