/** One call of `run`, and what goes on around it. */
export interface Run {
  /** The kind of callback from which `run` is called. */
  readonly caller: 'I/O' | 'timer' | 'immediate';
  readonly file: string;
  /** At this step the thread is held until the clock has moved by more than any short timer. */
  readonly holdAt?: string;
}

/** What one call came to. Steps stand as they were said, the caller's own doings in brackets. */
export interface RunSeen {
  readonly account: readonly Said[];
  readonly end: string;
}

export interface Said {
  readonly step: string;
  /** `I/O`, `timer`, `immediate` or `other`. */
  readonly place: string;
  /** Which callback of the loop it was; those with one number are one. */
  readonly callback: number;
}

/** What stays in the process while runs are observed. */
export interface KeptRuns {
  /** Comes back when all calls are made, and none of the module's timers and immediates is to come any more. */
  timersDone?: () => Promise<void>;
  observing?: Promise<RunSeen[]>;
}

interface Tools {
  load<Module>(name: string): Promise<Module>;
}

interface RunModule {
  run(log: (step: string) => void, file: string): Promise<void>;
}

/**
 * Calls `run` for each, one by one or side by side, and writes down what was said in which callback of the event
 * loop. It is done with one when nothing of it is under way any more, whatever it has promised. In the background it comes back at
 * once, and `kept` knows more. It is sent to the module's
 * process as text.
 */
export async function observeRuns(
  kata: RunModule,
  { runs, way }: { readonly runs: readonly Run[]; readonly way: 'one by one' | 'side by side' | 'in the background' },
  kept: KeptRuns,
  { load }: Tools,
): Promise<RunSeen[]> {
  const { createHook } = await load<typeof import('node:async_hooks')>('node:async_hooks');
  const { stat } = await load<typeof import('node:fs')>('node:fs');
  const holdMs = 3;
  const mostSteps = 30;
  const types = new Map<number, string>();
  /** What the module has begun and what has not come back. */
  const underWay = new Set<number>();
  /** Whether what is begun now is the module's. */
  let isOurs = true;
  let place = 'none';
  let callback = 0;
  let callsToCome = runs.length;
  const hook = createHook({
    init(id, type) {
      const kind = kindOf(type);
      if (kind === undefined) return;
      types.set(id, kind);
      // An open file is nothing that is to come; it lasts until garbage is collected. What is asked of it is.
      if (!isOurs && kind !== 'other' && type !== 'FILEHANDLE') underWay.add(id);
    },
    before(id) {
      const kind = types.get(id);
      if (kind === undefined) return;
      underWay.delete(id);
      place = kind;
      callback++;
    },
    destroy: (id) => void underWay.delete(id),
  }).enable();

  kept.timersDone = async () => {
    const isTimer = (id: number) => types.get(id) !== 'I/O';
    do await ours(() => new Promise((resolve) => setImmediate(resolve)));
    while (callsToCome > 0 || [...underWay].some(isTimer));
  };

  if (way !== 'in the background') return await observeAll();
  kept.observing = observeAll();
  return [];

  async function observeAll(): Promise<RunSeen[]> {
    try {
      if (way === 'side by side') return await Promise.all(runs.map(observe));
      const seen: RunSeen[] = [];
      for (const run of runs) seen.push(await observe(run));
      return seen;
    } finally {
      hook.disable();
    }
  }

  async function observe({ caller, file, holdAt }: Run): Promise<RunSeen> {
    const account: Said[] = [];
    let end = 'has not settled';
    let markers = 0;
    const say = (step: string) => {
      if (account.length < mostSteps) account.push({ step, place, callback });
    };
    const log = (step: string) => {
      say(String(step).slice(0, 200));
      if (String(step).startsWith('file: ')) setMarker();
      if (step !== holdAt) return;
      // Behind the step's own callback, so that whatever it still sets is set before the clock moves.
      ours(() => process.nextTick(hold));
    };

    const setMarker = () => {
      markers++;
      const marker = () => {
        markers--;
        say('(a timer that was set in the I/O callback)');
      };
      ours(() => setTimeout(marker, 0));
    };

    await new Promise<void>((resolve) => {
      const call = () => {
        queueMicrotask(() => say('(a microtask that was waiting)'));
        isOurs = false;
        callsToCome--;
        try {
          kata.run(log, file).then(
            () => {
              end = 'has resolved';
              say('(the promise resolves)');
            },
            (error) => (end = `has rejected with ${String(error?.code ?? error?.name)}`.slice(0, 80)),
          );
        } catch (error) {
          end = `has thrown ${String((error as Error | undefined)?.message)}`.slice(0, 80);
        }
        say('(the call returns)');
        resolve();
      };
      if (caller === 'I/O') stat(file, call);
      else if (caller === 'timer') setTimeout(call, 0);
      else setImmediate(call);
    });
    // What the module begins in its own callbacks is begun while nobody of ours is at work.
    for (let quiet = 0; quiet < 3; quiet++) {
      await ours(() => new Promise((resolve) => setImmediate(resolve)));
      if (underWay.size + markers > 0) quiet = 0;
    }
    return { account, end };
  }

  function ours<T>(begin: () => T): T {
    const before = isOurs;
    isOurs = true;
    try {
      return begin();
    } finally {
      isOurs = before;
    }
  }

  function hold() {
    const began = performance.now();
    while (performance.now() - began < holdMs);
  }

  /** The kind of a callback that the loop itself calls; undefined for what runs before it goes on. */
  function kindOf(type: string): string | undefined {
    if (['PROMISE', 'TickObject', 'Microtask'].includes(type)) return undefined;
    if (type === 'Timeout') return 'timer';
    if (type === 'Immediate') return 'immediate';
    return /^FS|^FILEHANDLE/.test(type) ? 'I/O' : 'other';
  }
}
