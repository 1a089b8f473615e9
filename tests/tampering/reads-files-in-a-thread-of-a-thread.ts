/*
kata: worker-pool
breaks: all
tries: to read other files in a thread that a thread makes, with flags by its environment
says: attempt: ERR_ACCESS_DENIED
*/
import { Worker } from 'node:worker_threads';

const thread = new Worker(
  `
  const { Worker, parentPort } = require('node:worker_threads');
  const say = (what) => parentPort.postMessage(what);
  const inner =
    "const { parentPort } = require('node:worker_threads');" +
    "try { parentPort.postMessage('read: ' + require('node:fs').readdirSync('/')); } catch (error) { parentPort.postMessage(error.code); }";
  new Worker(inner, { eval: true, execArgv: ['--no-permission'], env: { NODE_OPTIONS: '--no-permission' } }).once('message', say);
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
