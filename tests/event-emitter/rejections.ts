/** A listener whose promise rejects with E1. */
export interface Rejection {
  readonly capture: boolean;
  /** Whether somebody listens for `error`. */
  readonly heard: boolean;
  /** Whether that listener rejects, too, with E2. */
  readonly stubborn?: boolean;
  readonly once?: boolean;
  /** Gives back an object with a `then` instead of a promise; it rejects at once, or in a later turn. */
  readonly thenable?: 'at once' | 'later';
}

type Listener = (error?: unknown) => unknown;

interface Emitter {
  on(event: string, listener: Listener): unknown;
  once(event: string, listener: Listener): unknown;
  emit(event: string): unknown;
}

/**
 * For each, what happened when its event was emitted, in order. It is sent to the module's process as text, and called in
 * the judge's with Node's class, so it uses nothing from around it.
 */
export async function playRejections(
  { EventEmitter }: { readonly EventEmitter: new (options: { captureRejections: boolean }) => Emitter },
  rejections: readonly Rejection[],
): Promise<string[][]> {
  const fates = ['uncaughtException', 'unhandledRejection'] as const;
  const others = fates.map((fate) => [fate, process.listeners(fate as 'uncaughtException')] as const);
  let lines: string[] = [];
  const nameOf = (error: unknown) => (error instanceof Error ? error.message : typeof error);
  // Thrown, or rejected with nobody to catch it: either ends a process that does not listen here.
  const listen = (error: unknown) => void lines.push(`nobody caught ${nameOf(error)}`);
  for (const fate of fates) process.removeAllListeners(fate).on(fate, listen);
  try {
    const all: string[][] = [];
    for (const rejection of rejections) {
      lines = [];
      reject(rejection);
      lines.push('emit has returned');
      // Long enough for who lets the loop turn, or a short timer pass, before he emits the error.
      for (let turn = 0; turn < 5; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      all.push(lines.slice(0, 8));
    }
    return all;
  } finally {
    for (const [fate, listeners] of others) {
      process.off(fate, listen);
      for (const listener of listeners) process.on(fate as 'uncaughtException', listener);
    }
  }

  function reject({ capture, heard, stubborn = false, once = false, thenable }: Rejection) {
    const emitter = new EventEmitter({ captureRejections: capture });
    let errors = 0;
    if (heard)
      emitter.on('error', (error) => {
        lines.push(`the error listener gets ${nameOf(error)}`);
        // One that goes round and round is stopped.
        return stubborn && ++errors < 5 ? Promise.reject(new Error('E2')) : undefined;
      });
    emitter[once ? 'once' : 'on']('a', () => {
      if (!thenable) return Promise.reject(new Error('E1'));
      const settle = (fail: (error: Error) => void) =>
        thenable === 'later' ? void setImmediate(fail, new Error('E1')) : fail(new Error('E1'));
      // oxlint-disable-next-line unicorn/no-thenable -- this is what it is about
      return { then: (_: unknown, fail: (error: Error) => void) => settle(fail) };
    });
    emitter.emit('a');
  }
}
