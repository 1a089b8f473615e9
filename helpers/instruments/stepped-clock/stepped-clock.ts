import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import promises, { type scheduler as Scheduler } from 'node:timers/promises';
import { promisify } from 'node:util';

type Callback = (...args: unknown[]) => unknown;
type Wait = typeof promises.setTimeout;
/** What Node itself looks at when somebody clears a timer or starts it again. */
type NodeTimeout = NodeJS.Timeout & { _destroyed: boolean; _onTimeout: Callback | null; _idleTimeout: number };

interface Held {
  readonly timeout: NodeTimeout;
  readonly delayMs: number;
  readonly repeats: boolean;
  dueMs: number;
  readonly fire: () => void;
}

/** Timers of Node wait no longer than this. */
const longestMs = 2 ** 31 - 1;
/** After each timer a module may go on in so many turns of the event loop before the clock moves on. */
const turnsPerTimer = 5;

/** A clock that stands still from `hold()` to `release()`, and moves by `step()` alone. */
export interface SteppedClock {
  hold(): void;
  /** Moves the clock. Timers fire in the order in which they are due, each with a few turns of the event loop after it. */
  step(ms: number): Promise<void>;
  /** Lets time pass by itself again. Timers that were set since `hold()` and still wait never fire. */
  release(): void;
}

/**
 * Replaces what Node's timers and clocks are, so that a judge can move time for a module: `setTimeout` and `setInterval` (global,
 * of node:timers and of node:timers/promises), `scheduler.wait`, `AbortSignal.timeout`, `Date`, `performance.now` and
 * `process.hrtime`. Call it once, at the top level of an `inside.ts`: after the imports, which keep the real timers, and before the
 * module loads. Unless the clock is held, everything is Node's own; so are timers that were set before, immediates and the
 * timers of Node's internals. A held timer is a real Timeout that is due in 24 days, so `ref`, `unref`, `hasRef`, `clearTimeout` by
 * object or number, and counts of active timers work as always. While the clock is held, wait with `standstill`, not with `until`.
 */
