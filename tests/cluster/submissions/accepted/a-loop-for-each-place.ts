import type { ChildProcess } from 'node:child_process';
import cluster, { type Worker } from 'node:cluster';

export interface ClusterOptions {
  /** Absolute path of the file that each worker process runs. */
  worker: string;
  /** How many workers serve. */
  size: number;
  /** Where they listen. A worker finds it in `process.env.PORT`. */
  port: number;
  /** How long to wait after a failed start. */
  restartMs: number;
  /** The longest wait between two starts. */
  maxRestartMs: number;
  /** So many failed starts in a row are too many. */
  maxFailures: number;
  /** How long a worker may take to stop. */
  stopMs: number;
  /** How often a worker is sent `'ping'`. */
  pingMs: number;
  /** How long a worker may leave pings without an answer. */
  hangMs: number;
  /** Hears that a worker of a running cluster cannot be replaced. */
  onGiveUp?: (error: Error) => void;
}

export interface Cluster {
  /** The process ids of the workers that listen. */
  stats(): { serving: number[] };
  /** Replaces every worker by a new one. */
  reload(): Promise<void>;
  /** Ends all workers. */
  stop(): Promise<void>;
}

type Fate = 'listens' | 'exits' | 'stopped';

/** A loop for each place decides what happens to it next. The loops hear of stop() and reload() by promises. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const stopping = Promise.withResolvers<'stopped'>();
  const loops: Promise<void>[] = [];
  const processes = new Set<ChildProcess>();
  const pids = new Set<number>();
  const reloads: (() => Promise<void>)[] = [];
  let isStopping = false;

  function begin(): { worker: Worker; exit: Promise<'exits'>; listening: Promise<'listens'> } {
    cluster.setupPrimary({ exec: options.worker });
    const worker = cluster.fork({ PORT: options.port });
    const exit = Promise.withResolvers<'exits'>();
    const listening = Promise.withResolvers<'listens'>();
    processes.add(worker.process);
    worker.on('error', () => undefined);
    worker.process.on('exit', () => {
      processes.delete(worker.process);
      pids.delete(worker.process.pid!);
      exit.resolve('exits');
    });
    worker.on('listening', () => listening.resolve('listens'));
    return { worker, exit: exit.promise, listening: listening.promise };
  }

  async function rest(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, stopping.promise]);
    clearTimeout(timer);
  }

  /** A process that listens, or undefined after stop(). */
  async function fresh(): Promise<ReturnType<typeof begin> | undefined> {
    let delayMs = options.restartMs;
    for (let attempt = 1; !isStopping; attempt++) {
      const next = begin();
      const fate: Fate = await Promise.race([next.listening, next.exit, stopping.promise]);
      if (fate === 'stopped') {
        await leave(next.worker, next.exit);
        return undefined;
      }
      if (fate === 'listens') {
        pids.add(next.worker.process.pid!);
        guard(next.worker);
        return next;
      }
      if (attempt >= options.maxFailures) throw new Error(`Worker ${options.worker} does not start`);
      await rest(Math.min(delayMs, options.maxRestartMs));
      delayMs *= 2;
    }
    return undefined;
  }

  async function leave(worker: Worker, exit: Promise<unknown>): Promise<void> {
    pids.delete(worker.process.pid!);
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), options.stopMs);
    if (worker.isConnected()) worker.disconnect();
    await exit;
    clearTimeout(timer);
  }

  /** Each ping has a deadline of its own. */
  function guard(worker: Worker): void {
    const deadlines = new Set<NodeJS.Timeout>();
    const forget = () => {
      for (const deadline of deadlines) clearTimeout(deadline);
      deadlines.clear();
    };
    const pings = setInterval(() => {
      if (!worker.isConnected() || worker.exitedAfterDisconnect) return;
      deadlines.add(setTimeout(() => pids.has(worker.process.pid!) && worker.kill('SIGKILL'), options.hangMs));
      worker.send('ping', () => undefined);
    }, options.pingMs);
    worker.on('message', (message) => message === 'pong' && forget());
    for (const event of ['exit', 'disconnect'])
      worker.on(event, () => {
        clearInterval(pings);
        forget();
      });
  }

  async function run(ready: PromiseWithResolvers<void>): Promise<void> {
    let present = await fresh().catch((error: Error) => {
      ready.reject(error);
      return undefined;
    });
    ready.resolve();
    while (present) {
      const now: NonNullable<typeof present> = present;
      const swap = Promise.withResolvers<{ next: NonNullable<typeof present> }>();
      const reload = async () => {
        const next = await fresh();
        if (!next) throw new Error('The cluster was stopped');
        swap.resolve({ next });
        await leave(now.worker, now.exit);
      };
      reloads.push(reload);
      const event = await Promise.race([now.exit, stopping.promise, swap.promise]);
      reloads.splice(reloads.indexOf(reload), 1);
      if (event === 'stopped') {
        await leave(now.worker, now.exit);
        return;
      }
      if (event === 'exits')
        present = await fresh().catch((error: Error) => {
          options.onGiveUp?.(error);
          return undefined;
        });
      else present = event.next;
    }
  }

  async function stop(): Promise<void> {
    isStopping = true;
    stopping.resolve('stopped');
    await Promise.all(loops);
    // once() of node:events would reject at an 'error'.
    await Promise.all(Array.from(processes, (left) => new Promise((resolve) => left.once('exit', resolve))));
  }

  const starts = Array.from({ length: options.size }, () => {
    const ready = Promise.withResolvers<void>();
    loops.push(run(ready));
    return ready.promise;
  });
  try {
    await Promise.all(starts);
  } catch (error) {
    await stop();
    throw error;
  }

  return Object.freeze({
    stats: () => ({ serving: Array.from(pids) }),
    reload: async () => {
      for (const reload of Array.from(reloads)) await reload();
    },
    stop,
  });
}
