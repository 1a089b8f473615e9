// The judge's only code in a subject's process: it loads the module, runs what the judge sends, and answers with data. Plain
// JavaScript, so that the process starts without a transform. All that it uses is taken before the module loads, and the module
// can replace none of it; see lockdown.js. What the two say to each other is sealed; see seal.js.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire, isBuiltin, registerHooks } from 'node:module';
import { Socket } from 'node:net';
import v8 from 'node:v8';
import vm from 'node:vm';
import { readFrames, writeFrame } from './frames.js';
import { asItWas, changed, forgetOriginals, lockLanguage, lockMechanism, lockModule, takeAway } from './lockdown.js';
import { notPlain } from './plain.js';
import { Seal, keyBytes, mechanism } from './seal.js';

/** @typedef {{ name: string, message: string, stack: string, code?: string | number }} Told */
/** @typedef {{ id: string, kind: string, name: string, url: string, source: string, args: unknown, count: number, packages: string[], question: string }} Order */

/** Which descriptor the channel is. */
const channelDescriptor = 3;
/** Judges ask for little. A module could answer with more than fits into the judge's memory. */
const largestAnswerBytes = 16 * 1024 * 1024;
const largestOrderBytes = 256 * 1024 * 1024;
const longestText = 20_000;
const evaluatedName = 'evaluate.js';
/** What the host's own messages go through; what inside.ts imports comes on top of it. Each one that is locked has to be loaded. */
const builtIns = new Set(['async_hooks', 'buffer', 'events', 'fs', 'net', 'stream', 'timers']);
if (process.argv.some((need) => need.endsWith('-files'))) builtIns.add('fs/promises');

const exit = process.exit.bind(process);
const turn = setImmediate;
const threadCpuUsage = process.threadCpuUsage.bind(process);
const cpuUsage = process.cpuUsage.bind(process);
const activeResources = process.getActiveResourcesInfo.bind(process);
const memoryUsage = process.memoryUsage.bind(process);
const { deserialize, serialize } = v8;
const { compileFunction, runInNewContext } = vm;
const indirectEval = globalThis.eval;
const require = createRequire(import.meta.url);
const { setFlagsFromString } = v8;

/** The heap probe, where the heap is measured. It is here before the module, and takes what it needs for itself. */
const probe = process.argv.includes('heap') ? await import('./heap-probe.js') : undefined;
// Where each byte of the heap counts, no module uses the pool.
if (!probe) await import('./wake-pool.js');
if (process.argv.includes('write-files')) await import('./file-calls.js');
const children = process.argv.includes('child-process') ? await import('./children.js') : undefined;
if (process.argv.includes('worker')) {
  const { holdThreads, leaveFolder } = await import('./threads.js');
  leaveFolder();
  holdThreads(() => hooked);
  // The limit of this heap stays as it is. With the flag on, V8 ignores the limits that threads are given.
  setFlagsFromString('--max-old-space-size=0');
}

/** @type {Record<string, unknown>} */
let kata = {};
let isLoaded = false;
/** The judge's functions, from its `inside.ts`; they are here before the module. @type {Record<string, Function>} */
let judges = {};
/** What the judge keeps in this process from one call to the next. */
const kept = {};
/** While the turns of the event loop are watched: the CPU time of the busiest one, and when the present one began. */
const turns = { watched: false, busiestMs: 0, beganMs: 0 };
/** What a judge's function can use of this process. */
const tools = Object.freeze({
  load: async (/** @type {string} */ name) => (isBuiltin(name) ? require(name) : await import(name)),
  watch: probe?.watch,
  turns: passTurns,
  cpuMs: () => totalOf(cpuUsage()),
  timers: () => activeResources().filter((kind) => kind === 'Timeout').length,
});

/** The orders that a judge gives, by their kind. @type {Record<string, (order: Order) => unknown>} */
const orders = {
  inside: ({ source }) => loadInside(source),
  warm: async ({ packages }) => {
    for (const name of packages) await import(name);
  },
  load: ({ url, source }) => load(url, source),
  run: async ({ name, args }) => plain(await runJudges(name, args)),
  evaluate: async ({ source, args }) => plain(await evaluate(source, args)),
  turns: ({ count }) => passTurns(count),
  // The channel is still read, but no longer keeps the process alive.
  'let go': () => void socket.unref(),
  probe: (order) => measure(order),
  'held bytes': async () => {
    const gc = collector();
    // Buffers are freed beside the collection that found them unused, and the next one waits for that.
    for (const _ of [1, 2]) {
      await passTurns(1);
      gc();
    }
    const { heapUsed, external } = memoryUsage();
    return heapUsed + external;
  },
  'watch turns': () => {
    Object.assign(turns, { watched: true, busiestMs: 0, beganMs: cpuMs() });
    turn(watchTurn).unref();
  },
  'busiest turn': () => {
    watchTurn();
    turns.watched = false;
    return turns.busiestMs;
  },
};

