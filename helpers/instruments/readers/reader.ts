import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { settles } from '../../foundations/waiting/until.ts';

/** In ms of time in which this process ran, for what never comes: also the last of many readers gets something within it. */
const patienceMs = 5_000;

/** What a body is compared with while it comes in. */
export interface Content {
  /** Where `chunk`, which begins at byte `offset`, differs from the content; undefined where it does not. */
  differsAt(chunk: Uint8Array, offset: number): number | undefined;
}

export interface ReaderOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** Compared with the body as it comes in. */
  readonly content?: Content;
}

/** How a response came to its end. */
export interface Ending {
  /**
   * `complete`: as HTTP says that it is whole. `broken`: the connection went before that. `waiting`: nothing came for
   * 5 s, and the reader has left.
   */
  readonly how: 'complete' | 'broken' | 'waiting';
  readonly bytes: number;
  /** The first byte that is not the content's. */
  readonly differsAt: number | undefined;
}

/** A client that reads an HTTP response over a real socket as fast or slowly as it likes, and may leave at any time. */
export class Reader implements Disposable {
  /** The request is on its way. */
  readonly sent: Promise<void>;
  readonly #request;
  readonly #head = Promise.withResolvers<IncomingMessage | undefined>();
  readonly #over = Promise.withResolvers<void>();
  readonly #content: Content | undefined;
  #response: IncomingMessage | undefined;
  #bytes = 0;
  #pauseAt = 0;
  #paused = Promise.withResolvers<void>();
  #differsAt: number | undefined;

  constructor(port: number, path: string, options: ReaderOptions = {}) {
    this.#content = options.content;
    const sent = Promise.withResolvers<void>();
    this.sent = sent.promise;
    this.#request = request({
      host: '127.0.0.1',
      port,
      path,
      method: options.method ?? 'GET',
      headers: options.headers,
      agent: false,
    });
    this.#request.on('finish', sent.resolve);
    this.#request.on('error', () => this.#end());
    this.#request.on('response', (response) => this.#begin(response));
    this.#request.end();
  }

  /** How many bytes of the body have come. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Status and headers, or status 0 when the connection broke or nothing came for `limitMs` (default 5,000). */
  async head(limitMs = patienceMs): Promise<{ status: number; headers: IncomingHttpHeaders }> {
    await settles(this.#head.promise, limitMs);
    return { status: this.#response?.statusCode ?? 0, headers: this.#response?.headers ?? {} };
  }

  /** Reads on until at least `bytes` of the body have come, or no more will, and then pauses. */
  async take(bytes: number): Promise<void> {
    await this.#readUntil(bytes);
  }

  /** Reads on to the end. */
  async rest(): Promise<Ending> {
    const ended = await this.#readUntil(Infinity);
    const how = !ended ? 'waiting' : this.#response?.complete ? 'complete' : 'broken';
    this.leave();
    return { how, bytes: this.#bytes, differsAt: this.#differsAt };
  }

  /** Goes away, without a word to the server. */
  leave(): void {
    if (!this.#response?.complete) this.#request.destroy();
  }

  [Symbol.dispose](): void {
    this.leave();
  }

  /** @returns false when nothing came for so long that nothing will */
  async #readUntil(bytes: number): Promise<boolean> {
    this.#pauseAt = bytes;
    this.#paused = Promise.withResolvers<void>();
    if (this.#bytes >= bytes) return true;
    this.#response?.resume();
    for (let before = -1; before !== this.#bytes;) {
      before = this.#bytes;
      if (await settles(Promise.race([this.#paused.promise, this.#over.promise]), patienceMs)) return true;
    }
    return false;
  }

  #begin(response: IncomingMessage): void {
    this.#response = response;
    response.on('data', (chunk: Buffer) => {
      this.#differsAt ??= this.#content?.differsAt(chunk, this.#bytes);
      this.#bytes += chunk.length;
      if (this.#bytes < this.#pauseAt) return;
      response.pause();
      this.#paused.resolve();
    });
    response.on('error', () => undefined);
    response.on('close', () => this.#end());
    if (this.#pauseAt === 0) response.pause();
    this.#head.resolve(response);
  }

  #end(): void {
    this.#head.resolve(undefined);
    this.#over.resolve();
  }
}
