import { collect, measure } from '../../instruments/heap/heap-figures.ts';
import type { Subject } from '../../judging/subject/subject.ts';
import type { Action, Observed } from './observation.ts';

interface Started {
  readonly subject: Subject<never, never>;
  readonly observed: Observed;
}

/** A module's process that is observed, and restarted on request or after it has died. */
export class ObservedProcess implements AsyncDisposable {
  readonly #start: () => Promise<Started>;
  #now: Started;

  private constructor(start: () => Promise<Started>, now: Started) {
    this.#start = start;
    this.#now = now;
  }

  static async start(start: () => Promise<Started>): Promise<ObservedProcess> {
    return new ObservedProcess(start, await start());
  }

  get subject(): Subject<never, never> {
    return this.#now.subject;
  }

  get observed(): Observed {
    return this.#now.observed;
  }

  /** A line that says where a debugger can attach, or nothing. */
  get debugger(): string {
    const [, url] = /Debugger listening on (\S+)/.exec(this.subject.printed) ?? [];
    return url === undefined ? '' : `Debugger: ${url}  (chrome://inspect, or attach your editor)\n`;
  }

  action(key: string): Action | undefined {
    return this.observed.actions.find((action) => action.key === key);
  }

  /** What is shown, by name; bytes where the name is one of `byteFigures`. */
  async figures({ afterCollection = false } = {}): Promise<Record<string, number>> {
    const heap = await (afterCollection ? collect(this.subject) : measure(this.subject));
    const own = await this.observed.figures();
    return {
      RSS: heap.rss,
      'heap used': heap.heapUsed,
      'heap total': heap.heapTotal,
      external: heap.external,
      buffers: heap.arrayBuffers,
      timers: heap.timers,
      ...own,
    };
  }

  async reset(): Promise<void> {
    await this.#end();
    this.#now = await this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  async #end(): Promise<void> {
    await this.observed.end().catch(() => undefined);
    await this.subject[Symbol.asyncDispose]();
  }
}

const byteFigures = ['RSS', 'heap used', 'heap total', 'external', 'buffers'];

/** A figure as a person reads it. */
export function figureText(name: string, value: number): string {
  return byteFigures.includes(name) ? `${(value / 1024 / 1024).toFixed(1)} MB` : String(value);
}