/** The module's text, by the name under which it is loaded: Node need not find a file there, and may not read one. */
let hooked = { url: '', source: '' };
const hooks = registerHooks({
  resolve: (specifier, context, next) =>
    specifier === hooked.url ? { url: specifier, format: 'module', shortCircuit: true } : next(specifier, context),
  load: (loaded, context, next) =>
    loaded === hooked.url ? { format: 'module', source: hooked.source, shortCircuit: true } : next(loaded, context),
});

const socket = new Socket({ fd: channelDescriptor, readable: true, writable: true });
/** What comes back from the judge's side belongs to no call of the module's. */
const outside = AsyncLocalStorage.snapshot();
/** @type {Seal | undefined} */
let fromJudge;
/** @type {Seal | undefined} */
let toJudge;
readFrames(
  socket,
  largestOrderBytes,
  (frame) => {
    if (!fromJudge || !toJudge) {
      const key = new Uint8Array(keyBytes);
      key.set(frame.subarray(0, keyBytes));
      frame.fill(0);
      fromJudge = new Seal(key, 'to the subject');
      toJudge = new Seal(key, 'to the judge');
      send({ event: 'ready' });
      return;
    }
    const body = fromJudge.open(frame);
    if (body) void outside(answer, deserialize(body));
  },
  () => exit(0),
);
// The runner is gone.
socket.on('close', () => exit(0));

process.on('uncaughtExceptionMonitor', (error, origin) => send({ event: 'uncaught', origin, error: tell(error) }));
process.on('exit', (code) => send({ event: 'exit', code, stack: new Error().stack ?? '' }));

takeAway(Reflect.get(socket, '_handle'), undefined, children?.kill);
/** @param {unknown} message */
function send(message) {
  if (toJudge) writeFrame(socket, toJudge.close(serialize(message)));
}

/** @param {Order} order */
async function answer(order) {
  const { id, kind } = order;
  try {
    refuseChanges();
    const obey = orders[kind];
    if (!obey) throw new Fault(`a subject takes no order called ${kind}`);
    const value = await obey(order);
    refuseChanges();
    send({ id, value });
  } catch (error) {
    if (error instanceof Fault) {
      send({ id, fault: error.message });
      return;
    }
    const told = tell(error);
    const free = error instanceof ReferenceError && topFrame(told.stack).includes(evaluatedName);
    send(free ? { id, fault: closureFault(told.message) } : { id, error: told });
  }
}

/** What is wrong with the judge's own code. */
class Fault extends Error {}

/** A module that replaces what belongs to Node or to the language could answer in the judge's place. */
function refuseChanges() {
  const what = isLoaded ? changed() : undefined;
  if (what !== undefined) throw Object.assign(new Error(what), { name: 'ChangedBuiltIn' });
}

/** @param {unknown} value */
function plain(value) {
  const fault = notPlain(value, 'result') ?? tooLarge(value);
  if (fault !== undefined) throw new Fault(`what the judge's function returns must be plain data, but ${fault}`);
  return value;
}

/** @param {number} count */
async function passTurns(count) {
  for (let left = count; left > 0; left--) await new Promise((resolve) => turn(resolve));
}

/** Made when it is asked for: after a flag has changed, V8 no longer takes Node's own modules from the cache that came with them. */
function collector() {
  setFlagsFromString('--expose-gc');
  return /** @type {() => void} */ (runInNewContext('gc'));
}

/** What this thread has used. */
function cpuMs() {
  return totalOf(threadCpuUsage());
}

/**
 * On Linux the total is exact, while user and system apart are estimates.
 *
 * @param {{ user: number, system: number }} usage in microseconds
 */
function totalOf({ user, system }) {
  return (user + system) / 1000;
}

