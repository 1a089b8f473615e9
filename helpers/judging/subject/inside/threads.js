// Threads of a kata's module. A thread is a realm of its own, in which nothing of lockdown.js has run, and one that is given flags
// of its own is not under the permission model at all. So each thread, also one that a thread makes, gets the flags that are
// decided here, and thread.js is the first code that runs in it. Runs before the module, and before the code of each thread.
import { syncBuiltinESMExports } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import workerThreads from 'node:worker_threads';

const { Worker, MessagePort, getEnvironmentData, setEnvironmentData } = workerThreads;
const { construct, defineProperty: define, ownKeys } = Reflect;
const { defineProperty, getPrototypeOf, setPrototypeOf } = Object;
const { compareExchange, load, store } = Atomics;
const { env: ownEnv, execArgv } = process;

/** How many threads may live at once, those that threads have made included. */
const mostThreads = 64;
/** What the heap of a thread may hold, unless the module allows it less. */
const mostHeapMb = 64;
/** Where a thread finds what is meant for thread.js. */
const inheritance = 'kata';
/** The entry of a thread whose file is the module: that file is not on the disk as JavaScript. */
const moduleEntry = join(import.meta.dirname, 'thread-of-module.js');

/** Those of Node's flags that a thread can have. It has them all. */
const threadFlags = [
  ...execArgv.filter((flag) =>
    /^--(?:permission$|enable-source-maps$|allow-|no-experimental-|disable-warning=)/.test(flag),
  ),
  `--require=${join(import.meta.dirname, 'thread.js')}`,
];

/** In a thread, Node's permission model lets everybody read the current folder: so it is one that the module may read. */
export function leaveFolder() {
  process.chdir(import.meta.dirname);
  defineProperty(process, 'chdir', { value: undefined, writable: false, configurable: false });
}

/** @typedef {{ slots: Int32Array, own: number, url: string, source: string }} Inherited */

/** What the parent of this thread has left for it; the thread's own code does not see it. @returns {Inherited} */
export function takeInheritance() {
  const left = getEnvironmentData(inheritance);
  setEnvironmentData(inheritance, undefined);
  return /** @type {Inherited} */ (/** @type {unknown} */ (left));
}

/**
 * Puts a class in the place of Worker that holds each thread as above.
 * @param {() => { url: string, source: string }} judged the module
 * @param {Int32Array} [slots] one for each thread that lives, with the slot of its parent in it; 0 where none lives
 * @param {number} [own] the slot of this thread, 1 for the main one
 */
export function holdThreads(judged, slots = new Int32Array(new SharedArrayBuffer(4 * (mostThreads + 2))), own = 1) {
  const handleKey = sealHandles();

  /**
   * @param {string | URL} file
   * @param {any} options
   */
  const start = (file, options) => {
    const { url, source } = judged();
    const held = heldOptions(options);
    const slot = takeSlot(slots, own);
    try {
      setEnvironmentData(inheritance, /** @type {any} */ ({ slots, own: slot, url, source }));
      const isModule = url !== '' && !held.eval && addressOf(file) === url;
      const worker = construct(Worker, [isModule ? moduleEntry : file, held]);
      const handle = worker[handleKey];
      const { onexit } = handle;
      // Not by a listener, which the module could remove, or count among its own.
      define(handle, 'onexit', {
        value: (/** @type {unknown[]} */ ...how) => {
          freeSlot(slots, slot);
          onexit(...how);
        },
      });
      return worker;
    } catch (error) {
      freeSlot(slots, slot);
      throw error;
    } finally {
      setEnvironmentData(inheritance, undefined);
    }
  };
  /** @type {typeof Worker} */
  const held = new Proxy(Worker, {
    construct(_target, [file, options], newTarget) {
      const worker = start(file, options);
      if (newTarget !== held) setPrototypeOf(worker, newTarget.prototype);
      return worker;
    },
  });
  for (const [holder, name, value] of /** @type {const} */ ([
    [Worker.prototype, 'constructor', held],
    [workerThreads, 'Worker', held],
    // What a thread is to run comes to it by this.
    [MessagePort.prototype, 'postMessage', MessagePort.prototype.postMessage],
  ]))
    defineProperty(holder, name, { value, writable: false, configurable: false });
  syncBuiltinESMExports();
}

