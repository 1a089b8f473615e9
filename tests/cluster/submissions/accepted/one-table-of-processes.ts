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

/** One process. */
interface Row {
  readonly worker: Worker;
  readonly place: number;
  phase: 'starting' | 'serving' | 'leaving';
  missedPings: number;
  killer?: NodeJS.Timeout;
  readonly gone: PromiseWithResolvers<void>;
}

/** Keeps one table of all processes; what happens to any of them is decided in one place for each event. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { size, stopMs, pingMs, hangMs, maxFailures } = options;
  const rows = new Map<number, Row>();
  const failures = new Map<number, number>();
  const delays = new Map<number, NodeJS.Timeout>();
  const wanted = new Map<number, PromiseWithResolvers<void>>();
  const places = Array.from({ length: size }, (_, place) => place);
  let isStopping = false;
  let stopped: Promise<void> | undefined;

  function launch(place: number): void {
    delays.delete(place);
    cluster.setupPrimary({ exec: options.worker, execArgv: [], args: [] });
    const worker = cluster.fork({ PORT: String(options.port) });
    worker.on('error', () => undefined);
    rows.set(worker.id, { worker, place, phase: 'starting', missedPings: 0, gone: Promise.withResolvers() });
  }

  function want(place: number): Promise<void> {
    const waiter = Promise.withResolvers<void>();
    wanted.set(place, waiter);
    launch(place);
    return waiter.promise;
  }

  function fail(place: number): void {
    const count = (failures.get(place) ?? 0) + 1;
    failures.set(place, count);
    if (count < maxFailures) {
      const delayMs = Math.min(options.maxRestartMs, options.restartMs * 2 ** (count - 1));
      delays.set(place, setTimeout(launch, delayMs, place));
      return;
    }
    failures.delete(place);
    const error = new Error(`Gave up starting ${options.worker} after ${count} attempts.`);
    const waiter = wanted.get(place);
    wanted.delete(place);
    if (waiter) waiter.reject(error);
    else options.onGiveUp?.(error);
  }

  function leave(row: Row): Promise<void> {
    if (row.phase !== 'leaving') {
      row.phase = 'leaving';
      row.killer = setTimeout(() => process.kill(row.worker.process.pid!, 'SIGKILL'), stopMs);
      row.worker.disconnect();
    }
    return row.gone.promise;
  }

  const onListening = (worker: Worker) => {
    const row = rows.get(worker.id);
    if (row?.phase !== 'starting') return;
    row.phase = 'serving';
    failures.delete(row.place);
    const before = [...rows.values()].filter((other) => other.place === row.place && other.phase === 'serving');
    const left = before.filter((other) => other !== row).map(leave);
    const waiter = wanted.get(row.place);
    wanted.delete(row.place);
    if (waiter) void Promise.all(left).then(() => waiter.resolve());
  };

  const onMessage = (worker: Worker, message: unknown) => {
    const row = rows.get(worker.id);
    if (row && message === 'pong') row.missedPings = 0;
  };

  const onExit = (worker: Worker) => {
    const row = rows.get(worker.id);
    if (!row) return;
    rows.delete(worker.id);
    clearTimeout(row.killer);
    row.gone.resolve();
    if (isStopping || row.phase === 'leaving') return;
    if (row.phase === 'serving') launch(row.place);
    else fail(row.place);
  };

  const pinging = setInterval(() => {
    for (const row of rows.values()) {
      if (row.phase !== 'serving' || !row.worker.isConnected()) continue;
      if (row.missedPings * pingMs >= hangMs) row.worker.kill('SIGKILL');
      row.missedPings++;
      row.worker.send('ping', () => {});
    }
  }, pingMs);
  pinging.unref();

  function cancel(): void {
    for (const delay of delays.values()) clearTimeout(delay);
    delays.clear();
    for (const waiter of wanted.values()) waiter.reject(new Error('Stopped.'));
    wanted.clear();
  }

  async function stop(): Promise<void> {
    isStopping = true;
    cancel();
    await Promise.all([...rows.values()].map(leave));
    clearInterval(pinging);
    cluster.off('listening', onListening).off('message', onMessage).off('exit', onExit);
  }

  cluster.on('listening', onListening).on('message', onMessage).on('exit', onExit);
  try {
    await Promise.all(places.map(want));
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    stats: () => ({
      serving: [...rows.values()].filter(({ phase }) => phase === 'serving').map(({ worker }) => worker.process.pid!),
    }),

    async reload() {
      try {
        await Promise.all(places.map(want));
      } catch (error) {
        cancel();
        failures.clear();
        await Promise.all([...rows.values()].filter(({ phase }) => phase === 'starting').map(leave));
        throw error;
      }
    },

    stop: () => (stopped ??= stop()),
  };
}
