// What a kata's module must not reach or change in its own process. Runs before the module. Node's permission model does not
// hold what is taken away here. Plain JavaScript, so that it starts without a transform.
import nodeModule, { syncBuiltinESMExports } from 'node:module';
import v8 from 'node:v8';

// To import them would load the parts of them that Node leaves until they are used.
const fs = process.getBuiltinModule('node:fs');
const os = process.getBuiltinModule('node:os');
const asyncHooks = process.getBuiltinModule('node:async_hooks');
const { defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, preventExtensions } = Object;
const { ownKeys } = Reflect;

/** @param {string} name */
export const refusal = (name) =>
  Object.assign(new Error(`${name} is not open to a kata's module`), { code: 'ERR_ACCESS_DENIED' });

/**
 * @param {object} holder
 * @param {string | symbol} name
 * @param {unknown} value
 */
function fix(holder, name, value) {
  defineProperty(holder, name, { value, writable: false, configurable: false });
}

/** What was taken away, by where it was. @type {Map<object, PropertyDescriptorMap>} */
const taken = new Map();

/**
 * @param {object} holder
 * @param {string} name
 */
function keep(holder, name) {
  taken.set(holder, { ...taken.get(holder), [name]: { value: Reflect.get(holder, name) } });
}

/**
 * A module of Node's for the judge's own functions: with what a kata's module must not have.
 * What they set there, the kata's module sees.
 * @param {any} exported
 */
export function asItWas(exported) {
  const originals = taken.get(exported);
  if (!originals) return exported;
  return new Proxy(Object.create(exported, originals), {
    set: (_own, name, value) => Reflect.set(exported, name, value),
  });
}

/** From here on nobody gets them back: a module can import this file, and would have the same Map. */
export function forgetOriginals() {
  taken.clear();
}

/**
 * Each of these writes, signals or reads what the permission model does not look at.
 * @param {object} channel the native handle of the channel to the judge, of the class of all Unix sockets
 * @param {boolean} [writesFiles]
 * @param {Function} [kill] stands in for process.kill, where a module may start processes
 */
export function takeAway(channel, writesFiles = process.argv.includes('write-files'), kill) {
  fix(process, 'kill', kill);
  // Signals, the inspector, other users, and the handles that the judge's channel is one of.
  for (const name of [
    '_kill',
    'execve',
    'abort',
    '_debugProcess',
    '_debugEnd',
    '_getActiveHandles',
    '_getActiveRequests',
    'setuid',
    'seteuid',
    'setgid',
    'setegid',
    'setgroups',
    'initgroups',
  ]) {
    fix(process, name, undefined);
  }
  for (const [holder, prefix, names] of /** @type {const} */ ([
    // Some of V8's flags write to any file; queryObjects shows what is in an object that is nobody's but ours.
    [v8, 'v8', ['setFlagsFromString', 'setHeapSnapshotNearHeapLimit', 'queryObjects']],
    // They show each promise before the one who awaits it sees what it carries; so do v8.promiseHooks, which Node uses itself.
    [asyncHooks, 'async_hooks', ['createHook']],
    // They copy links, and write through them.
    [fs, 'fs', ['cp', 'cpSync']],
    // Without a folder to write to it can do nothing, and to look at fs.promises takes 3 ms.
    [writesFiles ? fs.promises : {}, 'fs.promises', ['cp']],
    [os, 'os', ['setPriority']],
    // The judge's own imports would go through them.
    [nodeModule, 'module', ['register', 'registerHooks']],
  ])) {
    for (const name of names) {
      if (!(name in holder)) continue;
      keep(holder, name);
      const refuse = () => {
        throw refusal(`${prefix}.${name}`);
      };
      fix(holder, name, prefix === 'fs.promises' ? async () => refuse() : refuse);
    }
  }
  fix(v8, 'promiseHooks', undefined);
  // With the network open, Node opens any Unix socket: an engine's, an SSH agent's. Windows calls them pipes.
  for (const name of ['connect', 'connect2', 'bind', 'bind2'])
    fix(getPrototypeOf(channel), name, () => {
      throw refusal('A Unix socket');
    });
  syncBuiltinESMExports();
}