/**
 * By the native handle of a thread, a module could reach the class of these handles, and so start threads that nothing holds.
 * @returns {string | symbol} under which key a Worker has its handle
 */
function sealHandles() {
  let handleKey;
  const seen = new Error('seen');
  /** @constructor */
  function Probe() {}
  // Node gives a Worker its handle before it starts the thread, which is not started here.
  Probe.prototype = new Proxy(Worker.prototype, {
    set(_prototype, key, value, worker) {
      if (typeof value?.startThread !== 'function')
        return define(worker, key, { value, writable: true, configurable: true });
      handleKey = key;
      defineProperty(getPrototypeOf(value), 'constructor', { value: undefined, writable: false, configurable: false });
      throw seen;
    },
  });
  try {
    construct(Worker, ['', { eval: true }], Probe);
  } catch (error) {
    if (error !== seen) throw error;
  }
  if (handleKey === undefined)
    throw new Error('This Node keeps the handle of a thread elsewhere: threads cannot be held.');
  return handleKey;
}

/**
 * Each option is read once. Flags of its own it has none, and SHARE_ENV would let it change what other threads start with.
 * @param {any} options
 */
function heldOptions(options) {
  const { argv, name, stdin, stdout, stderr, trackUnmanagedFds, transferList, workerData } = options ?? {};
  const { eval: isText, env, resourceLimits } = options ?? {};
  const { maxOldGenerationSizeMb, maxYoungGenerationSizeMb, codeRangeSizeMb, stackSizeMb } = resourceLimits ?? {};
  return {
    __proto__: null,
    argv,
    name,
    stdin,
    stdout,
    stderr,
    trackUnmanagedFds,
    transferList,
    workerData,
    eval: isText,
    env: heldEnv(typeof env === 'object' && env !== null ? env : ownEnv),
    execArgv: threadFlags,
    resourceLimits: {
      __proto__: null,
      maxOldGenerationSizeMb: maxOldGenerationSizeMb < mostHeapMb ? maxOldGenerationSizeMb : mostHeapMb,
      maxYoungGenerationSizeMb: maxYoungGenerationSizeMb < mostHeapMb ? maxYoungGenerationSizeMb : undefined,
      codeRangeSizeMb,
      stackSizeMb,
    },
  };
}

/**
 * Without what would give Node flags.
 * @param {Record<string, unknown>} env
 */
function heldEnv(env) {
  /** @type {Record<string, string>} */
  const kept = /** @type {any} */ ({ __proto__: null });
  for (const name of ownKeys(env)) {
    if (typeof name !== 'string' || /^NODE_(?!ENV$)/i.test(name)) continue;
    const value = env[name];
    if (value !== undefined) kept[name] = String(/** @type {string} */ (value));
  }
  return kept;
}

/**
 * @param {string | URL} file
 * @returns {string | undefined}
 */
function addressOf(file) {
  if (typeof file !== 'string') return file?.href;
  return file.startsWith('data:') ? undefined : pathToFileURL(resolve(file)).href;
}

/**
 * @param {Int32Array} slots
 * @param {number} parent
 */
function takeSlot(slots, parent) {
  for (let slot = 2; slot < mostThreads + 2; slot++) if (compareExchange(slots, slot, 0, parent) === 0) return slot;
  throw Object.assign(new Error(`${mostThreads} threads live already, and no more are open to a kata's module`), {
    code: 'ERR_ACCESS_DENIED',
  });
}

/**
 * The threads of a thread that has ended have ended before it.
 * @param {Int32Array} slots
 * @param {number} slot
 */
function freeSlot(slots, slot) {
  if (load(slots, slot) === 0) return;
  store(slots, slot, 0);
  for (let child = 2; child < mostThreads + 2; child++) if (load(slots, child) === slot) freeSlot(slots, child);
}
