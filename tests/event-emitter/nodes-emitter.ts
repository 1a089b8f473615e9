import events, { EventEmitter } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';

type Method = (this: unknown, ...args: unknown[]) => unknown;

const names = [
  'on',
  'addListener',
  'prependListener',
  'once',
  'prependOnceListener',
  'off',
  'removeListener',
  'removeAllListeners',
  'emit',
  'listenerCount',
  'listeners',
  'rawListeners',
  'eventNames',
  'setMaxListeners',
];
const prototype = EventEmitter.prototype as unknown as Record<string, Method>;
/** What Node's emitters were asked to do while somebody watches; undefined while nobody does. */
let found: Set<string> | undefined;
let isJudges: (value: unknown) => boolean = () => false;

/**
 * Makes every method of Node's emitters, and Node's `on`, record its calls. Call it before the module loads. Then the module finds only
 * recording methods, no matter which way it gets them: an import, require, `process`, a stream, or a subclass.
 */
export function instrumentNodesEmitter(): void {
  // Printing must not create the two streams while somebody watches.
  const ownEmitters = new Set<unknown>([process, process.stdout, process.stderr]);
  const record = (what: string, self: unknown, args: readonly unknown[]) => {
    // console.log and the judge's channel use these emitters, too. With an event or a listener of the judge, it is the module.
    if (ownEmitters.has(self) && !args.some(isJudges)) return;
    found?.add(what);
  };
  for (const name of names) {
    const method = prototype[name]!;
    prototype[name] = function (this: unknown, ...args: unknown[]) {
      record(`it called ${name}() of Node’s EventEmitter`, this, args);
      return Reflect.apply(method, this, args);
    };
  }
  // Each of Node's emitters gets this field when it is made, and so does every object on which Node's `on` is used.
  Object.defineProperty(prototype, '_events', {
    configurable: true,
    get: () => undefined,
    set(value) {
      record('it made an emitter of Node’s', this, []);
      Object.defineProperty(this, '_events', { value, writable: true, configurable: true, enumerable: true });
    },
  });
  const nodesOn = events.on;
  events.on = ((...args: Parameters<typeof nodesOn>) => {
    record('it called Node’s on()', undefined, args);
    return nodesOn(...args);
  }) as typeof nodesOn;
  syncBuiltinESMExports();
}

interface EmitterModule {
  readonly EventEmitter: new (options: { captureRejections: boolean }) => Emitter;
  // oxlint-disable-next-line typescript/no-explicit-any -- it takes the emitter that the same module has made
  on(emitter: any, event: string): AsyncIterator<unknown[]>;
}

interface Emitter {
  on(event: string, listener: Method): unknown;
  once(event: string, listener: () => Promise<unknown>): unknown;
  off(event: string, listener: Method): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  listenerCount(event: string): unknown;
  listeners(event: string): unknown;
}

/** Uses the module's emitter; reports whether it works at all, and what of Node's emitters took part. */
export async function watchNodesEmitter(
  module: EmitterModule,
): Promise<{ readonly works: boolean; readonly nodes: string[] }> {
  const seen = new Set<string>();
  const heard: unknown[] = [];
  const event = 'an event of the judge';
  const listener = (...args: unknown[]) => void heard.push(...args);
  const rejecting = () => {
    const rejected = Promise.reject(new Error('of the judge'));
    // A module that does not capture rejections must not end the process here.
    rejected.catch(() => undefined);
    return rejected;
  };
  isJudges = (value) =>
    value === listener || value === rejecting || (typeof value === 'string' && value.includes(event));
  found = seen;
  try {
    const emitter = new module.EventEmitter({ captureRejections: true });
    if (emitter instanceof EventEmitter) seen.add('it is, or extends, Node’s EventEmitter');
    const own = emitter as unknown as Record<string, unknown>;
    for (const name of names) if (own[name] === prototype[name]) seen.add(`its ${name}() is Node’s`);
    emitter.on(event, listener);
    emitter.emit(event, 'heard');
    emitter.off(event, listener);
    emitter.on('error', () => undefined);
    emitter.once(event, rejecting);
    emitter.emit(event);
    emitter.listenerCount(event);
    emitter.listeners(event);
    const iterated = new module.EventEmitter({ captureRejections: false });
    const iterator = module.on(iterated, event);
    void iterator.next().catch(() => undefined);
    iterated.emit(event, 'for the iterator');
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    void iterator.return?.().catch(() => undefined);
  } catch {
    // Other promises are about what it does.
  } finally {
    found = undefined;
  }
  return { works: heard[0] === 'heard', nodes: [...seen].slice(0, 3) };
}
