import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { after } from '../../foundations/waiting/until.ts';
import { type Answer, whyOrderFailed } from './why-it-failed.ts';

interface Waiting {
  readonly doing: string;
  onChunk?(chunk: Uint8Array): void;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** How many times an order's limit may pass on the wall, while the process does not get the CPU time for it. */
const starvedTimes = 12;
/** A process whose threads run or wait for a processor for less than this share of the time has nothing to do. */
const busyShare = 0.5;

/** What the threads of a process have used of the processors so far, and how long they wanted one and had none, in ms. */
export interface CpuTimes {
  readonly usedMs: number;
  readonly waitedMs: number;
}

export interface OrdersOptions {
  /** The module's file, for messages. */
  readonly name: string;
  /** How long an order may take; see `SubjectOptions.limitMs`. */
  readonly limitMs: number;
  send(order: object): void;
  /** Undefined where this platform does not tell. */
  cpuTimes(): Promise<CpuTimes | undefined>;
  /** An order has met its limit; `why` continues a sentence that starts with the module's name. */
  hung(why: string): void;
}

/** What the judge has asked of a process and waits for. */
export class Orders {
  readonly #options: OrdersOptions;
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /**
   * Sends an order, and gives back the answer. `doing` says in a message what it was; `onChunk` takes the parts of a long answer.
   * @throws SubjectError when it fails, meets its limit, or the process ends
   */
  give(doing: string, order: Record<string, unknown>, onChunk?: (chunk: Uint8Array) => void): Promise<unknown> {
    const { limitMs, cpuTimes, send } = this.#options;
    // Not to be guessed: an answer counts only when it names its question.
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      const atStart = cpuTimes();
      const cancel = after(limitMs, () => void this.#hang(doing, id, atStart));
      this.#waiting.set(id, {
        doing,
        ...(onChunk && { onChunk }),
        resolve: (value) => (cancel(), resolve(value)),
        reject: (error) => (cancel(), reject(error)),
      });
      send({ id, ...order });
    });
  }

  /** An answer has come. One to a question that nobody waits for counts for nothing. */
  settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    this.#waiting.delete(answer.id);
    const failure = whyOrderFailed(answer, waiting.doing, this.#options.name);
    if (failure) waiting.reject(failure);
    else waiting.resolve(answer.value);
  }

  /** A part of a long answer has come. */
  chunk(of: string, chunk: Uint8Array): void {
    this.#waiting.get(of)?.onChunk?.(chunk);
  }

  /** No more answers will come. */
  fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** An order has met its limit on the wall: waits on while the process is starved of the CPU time that the limit allows. */
  async #hang(doing: string, id: string, atStart: Promise<CpuTimes | undefined>): Promise<void> {
    const { limitMs, cpuTimes, hung } = this.#options;
    const start = await atStart;
    let before = start;
    let isAtWork = false;
    for (let times = 1; times < starvedTimes; times++) {
      const now = await cpuTimes();
      if (!start || !before || !now) break;
      isAtWork = isBusy(before, now, limitMs);
      if (now.usedMs - start.usedMs >= limitMs) break;
      if (!isAtWork && (await this.#turnsSoon('turning its event loop'))) break;
      before = now;
      await pause(limitMs);
      if (!this.#waiting.has(id)) return;
    }
    const turns = await this.#turnsSoon(doing);
    if (!this.#waiting.has(id)) return;
    const free = isAtWork
      ? 'its event loop turns, and it is still at work'
      : 'its event loop is free, so something that it awaits never happens';
    const why = turns ? free : 'its event loop is blocked, as by an endless loop';
    hung(`was stopped after ${limitMs / 1000} s of ${doing}: ${why}`);
  }

  async #turnsSoon(doing: string): Promise<boolean> {
    const id = randomUUID();
    return await new Promise<boolean>((resolve) => {
      this.#waiting.set(id, { doing, resolve: () => resolve(true), reject: () => resolve(false) });
      this.#options.send({ id, kind: 'turns', count: 1 });
      after(1000, () => (this.#waiting.delete(id), resolve(false)));
    });
  }
}

/** Whether its threads had work in this time, done or waiting for a processor. */
function isBusy(before: CpuTimes, now: CpuTimes, clockMs: number): boolean {
  return now.usedMs - before.usedMs + now.waitedMs - before.waitedMs >= busyShare * clockMs;
}
