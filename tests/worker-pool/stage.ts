import { inspect, isDeepStrictEqual } from 'node:util';
import type { Transferable, Worker } from 'node:worker_threads';
import type * as Kata from '../../katas/worker-pool/worker-pool.ts';

/** What is wrong, in words for the module's author. */
class Fault extends Error {}

/** What a promise was broken by. */
export function fault(sentence: string): never {
  throw new Fault(sentence);
}

export interface Call {
  /** How a message names it. */
  readonly name: string;
  /** Where its cells begin on the board. */
  readonly at: number;
  readonly board: Int32Array;
  readonly controller: AbortController;
  outcome?: { readonly value: unknown } | { readonly reason: unknown };
}

interface Extras {
  readonly value?: unknown;
  readonly name?: string;
  readonly transfer?: Transferable[];
  readonly controller?: AbortController;
  /** Given to run in the place of an order that tasks.js understands. */
  readonly data?: unknown;
  /** Called at the moment in which the caller hears of the end. */
  readonly onSettled?: () => void;
}

let patienceMs = 4_000;
export const pollMs = 2;
/** Node's own, also while the clock of the process is held. */
const { setTimeout: realTimeout } = globalThis;
const nowMs = performance.now.bind(performance);
export const sleep = async (ms: number) => await new Promise<void>((resolve) => void realTimeout(resolve, ms));
/** The cells before it count for all tasks; each task has four from there on. */
const firstCell = 4;
const newBoard = () => new Int32Array(new SharedArrayBuffer(4 * 4096));

/** A process that uses less than this share of a processor, over all of its threads, has nothing to do, or does not get one. */
const idleShare = 0.1;
/** And one that uses more than this has a thread at work. On a busy machine such moments are far apart. */
const workShare = 0.5;
/** What does not come in so much idle time, without a moment of work, does not come at all. */
const idleLimitMs = 1_000;
/** How much of its time counts: it may be a module that hangs, or a machine that is busy. */
const idleWeight = 0.25;

/** Waits for a state, and says whether it came. The time in which this process gets no processor hardly counts. */
export async function becomes(holds: () => boolean): Promise<boolean> {
  for (let spentMs = 0, idleMs = 0; !holds();) {
    if (spentMs > patienceMs || idleMs > Math.min(idleLimitMs, patienceMs / 2)) return false;
    const [before, cpu] = [nowMs(), process.cpuUsage()];
    await sleep(pollMs);
    const [ms, { user, system }] = [nowMs() - before, process.cpuUsage(cpu)];
    const share = (user + system) / 1000 / ms;
    const counted = Math.min(ms, 5 * pollMs);
    spentMs += share < idleShare ? idleWeight * counted : counted;
    if (share > workShare) idleMs = 0;
    else if (share < idleShare) idleMs += counted;
  }
  return true;
}

/** Runs `play` with pools of the module's, and says what was wrong. Waits in this process take at most `limitMs` from then on. */
export async function onStage(
  kata: typeof Kata,
  { file, limitMs }: { readonly file: string; readonly limitMs: number },
  threads: Worker[],
  play: (stage: Stage) => Promise<void>,
): Promise<string | undefined> {
  patienceMs = limitMs;
  const stage = new Stage(kata, file, threads);
  try {
    return await faultOf(() => play(stage));
  } finally {
    await stage.end();
  }
}

/** Says what was wrong in this part. */
export async function faultOf(part: () => Promise<void>): Promise<string | undefined> {
  try {
    await part();
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error.message;
    throw error;
  }
}

/** A pool at work, seen from its caller and, by the board, from its tasks. */
export class Stage {
  readonly #kata: typeof Kata;
  readonly #file: string;
  /** All threads that were ever started in this process, and how many of them came before this stage. */
  readonly #allThreads: Worker[];
  #earlier: number;
  #pools: Kata.WorkerPool[] = [];
  #board = newBoard();
  #nextCell = firstCell;
  #calls: Call[] = [];
  #size = 0;
  #fault: unknown;

  constructor(kata: typeof Kata, file: string, threads: Worker[]) {
    this.#kata = kata;
    this.#file = file;
    this.#allThreads = threads;
    this.#earlier = threads.length;
  }

  /** Opens a new pool, with a new board. */
  open(size: number, file = this.#file): Kata.WorkerPool {
    this.#earlier = this.#allThreads.length;
    this.#calls = [];
    this.renewBoard();
    this.#size = size;
    const pool = this.#kata.createWorkerPool(file, { size });
    this.#pools.push(pool);
    return pool;
  }

  /** Tasks that were killed still count as running on the old board. */
  renewBoard(): void {
    this.#board = newBoard();
    this.#nextCell = firstCell;
  }

  get pool(): Kata.WorkerPool {
    return this.#pools.at(-1)!;
  }

  /** The threads that were started for this pool. */
  get threads(): Worker[] {
    return this.#allThreads.slice(this.#earlier);
  }

  get living(): Worker[] {
    return this.threads.filter(({ threadId }) => threadId !== -1);
  }

