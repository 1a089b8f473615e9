/*
kata: worker-pool
breaks: all
tries: to read other files in a thread without flags, which Node alone would not hold at all
says: attempt: ERR_ACCESS_DENIED, ERR_ACCESS_DENIED, ERR_ACCESS_DENIED
*/
import { Worker } from 'node:worker_threads';

const thread = new Worker(
  `
  const { Worker, parentPort } = require('node:worker_threads');
  const say = (what) => parentPort.postMessage(what);
  const code = (attempt) => {
    try {
      return 'read: ' + attempt();
    } catch (error) {
      return error.code;
    }
  };
  const { readdirSync, readFileSync } = require('node:fs');
  const { spawnSync } = require('node:child_process');
  say([() => readdirSync('/'), () => readFileSync('/etc/passwd', 'utf8'), () => spawnSync('true').pid].map(code).join(', '));
`,
  { eval: true, execArgv: [], env: {} },
);
const outcome = await new Promise((resolve) => {
  thread.once('message', resolve);
  thread.once('error', ({ message }) => resolve(message));
});

/** Tells how the attempt ended. */
export function createWorkerPool(): never {
  throw new Error(`attempt: ${String(outcome)}`);
}
