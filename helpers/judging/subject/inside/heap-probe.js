// Runs in the subject's process, beside the module. It keeps to itself what it measures with before the module is
// loaded, so that a module which patches process.memoryUsage or a timer changes nothing here.
import { createHook } from 'node:async_hooks';
import { getHeapSnapshot, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const memoryUsage = process.memoryUsage.bind(process);
const turn = setImmediate;
setFlagsFromString('--expose-gc');
const gc = /** @type {() => void} */ (runInNewContext('gc'));

/**
 * Timers that are not cleared, whether or not they keep the process alive. Those of Node itself, of its HTTP server and its
 * cached date, are made without a hold on the process; those of a module have one when they are made, or are asked for by
 * timers/promises with `ref: false`.
 */
let timers = 0;
const sample = setTimeout(() => undefined, 0);
clearTimeout(sample);
const { hasRef } = sample;
const { apply } = Reflect;
const { includes } = String.prototype;
const { deref } = WeakRef.prototype;
const { getOwnPropertyDescriptor } = Object;
/** Under which a timer has the id that async hooks know it by. */
const idKey = Object.getOwnPropertySymbols(sample).find((symbol) => symbol.description === 'asyncId') ?? 'asyncId';
/** @type {Map<number, WeakRef<object>>} */
const byId = new Map();
const [setTimer, timerOf, deleteTimer] = [byId.set.bind(byId), byId.get.bind(byId), byId.delete.bind(byId)];
createHook({
  init(id, type, _trigger, resource) {
    if (type !== 'Timeout' || !(apply(hasRef, resource, []) || isOfTimersPromises())) return;
    setTimer(id, new WeakRef(resource));
    timers += 1;
  },
  destroy(id) {
    const timer = timerOf(id);
    if (!timer || isStillListed(id, apply(deref, timer, []))) return;
    deleteTimer(id);
    timers -= 1;
  },
}).enable();

/**
 * Any code can say of any timer that it is gone: by AsyncResource.emitDestroy, or by clearTimeout of an object that looks like it.
 * One that is gone is in none of Node's lists; one that was started again after its end has another id.
 * @param {number} id
 * @param {object | undefined} timer
 */
function isStillListed(id, timer) {
  if (!timer) return false;
  const present = getOwnPropertyDescriptor(timer, idKey)?.value;
  const renewed = present === id ? undefined : timerOf(present);
  if (renewed && apply(deref, renewed, []) === timer) return false;
  const next = getOwnPropertyDescriptor(timer, '_idleNext')?.value;
  return next !== null && next !== undefined;
}

/** Whether what is made just now is asked for by timers/promises, as the stack tells. A module can change what a stack shows. */
function isOfTimersPromises() {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = 10;
  Reflect.set(Error, 'prepareStackTrace', undefined);
  const stack = new Error().stack ?? '';
  Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  return apply(includes, stack, ['node:timers/promises']);
}

/** How many objects were given to `watch`, and how many of them were collected, by name. */
/** @type {Record<string, { seen: number, collected: number }>} */
const watched = Object.create(null);
const finalisation = new FinalizationRegistry((/** @type {string} */ name) => {
  const count = watched[name];
  if (count) count.collected += 1;
});
const register = finalisation.register.bind(finalisation);

/**
 * Counts an object now, and once more when it is collected. Holds nothing of it.
 * @param {string} name
 * @param {object} object
 */
export function watch(name, object) {
  const count = (watched[name] ??= { seen: 0, collected: 0 });
  count.seen += 1;
  register(object, name);
}

/** The figures after a full collection, and after the tasks in which finalisers run. */
export async function collectOnce() {
  gc();
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => turn(resolve));
  return measure();
}

/** The same twice, since what finalisers let go can only be collected after them. */
export async function collect() {
  await collectOnce();
  return await collectOnce();
}

/** The figures as they are. */
export function measure() {
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = memoryUsage();
  const counts = Object.entries(watched).map(([name, count]) => [name, { ...count }]);
  return { rss, heapTotal, heapUsed, external, arrayBuffers, timers, watched: Object.fromEntries(counts) };
}

/**
 * Hands on a heap snapshot in the format of Chrome's DevTools.
 * @param {(chunk: Uint8Array) => void} give
 */
export async function snapshot(give) {
  gc();
  for await (const chunk of getHeapSnapshot()) give(chunk);
}
