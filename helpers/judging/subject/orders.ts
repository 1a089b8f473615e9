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

export interface OrdersOptions {
  /** The module's file, for messages. */
  readonly name: string;
  /** How long an order may take; see `SubjectOptions.limitMs`. */
  readonly limitMs: number;
  send(order: object): void;
  /** CPU time that the process has used, in ms; undefined where this platform does not tell. */
  cpuMs(): Promise<number | undefined>;
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
    const { limitMs, cpuMs, send } = this.#options;
    // Not to be guessed: an answer counts only when it names its question.
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      let usedMs: number | undefined;
      void cpuMs().then((ms) => (usedMs = ms));
      const cancel = after(limitMs, () => void this.#hang(doing, id, usedMs));
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
  async #hang(doing: string, id: string, usedMs: number | undefined): Promise<void> {
    const { limitMs, hung } = this.#options;
    for (let times = 1; (await this.#isStarved(usedMs)) && times < starvedTimes; times++) {
      await pause(limitMs);
      if (!this.#waiting.has(id)) return;
    }
    const why = (await this.#turnsSoon(doing))
      ? 'its event loop is free, so something that it awaits never happens'
      : 'its event loop is blocked, as by an endless loop';
    if (!this.#waiting.has(id)) return;
    hung(`was stopped after ${limitMs / 1000} s of ${doing}: ${why}`);
  }

  /** Whether its event loop is blocked by work for which it has not had the CPU time of an order's limit yet. */
  async #isStarved(usedMs: number | undefined): Promise<boolean> {
    const now = await this.#options.cpuMs();
    return (
      usedMs !== undefined &&
      now !== undefined &&
      now - usedMs < this.#options.limitMs &&
      !(await this.#turnsSoon('turning its event loop'))
    );
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