/** Once in each turn of the event loop; unref'd, so that the loop may sleep in between. */
function watchTurn() {
  if (!turns.watched) return;
  const now = cpuMs();
  turns.busiestMs = Math.max(turns.busiestMs, now - turns.beganMs);
  turns.beganMs = now;
  turn(watchTurn).unref();
}

/** From here on nothing of the language's and of Node's can be replaced unseen. Packages and the judge's functions are there already. */
function lockBuiltIns() {
  lockLanguage();
  for (const name of builtIns) lockModule(`node:${name}`, require(name));
  lockMechanism([
    ...mechanism,
    v8.Serializer.prototype,
    v8.DefaultSerializer.prototype,
    v8.Deserializer.prototype,
    v8.DefaultDeserializer.prototype,
  ]);
}

/** @param {string} source the judge's functions as one CommonJS text */
function loadInside(source) {
  const module = { exports: {} };
  /** @param {string} name */
  const requireLocked = (name) => {
    const exported = require(name);
    if (!isBuiltin(name)) return exported;
    builtIns.add(name.replace(/^node:/, ''));
    return asItWas(exported);
  };
  compileFunction(source, ['module', 'exports', 'require'], { filename: evaluatedName })(
    module,
    module.exports,
    requireLocked,
  );
  judges = { ...module.exports };
}

/**
 * @param {string} url
 * @param {string} source
 */
async function load(url, source) {
  lockBuiltIns();
  forgetOriginals();
  isLoaded = true;
  hooked = { url, source };
  const namespace = await import(url);
  hooks.deregister();
  const exported = Object.keys(namespace);
  kata = new Proxy(Object.freeze({ __proto__: null, ...namespace }), {
    get(target, key) {
      if (typeof key === 'symbol' || key in target || key === 'then') return Reflect.get(target, key);
      throw Object.assign(new Error(`no export named ${key}; it exports ${exported.join(', ') || 'nothing'}`), {
        name: 'MissingExport',
      });
    },
  });
  return exported;
}

/**
 * @param {string} name
 * @param {unknown} args
 */
async function runJudges(name, args) {
  const judge = judges[name];
  if (!judge) throw new Fault(`inside.ts exports no function called ${name}`);
  return await judge({ kata, args, kept, tools });
}

/**
 * @param {string} source
 * @param {unknown} args
 */
async function evaluate(source, args) {
  const run = indirectEval(`(${source})\n//# sourceURL=${evaluatedName}`);
  return await run(kata, args, kept, tools);
}

/** @param {Order} order */
async function measure({ id, question }) {
  if (!probe) throw new Fault('its README does not say "heap" among its needs, so there is no probe');
  if (question === 'collect') return await probe.collect();
  if (question === 'collect once') return await probe.collectOnce();
  if (question === 'measure') return probe.measure();
  await probe.snapshot((chunk) => send({ event: 'chunk', chunk, of: id }));
  return undefined;
}

/** @param {unknown} value */
function tooLarge(value) {
  const bytes = serialize(value).length;
  if (bytes <= largestAnswerBytes) return undefined;
  return `result is ${Math.ceil(bytes / 1024 / 1024)} MiB; more than ${largestAnswerBytes / 1024 / 1024} MiB does not come across`;
}

/** @param {string} message */
function closureFault(message) {
  const name = /^(\S+) is not defined/.exec(message)?.[1] ?? message;
  return `the judge's function uses ${name}, which does not exist in the subject's process; pass it in args`;
}

/** @param {string} stack */
function topFrame(stack) {
  return stack.split('\n').find((line) => /^\s+at /.test(line)) ?? '';
}

/** @param {string} text */
function cut(text) {
  return text.length > longestText
    ? `${text.slice(0, longestText)} [${text.length - longestText} characters left out]`
    : text;
}

/**
 * @param {unknown} error
 * @returns {Told}
 */
function tell(error) {
  if (error instanceof Error) {
    const { name, message, stack = '', code } = /** @type {Error & { code?: string | number }} */ (error);
    const cause = error.cause === undefined ? '' : `\n[cause] ${tell(error.cause).stack || tell(error.cause).message}`;
    return {
      name: cut(String(name)),
      message: cut(String(message)),
      stack: cut(String(stack) + cut(cause)),
      ...(code === undefined ? {} : { code }),
    };
  }
  let text;
  try {
    text = typeof error === 'string' ? JSON.stringify(error) : String(error);
  } catch {
    text = typeof error;
  }
  return { name: 'NonError', message: `${cut(text)} (not an Error)`, stack: '' };
}
