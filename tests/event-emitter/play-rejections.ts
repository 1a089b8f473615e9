/** An emitter whose listener for the event `a` rejects with E1. */
export interface Rejection {
  readonly capture: boolean;
  /** When somebody listens for `error`. Where it is `later`, the event is emitted twice and the listener comes in between. */
  readonly heard: 'always' | 'never' | 'later';
  /** The event that is emitted; `a` where nothing is said. An `error` is emitted with E0. */
  readonly event?: 'error';
  /** The error listener rejects as well, with E2, or emits `b`, whose listener rejects with E2. */
  readonly errorListener?: 'rejects' | 'emits b';
  readonly once?: boolean;
  /** A second listener rejects as well, also with E1, and the event is emitted twice. */
  readonly twoReject?: boolean;
  /** The listener returns something else with `then` than a promise: an object that rejects at once or in a later turn, or a function. */
  readonly thenable?: 'at once' | 'later' | 'a function';
}

type Listener = (error?: unknown) => unknown;

interface Emitter {
  on(event: string, listener: Listener): unknown;
  once(event: string, listener: Listener): unknown;
  emit(event: string, ...args: unknown[]): unknown;
}

interface EmitterModule {
  readonly EventEmitter: new (options: { captureRejections: boolean }) => Emitter;
}

const fates = ['uncaughtException', 'unhandledRejection'] as const;

/** For each, what happened when its event was emitted, in order. */
export async function playRejections(
  { EventEmitter }: EmitterModule,
  rejections: readonly Rejection[],
): Promise<string[][]> {
  let lines: string[] = [];
  // Either ends a process that does not listen for it.
  const uncaught = (error: unknown) => void lines.push(`nobody catches ${nameOf(error)}`);
  const others = fates.map((fate) => [fate, process.listeners(fate as 'uncaughtException')] as const);
  for (const fate of fates) process.removeAllListeners(fate).on(fate, uncaught);
  try {
    const all: string[][] = [];
    for (const rejection of rejections) {
      lines = [];
      await play(rejection);
      all.push(lines.slice(0, 10));
    }
    return all;
  } finally {
    for (const [fate, listeners] of others) {
      process.off(fate, uncaught);
      for (const listener of listeners) process.on(fate as 'uncaughtException', listener);
    }
  }

  async function play(rejection: Rejection) {
    const { capture, heard, event = 'a', errorListener, once = false, twoReject = false, thenable } = rejection;
    const emitter = new EventEmitter({ captureRejections: capture });
    let errors = 0;
    const listenForErrors = () => {
      lines.push("on('error', listener)");
      emitter.on('error', (error) => {
        lines.push(`  the error listener gets ${nameOf(error)}`);
        // The limit ends a loop of an emitter that captures the error listener's own rejections.
        if (errorListener === undefined || ++errors >= 5) return undefined;
        return errorListener === 'rejects' ? Promise.reject(new Error('E2')) : void emitter.emit('b');
      });
    };
    const emit = async () => {
      lines.push(`emit('${event}')`);
      emitter.emit(event, ...(event === 'error' ? [new Error('E0')] : []));
      lines.push('  emit returns');
      await someTurns();
    };

    emitter[once ? 'once' : 'on']('a', () => rejecting(thenable));
    emitter.on('b', () => Promise.reject(new Error('E2')));
    if (twoReject) emitter.on('a', () => rejecting(thenable));
    if (heard === 'always') listenForErrors();
    await emit();
    if (heard === 'later') listenForErrors();
    if (heard === 'later' || twoReject) await emit();
  }
}

function rejecting(thenable: Rejection['thenable']): PromiseLike<never> | object {
  const error = new Error('E1');
  if (thenable === undefined) return Promise.reject(error);
  const reject = (fail: (error: Error) => void) => (thenable === 'later' ? setImmediate(fail, error) : fail(error));
  const then = (_: unknown, fail: (error: Error) => void) => void reject(fail);
  // oxlint-disable-next-line unicorn/no-thenable -- the promise is about objects like this one
  return thenable === 'a function' ? Object.assign(() => undefined, { then }) : { then };
}

/** Long enough for a module that emits the error a turn later, or after a short timer. */
async function someTurns() {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.message : typeof error;
}
