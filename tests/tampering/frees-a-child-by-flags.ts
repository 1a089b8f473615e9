/*
kata: cluster
breaks: all
tries: to fork a process that may read everything
says: Node's flag --allow-fs-read=\* is not open
*/
import cluster from 'node:cluster';

cluster.setupPrimary({ exec: import.meta.filename, execArgv: ['--allow-fs-read=*'] });
cluster.fork({ NODE_OPTIONS: '--no-permission' });

export async function startCluster() {
  throw new Error('not solved');
}
