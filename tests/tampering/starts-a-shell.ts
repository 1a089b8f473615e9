/*
kata: cluster
breaks: all
tries: to start another program where it may start processes
says: The program /bin/sh is not open
*/
import { spawn } from 'node:child_process';

spawn('/bin/sh', ['-c', 'cat solutions/cluster/cluster.ts'], { stdio: 'inherit' });

export async function startCluster() {
  throw new Error('not solved');
}
