// Takes the Node of this repository out of the way, so that npm's scripts run on the one that is installed here.
// `npm ci` brings it back.
import { rmSync } from 'node:fs';
import { join } from 'node:path';

const { dirname } = import.meta;
for (const name of ['node', 'node.cmd', 'node.ps1']) {
  rmSync(join(dirname, '../../../node_modules/.bin', name), { force: true });
}
process.stdout.write('npm’s scripts now run on the Node that is installed on this machine. To go back: npm ci\n');