export function installSteppedClock(): SteppedClock {
  const { setTimeout, setInterval, setImmediate, clearTimeout, Date: RealDate } = globalThis;
  const { now: realDateNow } = Date;
  const monotonicNow = performance.now.bind(performance);
  const hrtimeNow = process.hrtime.bigint;
  const { setTimeout: realWait, setInterval: realTicks } = promises;
  const realSchedulerWait = promises.scheduler.wait.bind(promises.scheduler);
  const realAbortTimeout = AbortSignal.timeout.bind(AbortSignal);
  const waiting = new Set<Held>();
  let isHeld = false;
  /** By how much the clock was moved since it was held. */
  let movedMs = 0;
  let heldAt = { date: 0, performance: 0, hrtime: 0n };

  const dateNow = () => (isHeld ? heldAt.date + Math.trunc(movedMs) : realDateNow());
  const performanceNow = () => (isHeld ? heldAt.performance + movedMs : monotonicNow());
  const bigintNow = () => (isHeld ? heldAt.hrtime + BigInt(Math.trunc(movedMs * 1e6)) : hrtimeNow());

  function start(real: typeof setTimeout, repeats: boolean, callback: Callback, delay: unknown, args: unknown[]) {
    const timeout = real(callback, longestMs, ...args) as NodeTimeout;
    const { refresh } = timeout;
    const ms = Number(delay);
    const delayMs = ms >= 1 && ms <= longestMs ? Math.trunc(ms) : 1;
    const within = AsyncLocalStorage.snapshot();
    const fire = () => within(() => Reflect.apply(callback, timeout, args));
    const held: Held = { timeout, delayMs, repeats, dueMs: movedMs + delayMs, fire };
    waiting.add(held);
    Object.defineProperty(timeout, 'refresh', {
      value: () => {
        // A timer that fired can start again. One that was cleared stays so.
        if (!waiting.has(held) && !isCleared.has(timeout)) {
          Object.assign(timeout, { _onTimeout: callback, _idleTimeout: longestMs });
          waiting.add(held);
        }
        held.dueMs = movedMs + delayMs;
        Reflect.apply(refresh, timeout, []);
        if (waiting.has(held) && timeout._onTimeout !== null) timeout._destroyed = false;
        return timeout;
      },
    });
    return timeout;
  }
  const isCleared = new WeakSet<object>();

  const heldTimeout = (callback: Callback, delay?: unknown, ...args: unknown[]) =>
    isHeld ? start(setTimeout, false, callback, delay, args) : setTimeout(callback, delay as number, ...args);
  const heldInterval = (callback: Callback, delay?: unknown, ...args: unknown[]) =>
    isHeld
      ? start(setInterval as typeof setTimeout, true, callback, delay, args)
      : setInterval(callback, delay as number, ...args);

  const wait = (async (delay, value, options) => {
    const { signal, ref = true } = options ?? {};
    if (!isHeld || signal?.aborted) return await realWait(delay, value, options);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timeout = heldTimeout(() => resolve(true), delay);
    if (!ref) timeout.unref();
    const abort = () => resolve(false);
    signal?.addEventListener('abort', abort, { once: true });
    const isDue = await promise;
    signal?.removeEventListener('abort', abort);
    clearTimeout(timeout);
    // Node makes the error of an aborted wait.
    return isDue ? value : await realWait(0, value, options);
  }) as Wait;

  async function* ticks(...[delay, value, options]: Parameters<typeof realTicks>) {
    if (!isHeld) return yield* realTicks(delay, value, options);
    for (;;) yield await wait(delay, value, options);
  }

  function replace(holder: object, name: string, value: unknown) {
    Object.defineProperty(holder, name, { value, writable: true, configurable: true, enumerable: true });
  }
  Object.defineProperty(heldTimeout, promisify.custom, { value: wait });
  for (const holder of [globalThis, timers]) {
    replace(holder, 'setTimeout', heldTimeout);
    replace(holder, 'setInterval', heldInterval);
  }
  replace(promises, 'setTimeout', wait);
  replace(promises, 'setInterval', ticks);
  replace(promises.scheduler, 'wait', (...[delay, options]: Parameters<typeof Scheduler.wait>) =>
    isHeld ? wait(delay, undefined, options) : realSchedulerWait(delay, options),
  );
  replace(AbortSignal, 'timeout', (delay: number) => {
    if (!isHeld) return realAbortTimeout(delay);
    const over = new AbortController();
    const late = () => over.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
    heldTimeout(late, delay).unref();
    return over.signal;
  });
  replace(performance, 'now', performanceNow);
  replace(RealDate, 'now', dateNow);
  const HeldDate = new Proxy(RealDate, {
    construct: (target, args: unknown[], made) =>
      Reflect.construct(target, args.length === 0 ? [dateNow()] : args, made) as object,
    apply: () => new RealDate(dateNow()).toString(),
  });
  replace(globalThis, 'Date', HeldDate);
  replace(RealDate.prototype, 'constructor', HeldDate);
  const hrtime = (since?: [number, number]) => {
    const ns = bigintNow() - (since ? BigInt(since[0]) * 1_000_000_000n + BigInt(since[1]) : 0n);
    return [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
  };
  replace(process, 'hrtime', Object.assign(hrtime, { bigint: bigintNow }));
  syncBuiltinESMExports();

  async function turns() {
    for (let turn = 0; turn < turnsPerTimer; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  function next(untilMs: number): Held | undefined {
    let first: Held | undefined;
    for (const held of waiting) {
      if (held.timeout._destroyed) {
        waiting.delete(held);
        isCleared.add(held.timeout);
      } else if (held.dueMs <= untilMs && held.dueMs < (first?.dueMs ?? Infinity)) first = held;
    }
    return first;
  }

  return {
    hold() {
      heldAt = { date: realDateNow(), performance: monotonicNow(), hrtime: hrtimeNow() };
      [isHeld, movedMs] = [true, 0];
    },
    async step(ms) {
      if (!isHeld) throw new Error('the clock is not held; call hold() before step()');
      const untilMs = movedMs + ms;
      await turns();
      for (let held = next(untilMs); held; held = next(untilMs)) {
        movedMs = held.dueMs;
        if (held.repeats) held.dueMs += held.delayMs;
        else {
          waiting.delete(held);
          clearTimeout(held.timeout);
        }
        // From a turn of its own, so that what it throws is uncaught, as with Node's timers.
        setImmediate(held.fire);
        await turns();
      }
      movedMs = untilMs;
    },
    release() {
      for (const { timeout } of waiting) clearTimeout(timeout);
      waiting.clear();
      isHeld = false;
    },
  };
}
