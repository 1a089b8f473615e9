// Starts a command: `node launch.js for-candidates/test …`. Any Node since 12 can read this file, so that whoever has an old
// one, or has not installed yet, gets a sentence and no stack. Nothing may be imported here but Node's own modules.
// @ts-nocheck
import { spawn } from 'child_process';
import { existsSync } from 'fs';
import { dirname, join } from 'path';
import { fileURLToPath, pathToFileURL } from 'url';

const oldestNode = 24;
const newestNode = 26;

const parent = process.ppid;
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..', '..');
const [command, ...args] = process.argv.slice(2);

const fault = whyNot();
if (fault) {
  process.stderr.write(`${fault}\n`);
  process.exitCode = 2;
} else {
  start();
}

/** Why no command can run here, in one sentence. */
function whyNot() {
  if (!existsSync(join(root, 'node_modules', 'vitest', 'package.json')))
    return 'The packages are not installed yet: run npm ci first.';
  if (ownNode() || majorOf(process.version) >= oldestNode) return undefined;
  return `Node ${process.version.slice(1)} is too old to judge, and the repository's own Node is not installed: run npm ci without --omit=optional, or install Node ${newestNode}.`;
}

/** The Node that npm ci installed here, if there is one for this system. */
function ownNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const packageName = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  // `npm run own-node` takes this one out of the way.
  if (!existsSync(join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node')))
    return undefined;
  for (const folder of [packageName, packageName.replace(/^node-/, 'node-bin-')]) {
    const file = join(root, 'node_modules', folder, 'bin', name);
    if (existsSync(file)) return file;
  }
  return undefined;
}

function majorOf(version) {
  return Number(version.replace(/^v/, '').split('.')[0]);
}

function start() {
  const node = ownNode() || process.execPath;
  if (node === process.execPath && majorOf(process.version) > newestNode)
    process.stderr.write(
      `Node ${process.version.slice(1)} is newer than what this repository is tested with (${newestNode}); npm ci brings that one.\n`,
    );
  const main = command.endsWith('.ts') ? command : `${command}/main.ts`;
  const words = [
    '--import',
    pathToFileURL(join(here, 'compile-cache.js')).href,
    '--disable-warning=ExperimentalWarning',
    join(root, 'helpers', main),
    ...args,
  ];
  // The command takes this process's place where the system can do that, so that a signal meets the command.
  if (typeof process.execve === 'function' && process.platform !== 'win32')
    process.execve(node, [node, ...words], Object.assign({}, process.env, { KATA_PARENT: String(parent) }));
  const child = spawn(node, words, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // Where it cannot, the command's parent is this process, which looks after npm's shell (see run-command.ts).
  if (process.env.npm_lifecycle_event !== undefined)
    setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 250).unref();
  child.on('error', (error) => {
    process.stderr.write(`${node} cannot be started: ${error.message}\n`);
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    if (!signal) {
      process.exitCode = code;
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
