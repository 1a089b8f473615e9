// The only code of ours in a subject's process: it loads the module, runs what the test sends, and answers with data.
// Plain JavaScript, so that the process starts without a transform. It keeps to itself what it needs of the process
// before the module is loaded, and takes away what a module could use to speak in its place or to reach other
// processes: the permission model does not hold signals back.
import { createRequire, registerHooks } from 'node:module';
import v8 from 'node:v8';
import vm from 'node:vm';
import { notPlain } from './plain.js';

/** @typedef {{ name: string, message: string, stack: string, code?: string | number }} Told */

/** This process's channel to the test, kept out of reach of the module. */
const channel = Object.create(
  process,
  Object.fromEntries(['_send'].map((name) => [name, { value: Reflect.get(process, name) }])),
);
const send = /** @type {(message: unknown) => void} */ (process.send?.bind(channel));
const exit = process.exit.bind(process);
const turn = setImmediate;
const threadCpuUsage = process.threadCpuUsage.bind(process);
const cpuUsage = process.cpuUsage.bind(process);
const activeResources = process.getActiveResourcesInfo.bind(process);
const memoryUsage = process.memoryUsage.bind(process);
const { serialize, setFlagsFromString } = v8;
const { runInNewContext } = vm;
/** The judge's functions, from its `inside.ts`; they are here before the module. @type {Record<string, Function>} */
let judges = {};
const compileFunction = vm.compileFunction;
const require = createRequire(import.meta.url);
const evaluatedName = 'evaluate.js';
const cut = (/** @type {string} */ text) =>
  text.length > longestText ? `${text.slice(0, longestText)} [${text.length - longestText} characters left out]` : text;
/** What a test asks for is small; a module may answer with what would fill the memory of the one who judges it. */
const largestAnswerBytes = 16 * 1024 * 1024;
const longestText = 20_000;

/** @type {Record<string, unknown>} */
let kata = {};
/** What the test keeps in this process from one evaluate to the next. */
const kept = {};
/** While the turns of the event loop are watched: the CPU time of the busiest one, and when the present one began. */
const turns = { watched: false, busiestMs: 0, beganMs: 0 };

/** The heap probe, where the heap is measured. It is here before the module, and takes what it needs for itself. */
const probe = process.argv.includes('heap') ? await import('./heap-probe.js') : undefined;
// Where each byte of the heap counts, no module uses the pool.
if (!probe) await import('./wake-pool.js');
if (process.argv.includes('write-files')) await import('./file-calls.js');
/** What an evaluated function can use of this process: Vitest rewrites its import(), so it has none of its own. */
const tools = {
  load: (/** @type {string} */ name) => import(name),
  watch: probe?.watch,
  turns: passTurns,
  cpuMs: () => totalOf(cpuUsage()),
  timers: () => activeResources().filter((kind) => kind === 'Timeout').length,
};

process.on('uncaughtExceptionMonitor', (error, origin) => send({ event: 'uncaught', origin, error: tell(error) }));
process.on('exit', (code) => send({ event: 'exit', code, stack: new Error().stack ?? '' }));
process.on('message', (message) => void answer(/** @type {any} */ (message)));

for (const name of ['kill', '_kill', 'send', '_send', 'abort', '_debugProcess', '_debugEnd']) {
  Object.defineProperty(process, name, { value: undefined, configurable: false, writable: false });
}
// Node itself calls this one when the runner is gone.
Object.defineProperty(process, 'disconnect', { value: () => exit(0), configurable: false, writable: false });
send({ event: 'ready' });

/** @param {{ id: string, kind: string, name: string, url: string, source: string, args: unknown, count: number, packages: string[], question: string }} order */
async function answer(order) {
  try {
    if (order.kind === 'probe') {
      send({ id: order.id, value: await measure(order) });
    } else if (order.kind === 'load') {
      const exported = await load(order.url, order.source);
      send({ id: order.id, value: exported });
    } else if (order.kind === 'inside') {
      const module = { exports: {} };
      compileFunction(order.source, ['module', 'exports', 'require'], { filename: evaluatedName })(
        module,
        module.exports,
        require,
      );
      judges = { ...module.exports };
      send({ id: order.id });
    } else if (order.kind === 'warm') {
      for (const name of order.packages) await import(name);
      send({ id: order.id });
    } else if (order.kind === 'turns') {
      await passTurns(order.count);
      send({ id: order.id });
    } else if (order.kind === 'held bytes') {
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc');
      // Buffers are freed beside the collection that found them unused, and the next one waits for that.
      for (const _ of [1, 2]) {
        await new Promise((resolve) => turn(resolve));
        gc();
      }
      const { heapUsed, external } = memoryUsage();
      send({ id: order.id, value: heapUsed + external });
    } else if (order.kind === 'watch turns') {
      Object.assign(turns, { watched: true, busiestMs: 0, beganMs: cpuMs() });
      turn(watchTurn).unref();
      send({ id: order.id });
    } else if (order.kind === 'busiest turn') {
      watchTurn();
      turns.watched = false;
      send({ id: order.id, value: turns.busiestMs });
    } else {
      const value = await (order.kind === 'run'
        ? runJudges(order.name, order.args)
        : evaluate(order.source, order.args));
      const fault = notPlain(value, 'result') ?? tooLarge(value);
      if (fault === undefined) send({ id: order.id, value });
      else send({ id: order.id, fault: `what the judge's function returns must be plain data, but ${fault}` });
    }
  } catch (error) {
    const told = tell(error);
    const free = error instanceof ReferenceError && topFrame(told.stack).includes(evaluatedName);
    send(free ? { id: order.id, fault: closureFault(told.message) } : { id: order.id, error: told });
  }
}

/** @param {number} count */
async function passTurns(count) {
  for (let left = count; left > 0; left--) await new Promise((resolve) => turn(resolve));
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

/**
 * @param {string} url
 * @param {string} source
 */
async function load(url, source) {
  const hooks = registerHooks({
    load: (loaded, context, next) =>
      loaded === url ? { format: 'module', source, shortCircuit: true } : next(loaded, context),
  });
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
 * @param {string} source
 * @param {unknown} args
 */
async function evaluate(source, args) {
  const run = (0, eval)(`(${source})\n//# sourceURL=${evaluatedName}`);
  return await run(kata, args, kept, tools);
}

/**
 * @param {string} name
 * @param {unknown} args
 */
async function runJudges(name, args) {
  const judge = judges[name];
  if (!judge) throw new Error(`inside.ts exports no function called ${name}`);
  return await judge({ kata, args, kept, tools });
}

/** @param {{ id: string, question: string }} order */
async function measure({ id, question }) {
  if (!probe) throw new Error('its README does not say "heap" among its needs, so there is no probe');
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
