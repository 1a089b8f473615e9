/*
kata: worker-pool
breaks: all
tries: to answer from a thread, by writing to the descriptor of the channel
says: wrote to the channel between its process and the judge
*/
import { Worker } from 'node:worker_threads';

const thread = new Worker(
  `
  const { Worker, parentPort } = require('node:worker_threads');
  const say = (what) => parentPort.postMessage(what);
  const body = require('node:v8').serialize({ id: '1', value: undefined });
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  require('node:fs').writeSync(3, Buffer.concat([head, body]));
  setInterval(() => undefined, 1000);
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
