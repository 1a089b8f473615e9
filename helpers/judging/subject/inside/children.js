// Runs in the process of a subject that may start processes, before the module. Node's permission model either lets a process
// start any program or none, so this holds what it lets through: a module may fork further processes of this Node, each as locked
// as its own, and signal those that it has forked. Plain JavaScript, as lockdown.js.
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { refusal } from './lockdown.js';

/** @typedef {(this: object, ...args: unknown[]) => number} Native */
/** @typedef {{ type?: unknown, handle?: unknown, fd?: unknown, ipc?: unknown }} Slot */
/** @typedef {{ onexit?: (...args: unknown[]) => unknown, pid: number }} Handle */

/** How many of them may live at once, so that a module that forks without end does not fill the machine. */
const mostChildren = 64;
/** MiB; there may be many of them. */
const childHeapLimit = 256;

// Its exports can be replaced there, unlike those of an imported module.
const childProcess = createRequire(import.meta.url)('node:child_process');
const { apply } = Reflect;
const { defineProperty, entries } = Object;
const { execPath } = process;
const ownFlags = [...process.execArgv];
/** A child may do what its parent may, but start no others. */
const childFlags = [
  ...ownFlags.filter((flag) => !/^--(?:allow-child-process|inspect|max-old-space-size)\b/.test(flag)),
  `--max-old-space-size=${childHeapLimit}`,
  '--import',
  pathToFileURL(createRequire(import.meta.url).resolve('./child.js')).href,
];

/** What Node's own fork sets for a child. */
const nodesVariables = new Set([
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
  'NODE_CLUSTER_SCHED_POLICY',
  'NODE_ENV',
  'NODE_UNIQUE_ID',
]);
/** Variables by which Node, OpenSSL or the system's loader takes flags or loads files before any lock is there. */
const loaders = /^(?:NODE_|LD_|DYLD_|OPENSSL_|SSL_|GLIBC_|GCONV_|MALLOC_|UV_|LOCPATH|NLSPATH|HOSTALIASES)/i;

const kDetached = 1;
const { EINVAL, ESRCH } = constants.errno;
const { SIGTERM } = constants.signals;
const signals = new Map(entries(constants.signals));

const prototype = Object.getPrototypeOf(new childProcess.ChildProcess()._handle);
const { spawn: nativeSpawn, kill: nativeKill } = /** @type {{ spawn: Native, kill: Native }} */ (prototype);
/** Node 24 hands over one object. */
const takesOneObject = childProcess.ChildProcess.prototype.spawn.toString().includes('_handle.spawn(options)');

/** @type {Map<number, object>} */
const living = new Map();
/** @type {WeakMap<object, number>} */
const pids = new WeakMap();
const ended = new Set();

/**
 * Forks, when it is what a module may fork.
 * @this {Handle}
 * @param {unknown[]} given
 */
function spawn(...given) {
  const options = takesOneObject
    ? /** @type {Record<string, unknown>} */ (given[0])
    : {
        file: given[0],
        args: given[1],
        cwd: given[2],
        envPairs: given[3],
        stdio: given[4],
        detached: (Number(given[5]) & kDetached) !== 0,
        uid: given[6],
        gid: given[7],
      };
  // Each is read once, and what is checked is what is used.
  const { file, args, cwd, envPairs, stdio, detached, uid, gid } = options;
  if (file !== execPath) throw refusal(`The program ${String(file)}`);
  if (detached) throw refusal('A detached process');
  if ((uid ?? undefined) !== undefined || (gid ?? undefined) !== undefined) throw refusal('A process of another user');
  const order = {
    __proto__: null,
    file: execPath,
    args: argumentsOf(args),
    cwd: typeof cwd === 'string' ? cwd : undefined,
    envPairs: variablesOf(envPairs),
    stdio: slotsOf(stdio),
    detached: false,
    windowsHide: true,
  };
  if (living.size >= mostChildren) throw refusal(`More than ${mostChildren} processes at once`);
  const failed = takesOneObject
    ? apply(nativeSpawn, this, [order])
    : apply(nativeSpawn, this, [
        order.file,
        order.args,
        order.cwd,
        order.envPairs,
        order.stdio,
        0,
        undefined,
        undefined,
      ]);
  if (!failed) follow(this);
  return failed;
}

