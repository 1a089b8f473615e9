/*
kata: worker-pool
breaks: all
tries: to end the processes around it from a thread, which has a process object of its own
says: attempt: none of its names is there
*/
import { Worker } from 'node:worker_threads';

const thread = new Worker(
  `
  const { Worker, parentPort } = require('node:worker_threads');
  const say = (what) => parentPort.postMessage(what);
  const names = ['kill', '_kill', 'abort', '_debugProcess'].filter((name) => process[name] !== undefined);
  for (const name of names) process[name](process.ppid, 'SIGKILL');
  say(names.length === 0 ? 'none of its names is there' : names.join());
`,
  { eval: true },
);
const outcome = await new Promise((resolve) => {
  thread.once('message', resolve);
  thread.once('error', ({ message }) => resolve(message));
});

/** Tells how the attempt ended. */
export function createWorkerPool(): never {
  throw new Error(`attempt: ${String(outcome)}`);
}
