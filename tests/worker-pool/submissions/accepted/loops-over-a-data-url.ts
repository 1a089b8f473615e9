import { pathToFileURL } from 'node:url';
import { type MessagePort, MessageChannel, type Transferable, Worker } from 'node:worker_threads';

interface Options {
  signal?: AbortSignal;
  transfer?: Transferable[];
}

interface Errand {
  data: unknown;
  options: Options;
  answer: PromiseWithResolvers<unknown>;
}

const code = `
  import { workerData } from 'node:worker_threads';
  const { port, href } = workerData;
  const { default: work } = await import(href);
  port.on('message', async (data) => {
    const message = await Promise.try(work, data).then((value) => ({ value }), (error) => ({ failed: true, error }));
    try {
      port.postMessage(message);
    } catch {
      port.postMessage({ failed: true, error: new Error('what came of the task cannot be cloned') });
    }
  });
`;
const entry = new URL(`data:text/javascript,${encodeURIComponent(code)}`);

/** A line that loops wait at, and that callers line up in. */
class Line {
  readonly #errands = new Map<symbol, Errand>();
  readonly #loops: ((errand: Errand | undefined) => void)[] = [];
  #isClosed = false;

  get length(): number {
    return this.#errands.size;
  }

  add(errand: Errand): () => boolean {
    const key = Symbol('errand');
    const loop = this.#loops.shift();
    if (loop) loop(errand);
    else this.#errands.set(key, errand);
    return () => this.#errands.delete(key);
  }

  /** Undefined once the line is closed and empty. */
  next(): Promise<Errand | undefined> | Errand | undefined {
    for (const [key, errand] of this.#errands) {
      this.#errands.delete(key);
      return errand;
    }
    return this.#isClosed ? undefined : new Promise((resolve) => this.#loops.push(resolve));
  }

  close(): void {
    this.#isClosed = true;
    for (const loop of this.#loops.splice(0)) loop(undefined);
  }
}

/** A thread, and the port through which it gets its errands. */
class Hand implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #leaves: (error: unknown) => void = () => undefined;
  #hears: (message: { failed?: boolean; value?: unknown; error?: unknown }) => void = () => undefined;
  hasLeft = false;

  constructor(href: string) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(entry, { workerData: { href, port: port2 }, transferList: [port2] });
    const errors: unknown[] = [];
    this.#worker.on('error', (error) => errors.push(error));
    this.#worker.on('exit', (exitCode) => {
      this.hasLeft = true;
      port1.close();
      this.#leaves(errors[0] ?? new Error(`a thread left with ${exitCode}`));
    });
    port1.on('message', (message) => this.#hears(message as { value?: unknown }));
  }

  async do({ data, options: { signal, transfer }, answer }: Errand): Promise<void> {
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    const abort = () => {
      answer.reject(signal!.reason);
      void this.#worker.terminate();
    };
    this.#hears = ({ failed, value, error }) => {
      this.#hears = () => undefined;
      signal?.removeEventListener('abort', abort);
      if (failed) answer.reject(error);
      else answer.resolve(value);
      end();
    };
    if (signal?.aborted) return answer.reject(signal.reason);
    try {
      this.#port.postMessage(data, transfer ?? []);
    } catch (error) {
      return answer.reject(error);
    }
    signal?.addEventListener('abort', abort);
    this.#leaves = (error) => {
      answer.reject(error);
      end();
    };
    await over;
    this.#leaves = () => undefined;
    signal?.removeEventListener('abort', abort);
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

export const createWorkerPool = (file: string, { size }: { size: number }) => {
  const { href } = pathToFileURL(file);
  const line = new Line();
  let running = 0;
  let isClosed = false;

  async function serve(): Promise<void> {
    let hand: Hand | undefined;
    for (let errand = await line.next(); errand; errand = await line.next()) {
      running++;
      if (hand?.hasLeft !== false) hand = new Hand(href);
      await hand.do(errand);
      running--;
      // It was told to leave, and may not have done so yet.
      if (errand.options.signal?.aborted) {
        await hand[Symbol.asyncDispose]();
        hand = undefined;
      }
    }
    await hand?.[Symbol.asyncDispose]();
  }

  const loops = Array.from({ length: size }, serve);

  return Object.freeze({
    async run(data: unknown, options: Options = {}): Promise<unknown> {
      const { signal } = options;
      if (isClosed) throw new RangeError('closed');
      signal?.throwIfAborted();
      const answer = Promise.withResolvers<unknown>();
      const leave = line.add({ data, options, answer });
      const abort = () => {
        if (leave()) answer.reject(signal!.reason);
      };
      signal?.addEventListener('abort', abort);
      try {
        return await answer.promise;
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    },
    stats: () => ({ running, waiting: line.length }),
    async close(): Promise<void> {
      isClosed = true;
      line.close();
      await Promise.all(loops);
    },
  });
};
