/*
kata: cluster
breaks: all
tries: to start another program by the native class, which asks nobody
says: The program /bin/sh is not open
*/
import { ChildProcess } from 'node:child_process';

interface Native {
  _handle: { constructor: new () => { spawn(...args: unknown[]): number } };
}
const { constructor: Process } = (new ChildProcess() as unknown as Native)._handle;
const inherited = [0, 1, 2].map((fd) => ({ type: 'inherit', fd }));
new Process().spawn('/bin/sh', ['sh', '-c', 'cat solutions/cluster/cluster.ts'], undefined, [], inherited, 0);

export async function startCluster() {
  throw new Error('not solved');
}
