/*
kata: cluster
breaks: all
tries: to fork a process that outlives its judge
says: A detached process is not open
*/
import { fork } from 'node:child_process';

fork(import.meta.filename, { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }).unref();

export async function startCluster() {
  throw new Error('not solved');
}
