import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';

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

/** Starts `size` processes that serve one port. */
export async function startCluster({ worker: file, size, port, stopMs }: ClusterOptions): Promise<Cluster> {
  cluster.setupPrimary({ exec: file });
  const serving = new Set<Worker>();
  let isStopping = false;

  function start(): Worker {
    const worker = cluster.fork({ PORT: port });
    worker.on('listening', () => serving.add(worker));
    worker.on('exit', () => {
      serving.delete(worker);
      if (!isStopping) start();
    });
    return worker;
  }

  function end(worker: Worker): void {
    worker.disconnect();
    setTimeout(() => worker.process.kill('SIGKILL'), stopMs);
  }

  await Promise.all(Array.from({ length: size }, () => once(start(), 'listening')));

  return {
    stats: () => ({ serving: [...serving].map((worker) => worker.process.pid!) }),

    async reload() {
      for (const worker of serving) end(worker);
    },

    async stop() {
      isStopping = true;
      for (const worker of serving) end(worker);
    },
  };
}
