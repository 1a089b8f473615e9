import { pathToFileURL } from 'node:url';
import { type Transferable, Worker } from 'node:worker_threads';

type Reply = { kind: 'done'; result: unknown } | { kind: 'failed'; failure: unknown };

/** Sent as text: it runs in the threads and sees nothing of this file. */
async function threadMain(): Promise<void> {
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  const port = parentPort!;
  const loading = import(workerData as string) as Promise<{ default(data: unknown): unknown }>;
  let latest: Promise<void> = Promise.resolve();
  port.on('message', (message: { data: unknown } | 'leave') => {
    if (message === 'leave') {
      port.close();
      return;
    }
    latest = latest.then(async () => {
      let reply: Reply;
      try {
        const { default: task } = await loading;
        reply = { kind: 'done', result: await task(message.data) };
      } catch (failure) {
        reply = { kind: 'failed', failure };
      }
      try {
        port.postMessage(reply);
      } catch (failure) {
        port.postMessage({ kind: 'failed', failure: new TypeError((failure as Error).message) } satisfies Reply);
      }
    });
  });
}

class Closed extends Error {
  override name = 'PoolClosedError';
}

class TaskThread extends Worker {
  #lastError: unknown;
  /** Resolves with an error when the thread has ended. */
  readonly ended: Promise<void>;

  constructor(href: string) {
    super(`(${threadMain.toString()})()`, { eval: true, workerData: href, name: 'task' });
    this.on('error', (error) => {
      this.#lastError = error;
    });
    this.ended = new Promise((resolve) => void this.once('exit', () => resolve()));
  }

  /** Listens for one answer, and for what may come in its place. */
  perform(data: unknown, transfer: readonly Transferable[], onReply: (reply: Reply, lives: boolean) => void): void {
    this.postMessage({ data }, transfer);
    const stop = () => {
      this.off('message', heard);
      this.off('exit', gone);
    };
    const heard = (reply: Reply) => {
      stop();
      onReply(reply, true);
    };
    const gone = (exitCode: number) => {
      stop();
      const failure = this.#lastError ?? Object.assign(new Error('The thread has exited.'), { exitCode });
      onReply({ kind: 'failed', failure }, false);
    };
    this.on('message', heard);
    this.on('exit', gone);
  }
}

interface Ticket {
  readonly data: unknown;
  readonly transfer: readonly Transferable[];
  finish: ((reply: Reply) => void) | undefined;
  thread?: TaskThread;
}

export class WorkerPool {
  readonly #href: string;
  readonly #size: number;
  readonly #idle = new Set<TaskThread>();
  readonly #busy = new Map<TaskThread, Ticket>();
  /** Also those that were aborted, until their turn comes. */
  #tickets: Ticket[] = [];
  #head = 0;
  #waiting = 0;
  /** Threads that live. */
  #living = 0;
  #closed = false;
  #wake: (() => void)[] = [];

  constructor(href: string, size: number) {
    this.#href = href;
    this.#size = size;
  }

  async run(data: unknown, { signal, transfer = [] }: { signal?: AbortSignal; transfer?: Transferable[] } = {}) {
    if (this.#closed) throw new Closed('The pool was closed.');
    if (signal?.aborted) throw signal.reason;
    const ticket: Ticket = { data, transfer, finish: undefined };
    const reply = new Promise<Reply>((resolve) => (ticket.finish = resolve));
    let hasAborted = false;
    const abort = () => {
      if (!ticket.finish) return;
      hasAborted = true;
      if (ticket.thread) void ticket.thread.terminate();
      else this.#waiting -= 1;
      this.#settle(ticket, { kind: 'failed', failure: signal!.reason });
    };
    signal?.addEventListener('abort', abort);
    this.#tickets.push(ticket);
    this.#waiting += 1;
    queueMicrotask(() => this.#advance());
    const settled = await reply;
    signal?.removeEventListener('abort', abort);
    if (settled.kind === 'done') return settled.result;
    throw hasAborted ? signal!.reason : settled.failure;
  }

  stats() {
    return { running: this.#busy.size, waiting: this.#waiting };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#advance();
    while (this.#waiting > 0 || this.#busy.size > 0 || this.#living > 0)
      await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #settle(ticket: Ticket, reply: Reply): void {
    ticket.finish?.(reply);
    ticket.finish = undefined;
  }

  /** The next ticket that still waits. */
  #take(): Ticket | undefined {
    while (this.#head < this.#tickets.length) {
      const ticket = this.#tickets[this.#head++]!;
      if (ticket.finish) return ticket;
    }
    return undefined;
  }

  #advance(): void {
    while (this.#waiting > 0 && (this.#idle.size > 0 || this.#living < this.#size)) {
      const ticket = this.#take();
      if (!ticket) break;
      this.#waiting -= 1;
      this.#give(ticket, this.#idle.values().next().value ?? this.#start());
    }
    if (this.#waiting === 0) {
      this.#tickets = [];
      this.#head = 0;
    }
    if (this.#closed && this.#waiting === 0)
      for (const thread of this.#idle) {
        this.#idle.delete(thread);
        thread.postMessage('leave');
      }
    for (const wake of this.#wake.splice(0)) wake();
  }

  #give(ticket: Ticket, thread: TaskThread): void {
    this.#idle.delete(thread);
    try {
      thread.perform(ticket.data, ticket.transfer, (reply, lives) => {
        this.#busy.delete(thread);
        // An aborted one is on its way out.
        if (lives && ticket.finish) this.#idle.add(thread);
        this.#settle(ticket, reply);
        this.#advance();
      });
      this.#busy.set(thread, ticket);
      ticket.thread = thread;
    } catch (failure) {
      this.#idle.add(thread);
      this.#settle(ticket, { kind: 'failed', failure });
    }
  }

  #start(): TaskThread {
    const thread = new TaskThread(this.#href);
    this.#living += 1;
    void thread.ended.then(() => {
      this.#living -= 1;
      this.#idle.delete(thread);
      this.#advance();
    });
    return thread;
  }
}

export function createWorkerPool(file: string, options: { size: number }): WorkerPool {
  return new WorkerPool(pathToFileURL(file).toString(), options.size);
}
