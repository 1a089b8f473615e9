import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { type Socket, connect, createServer } from 'node:net';
import { devNull } from 'node:os';

/** As many files and sockets as the most demanding judge has open in one process, and half as many again. */
const openFiles = 1_000;
/** Processes and threads of one run: Vitest, a MySQL server, two modules at once, and what starts them. */
const tasks = 250;
/** Ports for connections that are open, and for those that the system keeps for a minute after their end. */
const ports = 4_000;

/**
 * Tries what a judge needs of the machine beside disks, and gives back a sentence for each thing that it lacks. A module would
 * be blamed for it otherwise.
 */
export async function shortages(): Promise<string[]> {
  const found = [fewOpenFiles(), fewTasks(), fewPorts(), await noLoopback()];
  return found.filter((sentence) => sentence !== undefined);
}

function fewOpenFiles(): string | undefined {
  const opened: number[] = [];
  try {
    while (opened.length < openFiles) opened.push(openSync(devNull, 'r'));
    return undefined;
  } catch (error) {
    return `A process may have only about ${opened.length} files open here (${codeOf(error)}), and a judge needs ${openFiles}: raise the limit, as by "ulimit -n 4096".`;
  } finally {
    for (const file of opened) closeSync(file);
  }
}

/** Linux counts threads, by user and by control group. */
function fewTasks(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const uid = process.getuid!();
  const limit = Number(/^Max processes\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1] ?? NaN);
  // Root is not held to it. Who has a limit in the ten thousands need not be counted.
  if (uid !== 0 && limit < 10_000) {
    const left = limit - tasksOf(uid);
    if (left < tasks)
      return `This account may start only ${Math.max(0, left)} more processes and threads, and a run needs ${tasks}: raise the limit, as by "ulimit -u 4096".`;
  }
  const [most, now] = ['max', 'current'].map((name) => Number(read(`/sys/fs/cgroup/pids.${name}`).trim() || NaN));
  if (most! - now! < tasks)
    return `This container may start only ${most! - now!} more processes and threads, and a run needs ${tasks}: raise its limit, as by --pids-limit of Docker.`;
  return undefined;
}

function tasksOf(uid: number): number {
  let count = 0;
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const status = read(`/proc/${pid}/status`);
    if (Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]) === uid)
      count += Number(/^Threads:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return count;
}

function fewPorts(): string | undefined {
  const [first, last] = read('/proc/sys/net/ipv4/ip_local_port_range').trim().split(/\s+/).map(Number);
  if (!first || !last || last - first >= ports) return undefined;
  return `This machine gives connections only ${last - first + 1} ports, and a judge needs ${ports}: raise net.ipv4.ip_local_port_range.`;
}

async function noLoopback(): Promise<string | undefined> {
  const server = createServer((socket) => socket.destroy());
  let client: Socket | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as { port: number };
    await new Promise<void>((resolve, reject) => {
      client = connect({ host: '127.0.0.1', port }).once('error', reject).once('connect', resolve);
    });
    return undefined;
  } catch (error) {
    return `The loopback address 127.0.0.1 does not work here (${codeOf(error)}): bring it up, as by "ip link set lo up".`;
  } finally {
    // It is reset by the other side, which is no news.
    client?.on('error', () => undefined).destroy();
    server.close();
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