  /** How many tasks run, by their own account. */
  get running(): number {
    return Atomics.load(this.#board, 0);
  }

  get most(): number {
    return Atomics.load(this.#board, 1);
  }

  get begun(): number {
    return Atomics.load(this.#board, 2);
  }

  /** Has the pool run a task. */
  run(deed: string, { value, name = deed, transfer, controller, data, onSettled }: Extras = {}): Call {
    const [board, at] = [this.#board, this.#nextCell];
    this.#nextCell += 4;
    const order = data ?? { deed, board, at, value };
    const call: Call = { name, board, at, controller: controller ?? new AbortController() };
    this.#calls.push(call);
    let running: Promise<unknown>;
    try {
      running = this.pool.run(order, {
        ...(controller && { signal: controller.signal }),
        ...(transfer && { transfer }),
      });
    } catch (error) {
      fault(`run threw ${inWords(error)} instead of rejecting`);
    }
    const end = (outcome: Call['outcome'] & {}) => {
      call.outcome = outcome;
      try {
        onSettled?.();
      } catch (error) {
        this.#fault ??= error;
      }
    };
    running.then(
      (outcome) => end({ value: outcome }),
      (reason: unknown) => end({ reason }),
    );
    return call;
  }

  runMany(count: number, deed: string, extras: Extras = {}): Call[] {
    return Array.from({ length: count }, () => this.run(deed, extras));
  }

  /** As which one it began; 0 when it has not. */
  order({ board, at }: Call): number {
    return Atomics.load(board, at);
  }

  thread({ board, at }: Call): Worker | undefined {
    return this.threads.find(({ threadId }) => threadId === Atomics.load(board, at + 1));
  }

  /** How often an endless task went round. */
  beats({ board, at }: Call): number {
    return Atomics.load(board, at + 3);
  }

  /** Lets tasks end. */
  letGo(...calls: Call[]): void {
    for (const { board, at } of calls) {
      Atomics.store(board, at + 2, 1);
      Atomics.notify(board, at + 2);
    }
  }

  /** Lets a task end that blocks its thread, and holds up this thread, too: the result has been sent then, and nobody here has seen it. */
  letGoUnseen(call: Call): void {
    this.letGo(call);
    Atomics.wait(call.board, call.at + 3, 0, patienceMs);
  }

  /** Waits for a state. */
  async until(holds: () => boolean, otherwise: () => string): Promise<void> {
    if (!(await becomes(holds))) fault(otherwise());
    if (this.#fault) throw this.#fault;
  }

  async begins(...calls: Call[]): Promise<void> {
    for (const call of calls)
      await this.until(
        () => this.order(call) > 0 || call.outcome !== undefined,
        () => `${call.name} did not begin; ${this.running} of ${this.#size} threads were busy`,
      );
    for (const call of calls)
      if (this.order(call) === 0) fault(`${call.name} did not begin, and its call ${this.told(call)}`);
  }

  async settles(...calls: Call[]): Promise<void> {
    for (const call of calls)
      await this.until(
        () => call.outcome !== undefined,
        () => `the call of ${call.name} did not settle${this.order(call) > 0 ? '' : '; its task never began'}`,
      );
  }

  /** Waits for a call, which must resolve with that value. */
  async returns(call: Call, value: unknown): Promise<void> {
    await this.settles(call);
    const { outcome } = call;
    if (!outcome || !('value' in outcome) || !isDeepStrictEqual(outcome.value, value))
      fault(`the call of ${call.name} ${this.told(call)} instead of resolving with ${inWords(value)}`);
  }

  /** Waits for a call, which must reject. */
  async rejects(call: Call, isRight: (reason: unknown) => boolean, right: string): Promise<void> {
    await this.settles(call);
    const { outcome } = call;
    if (!outcome || !('reason' in outcome) || !isRight(outcome.reason))
      fault(`the call of ${call.name} ${this.told(call)} instead of rejecting with ${right}`);
  }

  /** Waits for a call, which must reject with its signal's reason. */
  async aborts(call: Call): Promise<void> {
    const { reason } = call.controller.signal;
    await this.rejects(call, (seen) => seen === reason, "its signal's reason");
  }

  told({ outcome }: Call): string {
    if (!outcome) return 'has not settled';
    return 'value' in outcome ? `resolved with ${inWords(outcome.value)}` : `rejected with ${inWords(outcome.reason)}`;
  }

  /** The pool must run as many tasks at once as it has threads, no more and no fewer, and end them. */
  async expectFullSize(after: string): Promise<void> {
    const size = this.#size;
    this.renewBoard();
    const calls = this.runMany(size + 1, 'hold', { value: after, name: `a task after ${after}` });
    await this.until(
      () => this.running >= size,
      () => `after ${after} the pool ran ${this.running} tasks at once; its size is ${size}`,
    );
    await this.allSeen();
    if (this.most > size) fault(`after ${after} the pool ran ${this.most} tasks at once; its size is ${size}`);
    this.letGo(...calls);
    for (const call of calls) await this.returns(call, after);
  }

  /** Waits until each thread of the pool has begun a task: what it is up to has then been seen. */
  async allSeen(): Promise<void> {
    const seen = () => new Set(this.#calls.map(({ board, at }) => Atomics.load(board, at + 1)));
    await this.until(
      () => this.living.every(({ threadId }) => seen().has(threadId)),
      () => `${this.living.length} threads live in a pool of size ${this.#size}, and some of them have no task`,
    );
  }

  /** Closes all pools, and ends what they leave. */
  async end(): Promise<void> {
    this.letGo(...this.#calls);
    for (const pool of this.#pools.splice(0)) void Promise.resolve(pool.close()).catch(() => undefined);
    // Whatever a pool starts in their place, ends in the next round.
    for (let round = 0; round < 3; round++)
      await Promise.all(this.#allThreads.filter(({ threadId }) => threadId !== -1).map((thread) => thread.terminate()));
  }
}

/** A value as a message shows it. */
export function inWords(value: unknown): string {
  if (value instanceof Error)
    return `${value.name} "${value.message}"${value.cause === undefined ? '' : ` with the cause ${inWords(value.cause)}`}`;
  return inspect(value, { breakLength: Infinity });
}