/**
 * What Node and V8 make when it is first looked at, if only at its descriptor: undici takes 70 ms, Web Crypto and Temporal 6 each.
 * Nothing of the judge's uses these, so they may be replaced.
 */
const madeLate =
  /^(?:CloseEvent|ErrorEvent|EventSource|FormData|Headers|MessageEvent|Request|Response|WebSocket|Crypto|CryptoKey|SubtleCrypto|Temporal|toTemporalInstant|BroadcastChannel|\w+QueuingStrategy|\w+Stream\w*)$/;

/** Globals of Node and of the language, and the methods of the language's own objects, stay as they are. */
export function lockLanguage() {
  const seen = new Set();
  // What libraries set by assignment on objects that inherit from these; they are watched instead.
  const open = new Set([Object.prototype, Function.prototype, Error.prototype]);
  /**
   * @param {any} value
   * @param {boolean} [isExtended] a class of the old kind inherits from it, and sets a constructor, a name or a message of its own
   */
  const lockAll = (value, isExtended = false) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return;
    seen.add(value);
    // Once it has been touched at all, V8 splits text by a pattern 60 times slower.
    if (value === RegExp.prototype) {
      watch(value, 'prototype of RegExp', true);
      return;
    }
    if (open.has(value)) {
      watch(value, 'prototype of ' + value.constructor.name);
      return;
    }
    if (!isExtended) {
      freeze(value);
      return;
    }
    lock(value, ownKeys(value));
    preventExtensions(value);
  };
  // Error's own properties are set by many packages. What it counts as an error is not among them.
  fix(Error, Symbol.hasInstance, Function.prototype[Symbol.hasInstance]);
  const generators = [function* () {}, async function* () {}, async () => undefined];
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (madeLate.test(name)) continue;
    const descriptor = getOwnPropertyDescriptor(globalThis, name);
    if (!descriptor?.configurable || name === 'process') continue;
    if (isLanguage(name)) {
      const value = descriptor.value;
      if (typeof value === 'function' || typeof value === 'object') {
        lockAll(name === 'Error' ? undefined : value);
        if (typeof value === 'function') lockAll(value.prototype, name === 'Array' || name.endsWith('Error'));
      }
    } else if (typeof descriptor.value === 'function' && descriptor.value.prototype) {
      watch(descriptor.value.prototype, `${name}.prototype`);
      watch(descriptor.value, name);
    }
    defineProperty(
      globalThis,
      name,
      'value' in descriptor ? { writable: false, configurable: false } : { configurable: false },
    );
  }
  lock(process, ['nextTick', 'hrtime', 'cpuUsage', 'threadCpuUsage', 'memoryUsage', 'getActiveResourcesInfo']);
  watch(getPrototypeOf(performance), 'Performance.prototype');
  lock(performance, ownKeys(performance));
  preventExtensions(performance);
  for (const value of [
    getPrototypeOf(Int8Array),
    getPrototypeOf(Int8Array.prototype),
    getPrototypeOf([][Symbol.iterator]()),
    getPrototypeOf(getPrototypeOf([][Symbol.iterator]())),
    getPrototypeOf(new Map()[Symbol.iterator]()),
    getPrototypeOf(new Set()[Symbol.iterator]()),
    getPrototypeOf(''[Symbol.iterator]()),
    ...generators.flatMap((make) => [getPrototypeOf(make), getPrototypeOf(make).prototype]),
  ])
    lockAll(value);
}

/** @param {string} name */
function isLanguage(name) {
  return (
    /^[A-Z]/.test(name) &&
    /^(?:Array|ArrayBuffer|SharedArrayBuffer|Atomics|BigInt|Boolean|DataView|Date|Error|FinalizationRegistry|Function|Iterator|JSON|Map|Math|Number|Object|Promise|Proxy|Reflect|RegExp|Set|String|Symbol|WeakMap|WeakRef|WeakSet|\w+Array|\w+Error)$/.test(
      name,
    )
  );
}

