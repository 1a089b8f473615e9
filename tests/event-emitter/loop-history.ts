/** What is done between two turns of the event loop. `next` asks the iterator for one more. */
export type LoopStep = readonly ['emit', ...args: number[]] | readonly ['error' | 'next' | 'return' | 'abort'];
/** One iterator's life, turn by turn. */
export type LoopHistory = readonly (readonly LoopStep[])[];

interface Emitter {
  emit(event: string, ...args: unknown[]): unknown;
  on(event: string, listener: () => void): unknown;
  listenerCount(event: string): number;
}

interface LoopModule {
  readonly EventEmitter: new () => Emitter;
  // The judge knows nothing of the emitter's own type, and hands over what the same module has made.
  // oxlint-disable-next-line typescript/no-explicit-any
  on(emitter: any, event: string, options: { signal: AbortSignal }): AsyncIterator<unknown[]>;
}

interface Tools {
  load<Module>(name: string): Promise<Module>;
}

/** What one life came to. */
export interface LoopSeen {
  readonly lines: string[];
  /** Listeners that are left on the emitter and on the signal. */
  readonly left: number;
}

/**
 * Plays such histories, and tells after each turn what the iterator has answered. It is sent to the module's process as
 * text, and called in the judge's with Node's, so it uses nothing from around it.
 */
export async function playLoops(
  module: LoopModule,
  histories: readonly LoopHistory[],
  _kept: unknown,
  tools: Tools,
): Promise<LoopSeen[]> {
  const { getEventListeners } = await tools.load<typeof import('node:events')>('node:events');
  const seen: LoopSeen[] = [];
  for (const history of histories) seen.push(await playOne(history));
  return seen;

  async function playOne(turns: LoopHistory): Promise<LoopSeen> {
    const lines: string[] = [];
    const controller = new AbortController();
    const failure = Object.assign(new Error('E1'), { name: 'E1' });
    const emitter = new module.EventEmitter();
    // Somebody else's, so that an error has a listener after the iterator's has gone.
    emitter.on('error', () => undefined);
    const iterator = module.on(emitter, 'tick', { signal: controller.signal });
    let asked = 0;
    let settled: [number, string][] = [];

    for (const steps of turns) {
      for (const step of steps) perform(step);
      await new Promise((resolve) => setImmediate(resolve));
      for (const [number, answer] of settled.sort(([a], [b]) => a - b)) lines.push(`  next ${number} → ${answer}`);
      settled = [];
    }
    const left =
      emitter.listenerCount('tick') +
      emitter.listenerCount('error') -
      1 +
      getEventListeners(controller.signal, 'abort').length;
    // Whatever was left: it shall not hold anything any more.
    controller.abort();
    iterator.return?.()?.then(undefined, () => undefined);
    return { lines, left };

    function perform([kind, ...args]: LoopStep) {
      const number = asked + 1;
      lines.push(kind === 'emit' ? `emit('tick', ${args.join(', ')})` : inWords(kind, number));
      if (kind === 'emit') emitter.emit('tick', ...args);
      else if (kind === 'error') emitter.emit('error', failure);
      else if (kind === 'abort') controller.abort();
      else if (kind === 'return') iterator.return?.()?.then(undefined, () => undefined);
      else {
        asked = number;
        iterator.next().then(
          (result) => settled.push([number, result.done ? 'done' : JSON.stringify(result.value)]),
          (error) => settled.push([number, `rejects with ${error === failure ? 'E1' : String(error?.name)}`]),
        );
      }
    }

    function inWords(kind: string, number: number): string {
      if (kind === 'next') return `next ${number}`;
      return kind === 'error' ? `emit('error', E1)` : `${kind}()`;
    }
  }
}

/** How a loop was ended, how it came to its end, and the listeners that are left on the emitter and on the signal. */
export interface EndedLoop {
  readonly how: string;
  readonly end: string;
  readonly left: number;
}

/** Lets loops with `for await` come to their ends. It is sent to the module's process as text. */
export async function endLoops(module: LoopModule, _args: unknown, _kept: unknown, tools: Tools): Promise<EndedLoop[]> {
  const { getEventListeners } = await tools.load<typeof import('node:events')>('node:events');
  const ways = [
    'a loop that breaks',
    'a loop whose body throws',
    'a loop that waits, and is aborted',
    'a loop that waits, and an error comes',
    'a loop with a signal that is aborted already',
  ];
  const loops: EndedLoop[] = [];
  for (const how of ways) loops.push(await end(how));
  return loops;

  async function end(how: string): Promise<EndedLoop> {
    const controller = new AbortController();
    const { signal } = controller;
    const emitter = new module.EventEmitter();
    if (how.includes('already')) controller.abort();

    let came = 'is still waiting';
    const loop = async () => {
      for await (const [number] of iterable(emitter, signal)) {
        if (number !== 2) continue;
        if (how.includes('breaks')) break;
        throw Object.assign(new Error('of the body'), { name: 'an error of its body' });
      }
    };
    loop().then(
      () => (came = 'ended'),
      (error) => (came = `ended by ${String(error?.name)}`),
    );
    await turns();
    const numbers = how.includes('breaks') || how.includes('body') ? [1, 2, 3] : [];
    for (const number of numbers) {
      emitter.emit('tick', number);
      await turns();
    }
    if (how.includes('aborted')) controller.abort();
    if (how.includes('error comes')) emitter.emit('error', Object.assign(new Error('E1'), { name: 'E1' }));
    await turns();

    const left =
      emitter.listenerCount('tick') + emitter.listenerCount('error') + getEventListeners(signal, 'abort').length;
    const seen = { how, end: came.slice(0, 60), left };
    controller.abort();
    return seen;
  }

  function iterable(emitter: Emitter, signal: AbortSignal): AsyncIterable<unknown[]> {
    return module.on(emitter, 'tick', { signal }) as AsyncIterableIterator<unknown[]>;
  }

  async function turns() {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}
