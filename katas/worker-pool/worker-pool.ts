import { pathToFileURL } from 'node:url';
import { Worker, type Transferable } from 'node:worker_threads';

export interface PoolOptions {
  /** How many threads the pool has. */
  size: number;
}

export interface RunOptions {
  /** Aborts the task, whether it waits or runs. */
  signal?: AbortSignal;
  /** What is moved to the thread instead of being copied. */
  transfer?: Transferable[];
}

export interface PoolStats {
  running: number;
  waiting: number;
}

export interface WorkerPool {
  /** Has one thread call the file's default export with `data`. */
  run(data: unknown, options?: RunOptions): Promise<unknown>;
  stats(): PoolStats;
  /** Takes no more tasks, and ends the threads when the accepted ones are done. */
  close(): Promise<void>;
}

const threadSource = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.url)
    .then((tasks) => tasks.default(workerData.data))
    .then((result) => parentPort.postMessage(result));
`;

/** Creates a pool of threads that run the default export of `file`. */
export function createWorkerPool(file: string, { size }: PoolOptions): WorkerPool {
  const url = pathToFileURL(file).href;
  const queue: (() => void)[] = [];
  let running = 0;
  let isClosed = false;

  function next(): void {
    running -= 1;
    queue.shift()?.();
  }

  function start(data: unknown, { signal, transfer }: RunOptions): Promise<unknown> {
    running += 1;
    return new Promise((resolve, reject) => {
      const worker = new Worker(threadSource, {
        eval: true,
        workerData: { url, data },
        ...(transfer && { transferList: transfer }),
      });
      const abort = () => {
        void worker.terminate();
        reject(signal!.reason as Error);
        next();
      };
      signal?.addEventListener('abort', abort);
      worker.once('message', (result) => {
        resolve(result);
        void worker.terminate();
        next();
      });
      worker.once('error', (error) => {
        reject(error);
        next();
      });
    });
  }

  return {
    async run(data, options = {}) {
      if (isClosed) throw new Error('The pool is closed.');
      if (running >= size) await new Promise<void>((resolve) => queue.push(resolve));
      options.signal?.throwIfAborted();
      return await start(data, options);
    },
    stats: () => ({ running, waiting: queue.length }),
    async close() {
      isClosed = true;
      while (running > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    },
  };
}
