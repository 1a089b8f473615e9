import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type * as Starter from '../../katas/worker-pool/worker-pool.ts';

/** One call of `run`, until it has settled. */
interface Task {
  readonly data: unknown;
  readonly options: Starter.RunOptions;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Where it runs. While it waits, nowhere. */
  thread?: Thread;
}

interface Thread {
  readonly worker: Worker;
  /** Undefined while it is free. */
  task?: Task | undefined;
  /** Whether it was told to end; what it still answers is late. */
  isEnding?: boolean;
}

type Answer = { readonly value: unknown } | { readonly error: unknown };

/** Runs in each thread. What cannot be cloned must not end it. */
const threadSource = `
  const { parentPort, workerData } = require('node:worker_threads');
  const tasks = import(workerData);
  const answer = async (data) => {
    try {
      return { value: await (await tasks).default(data) };
    } catch (error) {
      return { error };
    }
  };
  parentPort.on('message', async (data) => {
    const answered = await answer(data);
    try {
      parentPort.postMessage(answered);
    } catch (error) {
      parentPort.postMessage({ error: new Error(error.message) });
    }
  });
`;

/** Creates a pool of threads that run the default export of `file`. */
export function createWorkerPool(file: string, { size }: Starter.PoolOptions): Starter.WorkerPool {
  const { href } = pathToFileURL(file);
  const threads = new Set<Thread>();
  const free: Thread[] = [];
  const waiting = new Set<Task>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let isClosed = false;

  /** Gives waiting tasks to free threads, and starts a thread where one is missing. */
  function dispatch(): void {
    for (const task of waiting) {
      const thread = free.pop() ?? (threads.size < size ? startThread() : undefined);
      if (!thread) return;
      waiting.delete(task);
      hand(task, thread);
    }
    if (!isClosed) return;
    for (const { worker } of free.splice(0)) void worker.terminate();
    if (threads.size === 0) end();
  }

  function hand(task: Task, thread: Thread): void {
    try {
      thread.worker.postMessage(task.data, task.options.transfer);
      Object.assign(thread, { task });
      task.thread = thread;
    } catch (error) {
      free.push(thread);
      task.reject(error);
    }
  }

  function startThread(): Thread {
    const worker = new Worker(threadSource, { eval: true, workerData: href });
    const thread: Thread = { worker };
    let cause: unknown;
    threads.add(thread);
    worker.on('message', (answer: Answer) => {
      if (thread.isEnding) return;
      const { task } = thread;
      thread.task = undefined;
      free.push(thread);
      if ('error' in answer) task?.reject(answer.error);
      else task?.resolve(answer.value);
      dispatch();
    });
    worker.on('error', (error) => {
      cause = error;
    });
    // The one event that each end of a thread has.
    worker.on('exit', (code) => {
      threads.delete(thread);
      const place = free.indexOf(thread);
      if (place !== -1) free.splice(place, 1);
      thread.task?.reject(cause ?? new Error(`The thread of this task has ended with exit code ${code}.`));
      dispatch();
    });
    return thread;
  }

  return {
    async run(data, options = {}) {
      const { signal } = options;
      if (isClosed) throw new Error('The pool is closed.');
      signal?.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const task: Task = { data, options, resolve, reject };
      const abort = () => {
        waiting.delete(task);
        const { thread } = task;
        if (thread?.task === task) {
          thread.isEnding = true;
          void thread.worker.terminate();
        }
        reject(signal!.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      waiting.add(task);
      dispatch();
      try {
        return await promise;
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    },
    stats: () => ({
      running: [...threads].filter(({ task }) => task).length,
      waiting: waiting.size,
    }),
    async close() {
      isClosed = true;
      dispatch();
      await ended;
    },
  };
}

({ createWorkerPool }) satisfies typeof Starter;
