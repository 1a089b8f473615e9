import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** One of the `size` workers, whichever process it is at the moment. */
interface Place {
  worker: Worker | undefined;
}

/** Starts `size` processes that serve one port. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { worker: file, size, port, restartMs, maxRestartMs, maxFailures, stopMs, pingMs, hangMs, onGiveUp } = options;
  const places = Array.from({ length: size }, (): Place => ({ worker: undefined }));
  /** Every process that has not exited, whatever it is doing. */
  const alive = new Set<Worker>();
  const over = new AbortController();
  let ending: Promise<void> | undefined;

  function fork(): Worker {
    cluster.setupPrimary({ exec: file });
    const worker = cluster.fork({ PORT: port });
    alive.add(worker);
    // A process may die while something is sent to it. Its exit says all that matters.
    worker.on('error', () => undefined);
    worker.once('exit', () => alive.delete(worker));
    return worker;
  }

  /** Comes back with a worker that listens, however many starts that takes. Throws when it gives up, and after stop(). */
  async function bringUp(): Promise<Worker> {
    for (let failures = 1; ; failures++) {
      over.signal.throwIfAborted();
      const worker = fork();
      if (await listens(worker)) return worker;
      if (failures === maxFailures) throw new Error(`${file} failed to start ${failures} times in a row`);
      const delayMs = Math.min(restartMs * 2 ** (failures - 1), maxRestartMs);
      await sleep(delayMs, undefined, { signal: over.signal });
    }
  }

  function employ(place: Place, worker: Worker): void {
    place.worker = worker;
    const stopWatching = watch(worker);
    worker.once('exit', () => {
      stopWatching();
      if (place.worker === worker) void refill(place);
    });
  }

  async function refill(place: Place): Promise<void> {
    place.worker = undefined;
    if (over.signal.aborted) return;
    try {
      const worker = await bringUp();
      // A reload may have filled the place meanwhile.
      if (place.worker) await retire(worker);
      else employ(place, worker);
    } catch (error) {
      if (!over.signal.aborted && !place.worker) onGiveUp?.(error as Error);
    }
  }

  /** Kills the worker when it stops answering. */
  function watch(worker: Worker): () => void {
    let heardAt = performance.now();
    worker.on('message', (message) => {
      if (message === 'pong') heardAt = performance.now();
    });
    const timer = setInterval(() => {
      // Its channel is closed once it has been asked to stop. How long that may take is up to retire.
      if (worker.exitedAfterDisconnect || !worker.isConnected()) return;
      if (performance.now() - heardAt >= hangMs) worker.process.kill('SIGKILL');
      else worker.send('ping', () => undefined);
    }, pingMs);
    return () => clearInterval(timer);
  }

  /** Lets the worker finish, but not forever, and comes back when it has exited. */
  async function retire(worker: Worker): Promise<void> {
    // once() of node:events would reject at its 'error'.
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), stopMs);
    worker.disconnect();
    await exited;
    clearTimeout(timer);
  }

  async function end(): Promise<void> {
    over.abort();
    await Promise.all(Array.from(alive, retire));
  }

  try {
    await Promise.all(places.map(async (place) => employ(place, await bringUp())));
  } catch (error) {
    await end();
    throw error;
  }

  return {
    stats() {
      const serving = places.flatMap(({ worker }) => (worker && !worker.exitedAfterDisconnect ? [worker] : []));
      return { serving: serving.map((worker) => worker.process.pid!) };
    },

    async reload() {
      for (const place of places) {
        const next = await bringUp();
        const old = place.worker;
        employ(place, next);
        if (old) await retire(old);
      }
    },

    stop: () => (ending ??= end()),
  };
}

/** Whether it listens before it exits. */
async function listens(worker: Worker): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  worker.once('listening', () => resolve(true));
  worker.once('exit', () => resolve(false));
  return await promise;
}
