/*
kata: worker-pool
breaks: all
tries: to reach the Docker engine from a thread, where the class of all Unix sockets is another one
says: attempt: (?:A Unix socket is not open|.*restricted)
*/
import { Worker } from 'node:worker_threads';

const thread = new Worker(
  `
  const { Worker, parentPort } = require('node:worker_threads');
  const say = (what) => parentPort.postMessage(what);
  require('node:net')
    .connect('/var/run/docker.sock')
    .on('error', (error) => say(error.message))
    .on('connect', () => say('read: the socket'));
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
