import { pathToFileURL } from 'node:url';
import { type Transferable, Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

type Settle = { resolve(value: unknown): void; reject(reason: unknown): void };

class Job {
  readonly id: number;
  readonly data: unknown;
  readonly transfer: readonly Transferable[];
  readonly settle: Settle;
  state: 'waits' | 'runs' | 'over' = 'waits';

  constructor(id: number, data: unknown, transfer: readonly Transferable[], settle: Settle) {
    this.id = id;
    this.data = data;
    this.transfer = transfer;
    this.settle = settle;
  }
}

/** One place of the pool. The thread in it is replaced as soon as it ends, and there is always one until the pool closes. */
class Seat {
  readonly #pool: Pool;
  readonly #url: string;
  #worker!: Worker;
  #cause: unknown;
  #isDoomed = false;
  job: Job | undefined;
  gone = false;

  constructor(pool: Pool, url: string) {
    this.#pool = pool;
    this.#url = url;
    this.#fill();
  }

  get canTake(): boolean {
    return this.job === undefined && !this.#isDoomed && !this.gone;
  }

  take(job: Job): void {
    try {
      this.#worker.postMessage([job.id, job.data], job.transfer);
    } catch (error) {
      job.state = 'over';
      job.settle.reject(error);
      return;
    }
    job.state = 'runs';
    this.job = job;
  }

  kill(): void {
    this.#isDoomed = true;
    void this.#worker.terminate();
  }

  #fill(): void {
    this.#cause = undefined;
    this.#isDoomed = false;
    this.#worker = new Worker(new URL(import.meta.url), { workerData: { poolFile: this.#url } });
    this.#worker.on('message', ([id, fails, value]: [number, boolean, unknown]) => {
      const { job } = this;
      if (this.#isDoomed || job?.id !== id) return;
      this.job = undefined;
      job.state = 'over';
      if (fails) job.settle.reject(value);
      else job.settle.resolve(value);
      this.#pool.turn();
    });
    this.#worker.on('error', (error) => (this.#cause = error));
    this.#worker.on('exit', (code) => {
      const { job } = this;
      this.job = undefined;
      if (job && job.state === 'runs') {
        job.state = 'over';
        job.settle.reject(this.#cause ?? new Error(`the thread exited with code ${code}`));
      }
      if (this.#pool.isOver) this.gone = true;
      else this.#fill();
      this.#pool.turn();
    });
  }
}

class Pool {
  readonly #seats: Seat[];
  #line: Job[] = [];
  #ids = 0;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(file: string, size: number) {
    const url = pathToFileURL(file).href;
    this.#seats = Array.from({ length: size }, () => new Seat(this, url));
  }

  /** Whether no thread is needed any more. */
  get isOver(): boolean {
    return this.#closing !== undefined && this.#line.length === 0;
  }

  turn(): void {
    for (const seat of this.#seats) while (seat.canTake && this.#line.length > 0) seat.take(this.#line.shift()!);
    if (!this.isOver) return;
    for (const seat of this.#seats) if (seat.canTake) seat.kill();
    if (this.#seats.every(({ gone }) => gone)) this.#closing!.resolve();
  }

  run = (data: unknown, { signal, transfer = [] }: { signal?: AbortSignal; transfer?: Transferable[] } = {}) =>
    new Promise<unknown>((resolve, reject) => {
      if (this.#closing) throw new Error('the pool takes no more tasks');
      if (signal?.aborted) return reject(signal.reason as Error);
      const job = new Job(++this.#ids, data, transfer, {
        resolve: (value) => (signal?.removeEventListener('abort', leave), resolve(value)),
        reject: (reason) => (signal?.removeEventListener('abort', leave), reject(reason as Error)),
      });
      const leave = () => {
        if (job.state === 'over') return;
        if (job.state === 'waits') this.#line = this.#line.filter((other) => other !== job);
        job.state = 'over';
        this.#seats.find((seat) => seat.job === job)?.kill();
        job.settle.reject(signal!.reason);
      };
      signal?.addEventListener('abort', leave);
      this.#line.push(job);
      this.turn();
      return undefined;
    });

  stats = () => ({
    running: this.#seats.filter(({ job }) => job !== undefined).length,
    waiting: this.#line.length,
  });

  close = () => {
    this.#closing ??= Promise.withResolvers<void>();
    this.turn();
    return this.#closing.promise;
  };
}

export function createWorkerPool(file: string, { size }: { size: number }): Pool {
  return new Pool(file, size);
}

interface Given {
  poolFile: string;
}

if (!isMainThread && (workerData as Partial<Given> | undefined)?.poolFile) {
  const port = parentPort!;
  const { default: task } = (await import((workerData as Given).poolFile)) as { default(data: unknown): unknown };
  port.on('message', ([id, data]: [number, unknown]) => {
    void (async () => task(data))()
      .then((value) => port.postMessage([id, false, value]))
      .catch((error: unknown) => {
        try {
          port.postMessage([id, true, error]);
        } catch (failure) {
          port.postMessage([id, true, new Error(String(failure))]);
        }
      });
  });
}
