import { Readable } from 'node:stream';
import { Client } from 'undici';
import { type Answer, type Question, ask } from '../../helpers/instruments/readers/ask.ts';
import type { LogEntry } from '../../helpers/instruments/logger/logger.ts';
import type { Patience } from '../../helpers/judging/subject/patience.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/error-handling/error-handling.ts';
import {
  type Step,
  closeOf,
  closes,
  countOfEntries,
  entriesSince,
  idsSince,
  openApi,
  prepare,
  reaches,
  release,
} from './inside.ts';

export interface AskOptions {
  /** `sync` for a route that is no async function; only steps that don't wait. */
  readonly route?: 'sync' | 'async' | 'missing' | '/' | '%';
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: 'GET' | 'POST';
  readonly connection?: Client;
  /** How the client waits for its answer; by default as long as the file has patience. */
  readonly comes?: Question['comes'];
}

/** What came of one request. */
export interface Seen {
  readonly answer: Answer;
  /** The request's id, as its answer says. */
  readonly id: unknown;
  /** All that the API logged meanwhile. */
  readonly entries: readonly LogEntry[];
  readonly errorLines: readonly Partial<Kata.Line>[];
  /** Lines of the route's own `log` calls. */
  readonly infoLines: readonly Partial<Kata.Line>[];
}

/** A request whose route is held. */
export interface Begun {
  readonly number: number;
  readonly answer: Promise<Answer>;
  /** How many lines the API had logged before it. */
  readonly from: number;
}

/** One API in the subject's process. Its routes do what the judge tells them, step by step. */
export class Api {
  readonly port: number;
  readonly #subject: Subject<typeof Kata>;
  readonly #patience: Patience;
  readonly #portInside: number;

  private constructor(subject: Subject<typeof Kata>, patience: Patience, portInside: number, port: number) {
    this.#subject = subject;
    this.#patience = patience;
    this.#portInside = portInside;
    this.port = port;
  }

  static async open(subject: Subject<typeof Kata>, patience: Patience, { loggerThrows = false } = {}): Promise<Api> {
    const port = await subject.run(openApi, loggerThrows);
    return new Api(subject, patience, port, await subject.portOutside(port));
  }

  /** Sends one request and waits for its answer and its lines. */
  async ask(steps: readonly Step[], options?: AskOptions): Promise<Seen> {
    const from = await this.#count();
    const number = await this.#subject.run(prepare, [steps]);
    return await this.#see(await this.#send(number, options), from);
  }

  /** Sends one request and waits until its route is held or has ended. */
  async begin(steps: readonly Step[], options?: AskOptions): Promise<Begun> {
    const [begun] = await this.beginAll([steps], () => options);
    return begun!;
  }

  /** Sends many requests at once, and waits until all their routes are held or have ended. */
  async beginAll(
    plays: readonly (readonly Step[])[],
    optionsOf: (index: number) => AskOptions | undefined,
  ): Promise<Begun[]> {
    const from = await this.#count();
    const first = await this.#subject.run(prepare, plays);
    const begun = plays.map((_, index) => {
      const number = first + index;
      return { number, from, answer: this.#send(number, optionsOf(index)) };
    });
    const numbers = begun.map(({ number }) => number);
    const paused = this.#subject.run(reaches, { numbers, state: 'paused' });
    const answers = Promise.all(begun.map(({ answer }) => answer));
    // A module that answers without its route would be waited for in vain.
    await Promise.race([paused, answers]);
    paused.catch(() => undefined);
    return begun;
  }

  /** Waits until the routes of these requests are held again, or have ended. */
  async pausesOf(...begun: readonly Begun[]): Promise<void> {
    await this.#subject.run(reaches, { numbers: begun.map(({ number }) => number), state: 'paused' });
  }

  /** Lets held requests go on, in this order. */
  async release(...begun: readonly Begun[]): Promise<void> {
    await this.#subject.run(
      release,
      begun.map(({ number }) => number),
    );
  }

  /** Whether the response of a request whose route has ended is closed. */
  async isClosed({ number }: Begun): Promise<boolean> {
    return await this.#subject.run(closes, number);
  }

  /** Waits for the answer and the lines of a request. */
  async end({ answer, from }: Begun): Promise<Seen> {
    return await this.#see(await answer, from);
  }

  /** Sends a request whose body never ends, or reads the beginning of an answer, and leaves once the route is at it. */
  async leave(steps: readonly Step[], during: 'upload' | 'download' | 'work'): Promise<Seen> {
    const from = await this.#count();
    const number = await this.#subject.run(prepare, [steps]);
    const client = new Client(`http://127.0.0.1:${this.port}`, { headersTimeout: 0, bodyTimeout: 0 });
    const path = `/async?${number}`;
    const request =
      during === 'upload'
        ? client.request({ path, method: 'POST', body: Readable.from(endlessBody()) })
        : client.request({ path, method: 'GET' });
    const failed = request.then(
      ({ body: answer }) => void answer.on('error', () => undefined),
      () => undefined,
    );
    if (during === 'download') await request;
    else await this.#subject.run(reaches, { numbers: [number], state: during === 'work' ? 'paused' : 'running' });
    await client.destroy();
    await failed;
    if (during === 'work') await this.#subject.run(release, [number]);
    await this.#subject.run(closeOf, number);
    return await this.#see({ status: 0, headers: {}, body: Buffer.alloc(0), isComplete: false }, from);
  }

  /** Ids and messages of all lines since `begun`. */
  async ids({ from }: Begun): Promise<[id: unknown, message: unknown][]> {
    return await this.#subject.run(idsSince, { port: this.#portInside, from });
  }

  async #send(number: number, options: AskOptions = {}): Promise<Answer> {
    const { route = 'async', method = 'GET', connection, headers = {} } = options;
    const comes = options.comes ?? ((answer) => this.#patience.settles(this.#subject, answer));
    return await ask(this.port, `/${route}?${number}`, { method, comes, headers, ...(connection && { connection }) });
  }

  async #count(): Promise<number> {
    return await this.#subject.run(countOfEntries, this.#portInside);
  }

  async #see(answer: Answer, from: number): Promise<Seen> {
    const entries = await this.#subject.run(entriesSince, { port: this.#portInside, from });
    const linesOf = (wanted: string) =>
      entries
        .filter(({ level }) => level === wanted)
        .map(({ line, fault }): Partial<Kata.Line> => (fault === undefined ? (line as Kata.Line) : { message: fault }));
    return {
      answer,
      id: answer.headers['x-request-id'],
      entries,
      errorLines: linesOf('error'),
      infoLines: linesOf('info'),
    };
  }
}

async function* endlessBody(): AsyncGenerator<Buffer> {
  yield Buffer.from('the beginning');
  await new Promise(() => undefined);
}
