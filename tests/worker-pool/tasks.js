// The judge gives this file to the pool. Its default export is what the threads run. It notes on a board that is shared with the
// judge what happens: in cell 0 how many tasks run, in 1 how many ran at once at most, in 2 how many have begun, and from `at` on
// the task's own cells: as which one it began, in which thread, whether it may end, and how often an endless one went round, or
// whether the thread of one that blocked it, or went on, has gone on since.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';

/** @typedef {{ deed: string, board: Int32Array, at: number, value?: any }} Order */

/** What this thread returns again and again. */
const own = Uint8Array.from({ length: 8 }, (_, index) => index);

/** @type {Record<string, (order: Order) => unknown>} */
const deeds = {
  echo: ({ value }) => value,
  later: async ({ value }) => await value,
  /** Runs until it is told to end, while its thread is free to hear other messages. */
  hold: async ({ board, at, value }) => {
    while (Atomics.load(board, at + 2) === 0) await sleep(1);
    return value;
  },
  /** The same in a thread that hears nothing meanwhile. */
  block: ({ board, at, value }) => {
    Atomics.wait(board, at + 2, 0);
    // By then its result has been sent.
    setImmediate(() => {
      Atomics.store(board, at + 3, 1);
      Atomics.notify(board, at + 3);
    });
    return value;
  },
  /** The same in native code, which nothing interrupts: until whoever writes to the named pipe closes it. */
  'read a pipe': ({ value }) => readFileSync(value, 'utf8'),
  spin: ({ board, at }) => {
    for (;;) Atomics.add(board, at + 3, 1);
  },
  throw: ({ value }) => {
    throw made(value);
  },
  reject: async ({ value }) => {
    await sleep(1);
    throw made(value);
  },
  'return a function': () => () => undefined,
  exit: ({ value }) => process.exit(value),
  'exit later': async ({ value }) => {
    await sleep(1);
    process.exit(value);
  },
  'throw in a timer': () => {
    setTimeout(() => {
      throw new Error('thrown in a timer');
    });
    return new Promise(() => undefined);
  },
  'reject unheard': () => {
    void Promise.reject(new Error('nobody hears this'));
    return new Promise(() => undefined);
  },
  /** Does the same, and goes on until it is told to end, if its thread lives. */
  'throw in a timer and go on': (order) => {
    setTimeout(() => {
      throw new Error('thrown in a timer');
    });
    return goOn(order);
  },
  'reject unheard and go on': (order) => {
    void Promise.reject(new Error('nobody hears this'));
    return goOn(order);
  },
  'take all memory': () => {
    // In a few steps, since V8 tries hard to find room before it gives up; and so that it cannot leave the arrays out.
    /** @type {number[][]} */
    const all = (/** @type {any} */ (globalThis).all = []);
    // oxlint-disable-next-line unicorn/no-new-array -- the quickest way to a large array
    for (;;) all.push(new Array(1_000_000).fill(1.5));
  },
  /** Returns at once. Its thread ends when it is told to. */
  'exit when told': ({ board, at, value }) => {
    const look = () => (Atomics.load(board, at + 2) === 0 ? setTimeout(look, 1) : process.exit());
    look();
    return value;
  },
  /** How many bytes it got, and their sum. */
  add: ({ value }) =>
    value.map((/** @type {ArrayBuffer} */ buffer) => [
      buffer.byteLength,
      new Uint8Array(buffer).reduce((sum, byte) => sum + byte, 0),
    ]),
  /** Something of its own, which it needs again. */
  keep: ({ value }) =>
    ({ buffer: own.buffer, view: own, part: own.subarray(2, 5), nested: { list: [own.buffer] } })[
      /** @type {'buffer' | 'view' | 'part' | 'nested'} */ (value)
    ],
};

/** @param {Order} order */
async function goOn({ board, at, value }) {
  while (Atomics.load(board, at + 2) === 0) await sleep(1);
  // By then its result has been sent.
  setImmediate(() => Atomics.store(board, at + 3, 1));
  return value;
}

/** @param {string} what */
function made(what) {
  if (what === 'undefined') return undefined;
  if (what === 'a function') return () => undefined;
  if (what === 'an error with a function as its cause') return new Error(what, { cause: () => undefined });
  return what.startsWith('text ') ? what : new TypeError(what, { cause: { what } });
}

/** @param {Order} order */
// oxlint-disable-next-line import/no-default-export -- the README says so: a pool calls the default export
export default function run(order) {
  const { board, at, deed } = order;
  const running = Atomics.add(board, 0, 1) + 1;
  for (let most = 0; (most = Atomics.load(board, 1)) < running;) Atomics.compareExchange(board, 1, most, running);
  Atomics.store(board, at, Atomics.add(board, 2, 1) + 1);
  Atomics.store(board, at + 1, threadId);
  const end = () => Atomics.sub(board, 0, 1);
  let result;
  try {
    result = /** @type {(order: Order) => unknown} */ (deeds[deed])(order);
  } catch (error) {
    end();
    throw error;
  }
  if (!(result instanceof Promise)) {
    end();
    return result;
  }
  return result.finally(end);
}
