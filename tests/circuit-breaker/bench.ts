import { type HttpPeer, type PeerRequest, openHttpPeer } from '../../helpers/instruments/http-peer/http-peer.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/circuit-breaker/circuit-breaker.ts';
import {
  type BenchOptions,
  type PlainOptions,
  type Report,
  endOf,
  fire,
  openBench,
  pass,
  throwingPath,
} from './inside.ts';
import type { Outcome } from './outcome.ts';

/** How the server treats a request: a status, or `breaks` for a connection that it breaks. */
export type Treatment = number | 'breaks';

/** A call whose request the server holds. `request` is undefined when the breaker made none. */
export interface HeldCall {
  readonly number: number;
  readonly request: PeerRequest | undefined;
}

export const timing = { timeoutMs: 2000, resetTimeoutMs: 10_000 };

/** How a bench differs from the usual one. */
export type BenchChoice = Partial<PlainOptions & Omit<BenchOptions, 'origin' | 'options'>>;

/** One breaker in the subject's process, in front of a server of its own. */
export class Bench implements AsyncDisposable {
  /** As of the latest act. */
  report!: Report;
  readonly #subject: Subject<typeof Kata>;
  readonly #peer: HttpPeer;
  #fired = 0;

  private constructor(subject: Subject<typeof Kata>, peer: HttpPeer) {
    this.#subject = subject;
    this.#peer = peer;
  }

  /** Unless told otherwise: two failures open the breaker, one success closes it, and every error is a failure. */
  static async open(subject: Subject<typeof Kata>, choice: BenchChoice): Promise<Bench> {
    const { isBare = false, listenerThrows = false, atAbort = 'ends', excused = [], ...options } = choice;
    const peer = await openHttpPeer();
    const bench = new Bench(subject, peer);
    const { host, port } = await subject.addressInside({ host: peer.host, port: peer.port });
    await subject.run(openBench, {
      origin: `http://${host}:${port}`,
      options: { failureThreshold: 2, successThreshold: 1, ...timing, ...options },
      isBare,
      listenerThrows,
      atAbort,
      excused,
    });
    await bench.pass({});
    return bench;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer[Symbol.asyncDispose]();
  }

  /** How many requests the server has seen. */
  get requests(): number {
    return this.#peer.requests.length;
  }

  /** Fires a call and, when the breaker makes a request, waits until the server holds it. */
  async hold(): Promise<HeldCall> {
    const callsBefore = this.report.calls;
    this.report = await this.#subject.run(fire, `/${++this.#fired}`);
    const { calls } = this.report;
    return {
      number: this.#fired - 1,
      request: calls > callsBefore ? await this.#peer.arrival(calls - 1) : undefined,
    };
  }

  /** Lets the server treat a held call, and says how the call ended. */
  async end({ number, request }: HeldCall, treatment: Treatment): Promise<Outcome> {
    if (request !== undefined) {
      if (treatment === 'breaks') await request.breakOff();
      else await request.answer({ status: treatment, body: `call ${request.path.slice(1)}` });
      this.report = await this.#subject.run(endOf, this.#peer.requests.indexOf(request));
    }
    return this.report.outcomes[number]!;
  }

  /** Fires calls one after the other; the server treats each at once. */
  async fire(...treatments: Treatment[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const treatment of treatments) outcomes.push(await this.end(await this.hold(), treatment));
    return outcomes;
  }

  /** Fires a call for which `call` throws at once. */
  async fireThrowing(status?: number): Promise<Outcome> {
    this.report = await this.#subject.run(fire, status === undefined ? throwingPath : `${throwingPath}/${status}`);
    return this.report.outcomes[this.#fired++]!;
  }

  /** Lets time pass: on the injected clock, for the timers of the process, or for both. */
  async pass(time: { readonly nowMs?: number; readonly timersMs?: number }): Promise<void> {
    this.report = await this.#subject.run(pass, time);
  }

  /** Lets an open breaker's reset time pass and fires the first call after it. */
  async halfOpen(): Promise<HeldCall> {
    await this.pass({ nowMs: timing.resetTimeoutMs });
    return await this.hold();
  }
}
