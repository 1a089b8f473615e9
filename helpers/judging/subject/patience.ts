import { until } from '../../foundations/waiting/until.ts';
import type { Subject } from './subject.ts';
import type { Exit } from './subject-types.ts';

/**
 * How long the promises of one file wait for what may never come. After the first wait in vain the limit is shorter, so that a module
 * that hangs costs one full limit and not one for each promise.
 */
export class Patience {
  #limitMs: number;
  readonly #laterMs: number;

  /** In ms of time in which the process has nothing to do, or, for `sees`, in which the judge runs. */
  constructor({ firstMs = 5_000, laterMs = 1_000 } = {}) {
    this.#limitMs = firstMs;
    this.#laterMs = laterMs;
  }

  /** Says whether `promise` settled in time; see Subject.settles. */
  async settles(subject: Pick<Subject<unknown>, 'settles'>, promise: Promise<unknown>): Promise<boolean> {
    return this.#heed(await subject.settles(promise, this.#limitMs));
  }

  /** How the process ended, or undefined when it is still there; see Subject.ended. */
  async ended(subject: Pick<Subject<unknown>, 'ended'>): Promise<Exit | undefined> {
    const exit = await subject.ended(this.#limitMs);
    this.#heed(exit !== undefined);
    return exit;
  }

  /** Asks again and again, and says whether the answer became true in time. Let `ask` make a round trip to the process that it waits for. */
  async sees(ask: () => boolean | Promise<boolean>): Promise<boolean> {
    return this.#heed(await until(ask, this.#limitMs));
  }

  #heed(hasCome: boolean): boolean {
    if (!hasCome) this.#limitMs = this.#laterMs;
    return hasCome;
  }
}
