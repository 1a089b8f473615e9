/*
kata: worker-pool
breaks: all
tries: to write files by flags of V8, which a thread can set for its whole process
says: attempt: v8.setFlagsFromString is not open
*/
import { Worker } from 'node:worker_threads';

const thread = new Worker(
  `
  const { Worker, parentPort } = require('node:worker_threads');
  const say = (what) => parentPort.postMessage(what);
  require('node:v8').setFlagsFromString('--redirect-code-traces-to=.npmrc');
  say('read: set');
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
