// Written with a constructor function and a prototype, as before ES2015 and as in Node's own class.
// oxlint-disable typescript/no-explicit-any

import type { Emitter, EmitterOptions, IteratorOptions } from '../../../../katas/event-emitter/event-emitter.ts';

type Name = string | symbol;
type Wrapped = ((...args: any[]) => any) & { listener?: (...args: any[]) => any };

interface State {
  _listeners: Record<Name, Wrapped[] | undefined>;
  _limit: number;
  _warned: Record<Name, boolean>;
  _capture: boolean;
}

function Constructor(this: State, options?: EmitterOptions) {
  this._listeners = Object.create(null);
  this._warned = Object.create(null);
  this._limit = 10;
  this._capture = options?.captureRejections === true;
}

Constructor.prototype.on = function (this: any, event: Name, listener: Wrapped) {
  if (typeof listener !== 'function') throw new TypeError('listener is not a function');
  if (this._listeners.newListener) this.emit('newListener', event, listener.listener || listener);
  const before = this._listeners[event] || [];
  // Copied here, so that emit does not have to copy.
  const after = (this._listeners[event] = before.concat(listener));
  if (this._limit > 0 && after.length > this._limit && !this._warned[event]) {
    this._warned[event] = true;
    process.emitWarning(`Possible leak: ${after.length} listeners of ${String(event)}`, {
      type: 'MaxListenersExceededWarning',
      detail: 'setMaxListeners() raises the limit',
    });
  }
  return this;
};

Constructor.prototype.once = function (this: any, event: Name, listener: Wrapped) {
  if (typeof listener !== 'function') throw new TypeError('listener is not a function');
  let called = false;
  const wrapped: Wrapped = (...args) => {
    if (called) return undefined;
    called = true;
    this.off(event, wrapped);
    return listener.apply(this, args);
  };
  wrapped.listener = listener;
  return this.on(event, wrapped);
};

Constructor.prototype.off = function (this: any, event: Name, listener: Wrapped) {
  const before: Wrapped[] = this._listeners[event] || [];
  const index = before.findLastIndex((one) => one === listener || one.listener === listener);
  if (index === -1) return this;
  const original = before[index]!.listener || before[index];
  if (before.length === 1) delete this._listeners[event];
  else this._listeners[event] = before.slice(0, index).concat(before.slice(index + 1));
  this.emit('removeListener', event, original);
  return this;
};

Constructor.prototype.emit = function (this: any, event: Name, ...args: any[]) {
  const listeners: Wrapped[] | undefined = this._listeners[event];
  if (!listeners) {
    if (event !== 'error') return false;
    throw args[0] instanceof Error ? args[0] : Object.assign(new Error('Unhandled error'), { context: args[0] });
  }
  for (const listener of listeners) {
    const answer = listener.apply(this, args);
    if (this._capture && answer && typeof answer.then === 'function') {
      answer.then(undefined, (error: unknown) => setImmediate(capture, this, error));
    }
  }
  return true;
};

function capture(emitter: any, error: unknown) {
  emitter._capture = false;
  try {
    emitter.emit('error', error);
  } finally {
    emitter._capture = true;
  }
}

Constructor.prototype.listenerCount = function (this: any, event: Name) {
  return (this._listeners[event] || []).length;
};

Constructor.prototype.listeners = function (this: any, event: Name) {
  return (this._listeners[event] || []).map((one: Wrapped) => one.listener || one);
};

Constructor.prototype.setMaxListeners = function (this: any, limit: number) {
  this._limit = limit;
  return this;
};

export const EventEmitter = Constructor as unknown as new (options?: EmitterOptions) => Emitter;

/** Two queues: events that nobody has asked for yet, and calls of next() that are still waiting. */
export function on(emitter: Emitter, event: Name, options: IteratorOptions = {}): AsyncIterableIterator<any> {
  const { signal } = options;
  if (signal?.aborted) throw Object.assign(new Error('aborted'), { name: 'AbortError', cause: signal.reason });
  const events: any[] = [];
  const askers: { resolve(result: IteratorResult<any>): void; reject(error: unknown): void }[] = [];
  let error: { value: unknown } | null = null;
  let done = false;

  function onEvent(...args: any[]) {
    if (askers.length > 0) askers.shift()!.resolve({ value: args, done: false });
    else events.push(args);
  }
  function onError(value: unknown) {
    if (askers.length > 0) askers.shift()!.reject(value);
    else error = { value };
    finish();
  }
  function onAbort() {
    onError(Object.assign(new Error('aborted'), { name: 'AbortError' }));
  }
  function finish(): IteratorResult<any> {
    done = true;
    emitter.off(event, onEvent);
    emitter.off('error', onError);
    if (signal) signal.removeEventListener('abort', onAbort);
    while (askers.length > 0) askers.shift()!.resolve({ value: undefined, done: true });
    return { value: undefined, done: true };
  }

  emitter.on(event, onEvent);
  emitter.on('error', onError);
  if (signal) signal.addEventListener('abort', onAbort, { once: true });

  return {
    next() {
      if (events.length > 0) return Promise.resolve({ value: events.shift(), done: false });
      if (error) {
        const { value } = error;
        error = null;
        return Promise.reject(value);
      }
      if (done) return Promise.resolve({ value: undefined, done: true });
      return new Promise((resolve, reject) => askers.push({ resolve, reject }));
    },
    return() {
      return Promise.resolve(finish());
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