/**
 * What a module of Node's exports stays as it is; the methods of its classes are watched.
 * @param {string} name
 * @param {any} exported
 */
export function lockModule(name, exported) {
  // Node itself sets properties of the process when it ends; lockLanguage has what matters of it.
  if ((typeof exported !== 'object' && typeof exported !== 'function') || exported === process) return;
  freeze(exported);
  for (const key of ownKeys(exported)) {
    const made = getOwnPropertyDescriptor(exported, key)?.value;
    if (!made?.prototype || typeof made.prototype !== 'object') continue;
    watch(made.prototype, `${String(key)}.prototype of ${name}`);
    watch(made, `${String(key)} of ${name}`);
  }
  if (typeof exported === 'function' && exported.prototype) watch(exported.prototype, `the prototype of ${name}`);
}

/**
 * What the host makes its messages by stays as it is, with all that it inherits from.
 * @param {object[]} prototypes
 */
export function lockMechanism(prototypes) {
  for (const prototype of prototypes) {
    freeze(prototype);
    for (let next = getPrototypeOf(prototype); next !== null; next = getPrototypeOf(next))
      watch(next, "a class behind the judge's messages");
  }
}

/**
 * @param {object} holder
 * @param {(string | symbol)[]} keys
 */
function lock(holder, keys) {
  for (const key of keys) {
    if (typeof key === 'string' && madeLate.test(key)) continue;
    const descriptor = getOwnPropertyDescriptor(holder, key);
    if (!descriptor?.configurable) continue;
    // Libraries set these by assignment on what inherits from here.
    if (
      key === 'constructor' ||
      key === 'name' ||
      key === 'message' ||
      (key === 'toString' && holder instanceof Error)
    ) {
      watched.push([holder, 'an object of the language', key, descriptor]);
      continue;
    }
    defineProperty(
      holder,
      key,
      'value' in descriptor ? { writable: false, configurable: false } : { configurable: false },
    );
  }
}

/** What is compared: a holder, its name, a key, and the value or the accessors that it had. @type {[object, string, string | symbol, PropertyDescriptor][]} */
const watched = [];
const watchedHolders = new Set();

/** What things can be added to, and which keys it had. @type {[object, string, Set<string | symbol>][]} */
const extensible = [];

/**
 * Nothing can be added to it, and what is replaced in it is seen. A class's settings, such as Buffer.poolSize, are the module's own.
 * @param {object} holder
 * @param {string} name
 * @param {boolean} [staysExtensible] what is added is seen, too
 */
function watch(holder, name, staysExtensible = false) {
  if (watchedHolders.has(holder)) return;
  watchedHolders.add(holder);
  if (staysExtensible) extensible.push([holder, name, new Set(ownKeys(holder))]);
  else preventExtensions(holder);
  const isClass = typeof holder === 'function';
  for (const key of ownKeys(holder)) {
    if (typeof key === 'string' && madeLate.test(key)) continue;
    const descriptor = getOwnPropertyDescriptor(holder, key);
    if (!descriptor?.configurable || (isClass && 'value' in descriptor && typeof descriptor.value !== 'function'))
      continue;
    watched.push([holder, name, key, descriptor]);
  }
}

/**
 * What the module has put in the place of something of Node's or of the language's, if it has.
 * @returns {string | undefined} for example `emit, in EventEmitter.prototype of node:events`
 */
export function changed() {
  for (const [holder, name, key, before] of watched) {
    const now = getOwnPropertyDescriptor(holder, key);
    if (now && now.value === before.value && now.get === before.get && now.set === before.set) continue;
    return `${String(key)}, in ${name}`;
  }
  for (const [holder, name, before] of extensible) {
    const added = ownKeys(holder).find((key) => !before.has(key));
    if (added !== undefined) return `${String(added)}, in ${name}`;
  }
  return undefined;
}
