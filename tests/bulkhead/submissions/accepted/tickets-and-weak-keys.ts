type Work<T> = (signal?: AbortSignal) => T | PromiseLike<T>;

interface BulkheadOptions {
  concurrency: number;
  queueLimit: number;
}

interface RunOptions {
  signal?: AbortSignal;
}

export class BulkheadFullError extends Error {
  override readonly name = 'BulkheadFullError';
}

export class BulkheadClosedError extends Error {
  override readonly name = 'BulkheadClosedError';
}

/** Who comes draws a ticket; the desk calls the next one that is still there. */
class Desk {
  #drawn = 0;
  #called = 0;
  #atWork = 0;
  readonly #waiting = new Map<number, () => void>();
  readonly #places: number;
  readonly #chairs: number;

  constructor(places: number, chairs: number) {
    this.#places = places;
    this.#chairs = chairs;
  }

  get counts() {
    return { running: this.#atWork, waiting: this.#waiting.size };
  }

  /** Resolves when it is this caller's turn. The place is taken then. */
  enter(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#atWork < this.#places) {
      this.#atWork++;
      return undefined;
    }
    if (this.#waiting.size >= this.#chairs) throw new BulkheadFullError(`All ${this.#chairs} chairs are taken`);
    const ticket = this.#drawn++;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => {
      this.#waiting.delete(ticket);
      reject(signal!.reason as Error);
    };
    this.#waiting.set(ticket, () => {
      signal?.removeEventListener('abort', giveUp);
      resolve();
    });
    signal?.addEventListener('abort', giveUp, { once: true });
    return promise;
  }

  exit(): void {
    while (this.#called < this.#drawn) {
      const call = this.#waiting.get(this.#called);
      this.#waiting.delete(this.#called++);
      if (call) {
        call();
        return;
      }
    }
    this.#atWork--;
  }
}

export function createBulkhead({ concurrency, queueLimit }: BulkheadOptions) {
  const own = new Desk(concurrency, queueLimit);
  // A desk lives as long as somebody has it: a handle, or a call.
  const desks = new Map<string, WeakRef<Desk>>();
  const gone = new FinalizationRegistry<string>((key) => {
    if (desks.get(key)?.deref() === undefined) desks.delete(key);
  });
  let calls = 0;
  let draining = false;
  const listeners: (() => void)[] = [];

  const compartment = (desk: Desk) => ({
    stats: () => desk.counts,
    run: async <T>(fn: Work<T>, options?: RunOptions): Promise<T> => {
      const signal = options?.signal;
      if (draining) throw new BulkheadClosedError('No more calls');
      if (signal?.aborted) throw signal.reason as Error;
      const turn = desk.enter(signal);
      calls++;
      let isIn = turn === undefined;
      try {
        if (turn) await turn;
        isIn = true;
        return await fn(signal);
      } finally {
        if (isIn) desk.exit();
        calls--;
        if (calls === 0 && draining) listeners.forEach((tell) => tell());
      }
    },
  });

  return {
    ...compartment(own),
    for(key: string) {
      let desk = desks.get(key)?.deref();
      if (!desk) {
        desk = new Desk(concurrency, queueLimit);
        desks.set(key, new WeakRef(desk));
        gone.register(desk, key);
      }
      return compartment(desk);
    },
    async drain(): Promise<void> {
      draining = true;
      if (calls > 0) await new Promise<void>((resolve) => listeners.push(resolve));
    },
  };
}