/**
 * Knows it until it has ended. Then the system may give its number to another process.
 * @param {Handle} handle
 */
function follow(handle) {
  const { pid } = handle;
  let { onexit } = handle;
  living.set(pid, handle);
  pids.set(handle, pid);
  /** @param {unknown[]} args */
  const end = (...args) => {
    living.delete(pid);
    pids.delete(handle);
    ended.add(pid);
    return typeof onexit === 'function' ? apply(onexit, handle, args) : undefined;
  };
  defineProperty(handle, 'onexit', { get: () => end, set: (next) => (onexit = next) });
}

/** @param {unknown} given the program's name first, then flags, the file, and what the file is given */
function argumentsOf(given) {
  const [, ...rest] = textsOf(given);
  while (rest[0]?.startsWith('-')) {
    if (!ownFlags.includes(rest[0])) throw refusal(`Node's flag ${rest[0]}`);
    rest.shift();
  }
  if (rest[0] === undefined || !isAbsolute(rest[0])) throw refusal('A process without the absolute path of its file');
  return [execPath, ...childFlags, ...rest];
}

/** @param {unknown} given */
function variablesOf(given) {
  // Node itself adds this one, with the flags that are given above, when they are not among the child's.
  const pairs = textsOf(given).filter((pair) => !pair.startsWith('NODE_OPTIONS='));
  for (const pair of pairs) {
    const [name = ''] = pair.split('=', 1);
    if (loaders.test(name) && !nodesVariables.has(name)) throw refusal(`The variable ${name}`);
  }
  return pairs;
}

/** @param {unknown} given where standard input, output and so on of the child go */
function slotsOf(given) {
  const slots = Array.from(/** @type {Slot[]} */ (given), ({ type, handle, fd, ipc }) => {
    if (type === 'ignore') return { type };
    if (type === 'pipe' || type === 'overlapped') return { type, handle, ipc };
    // Any other descriptor may be the judge's.
    if ((type === 'inherit' || type === 'fd') && (fd === 0 || fd === 1 || fd === 2)) return { type, fd };
    throw refusal('A descriptor of this process in another one');
  });
  if (!slots.some(({ ipc }) => ipc === true)) throw refusal('A process that is not forked');
  return slots;
}

/**
 * @param {unknown} given
 * @returns {string[]}
 */
function textsOf(given) {
  return Array.from(/** @type {unknown[]} */ (given), String);
}

/**
 * @this {object}
 * @param {unknown} signal
 */
function killByHandle(signal) {
  return pids.has(this) ? apply(nativeKill, this, [signal]) : -ESRCH;
}

/**
 * process.kill, for the processes that the module has forked.
 * @param {unknown} pid
 * @param {unknown} [signal]
 */
export function kill(pid, signal = SIGTERM) {
  const handle = living.get(/** @type {number} */ (pid));
  if (!handle && !ended.has(pid)) throw refusal('A signal to another process');
  const number = typeof signal === 'number' ? signal : signals.get(/** @type {never} */ (signal));
  if (number === undefined) throw new TypeError(`Unknown signal: ${String(signal)}`);
  const failed = handle ? apply(nativeKill, handle, [number]) : -ESRCH;
  if (failed === 0) return true;
  const code = failed === -ESRCH ? 'ESRCH' : failed === -EINVAL ? 'EINVAL' : 'EPERM';
  throw Object.assign(new Error(`kill ${code}`), { code, errno: failed, syscall: 'kill' });
}

for (const [name, value] of entries({ spawn, kill: killByHandle }))
  defineProperty(prototype, name, { value, writable: false, configurable: false });
// These go around the class.
for (const name of ['spawnSync', 'execSync', 'execFileSync', '_forkChild']) {
  const value = () => {
    throw refusal(`child_process.${name}`);
  };
  defineProperty(childProcess, name, { value, writable: false, configurable: false });
}
