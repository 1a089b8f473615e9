import { getEventListeners } from 'node:events';

/** One act between two turns of the event loop. `next` asks the iterator for one more event. */
export type LoopStep = readonly ['emit', ...args: number[]] | readonly ['error' | 'next' | 'return' | 'abort'];
/** The life of one iterator, turn by turn. */
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

/** What the iterator answered, and what it left behind. */
export interface LoopSeen {
  readonly lines: string[];
  /** Number of listeners left on the emitter and on the signal. */
  readonly left: number;
}

/** Plays each history with a new emitter and returns, turn by turn, what the iterator answered. */
export async function playLoops(module: LoopModule, histories: readonly LoopHistory[]): Promise<LoopSeen[]> {
  const seen: LoopSeen[] = [];
  for (const history of histories) seen.push(await playOne(history));
  return seen;

  async function playOne(turns: LoopHistory): Promise<LoopSeen> {
    const lines: string[] = [];
    const controller = new AbortController();
    const failure = Object.assign(new Error('E1'), { name: 'E1' });
    const emitter = new module.EventEmitter();
    // Another listener for errors, so that a later error event is not thrown.
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
    // Ends whatever is left, so that nothing stays pending.
    controller.abort();
    iterator.return?.()?.then(undefined, () => undefined);
    return { lines, left };

    function perform([kind, ...args]: LoopStep) {
      const number = asked + 1;
      lines.push(kind === 'emit' ? `emit('tick', ${args.join(', ')})` : inWords(kind, number));
      if (kind === 'emit') emitter.emit('tick', ...args);
      else if (kind === 'error') emitter.emit('error', failure);
      else if (kind === 'abort') controller.abort('a reason');
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
      if (kind === 'abort') return `abort('a reason')`;
      return kind === 'error' ? `emit('error', E1)` : `${kind}()`;
    }
  }
}

/** How a `for await` loop was ended, how it finished, and the number of listeners left on the emitter and on the signal. */
export interface EndedLoop {
  readonly how: string;
  readonly end: string;
  readonly left: number;
}

/** Ends `for await` loops over `on()` in five ways. */
export async function endLoops(module: LoopModule): Promise<EndedLoop[]> {
  const ways = [
    'a loop that breaks',
    'a loop whose body throws',
    'a waiting loop that is aborted',
    'a waiting loop when an error comes',
    'a loop whose signal was aborted already',
  ];
  const loops: EndedLoop[] = [];
  for (const how of ways) loops.push(await end(how));
  return loops;

  async function end(how: string): Promise<EndedLoop> {
    const controller = new AbortController();
    const { signal } = controller;
    const emitter = new module.EventEmitter();
    if (how.includes('already')) controller.abort();

    let came = 'still waiting';
    const loop = async () => {
      for await (const [number] of iterable(emitter, signal)) {
        if (number !== 2) continue;
        if (how.includes('breaks')) break;
        throw Object.assign(new Error('of the body'), { name: 'BodyError' });
      }
    };
    loop().then(
      () => (came = 'normally'),
      (error) => (came = `by ${String(error?.name)}`),
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
