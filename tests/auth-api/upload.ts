import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { settles } from '../../helpers/foundations/waiting/until.ts';

/** A client that sends the head of a POST, and then as much of a body as it is told to. */
export class Upload implements Disposable {
  /** It keeps connections, so that the client never closes one because of an answer. */
  readonly #agent = new Agent({ keepAlive: true });
  /** Whether the app has not answered after the head alone. */
  isWaiting = true;
  readonly #request: ClientRequest;
  #response: IncomingMessage | undefined;
  readonly #answered = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();

  /** Without a length, the body goes in chunks. */
  constructor(port: number, path: string, lengthBytes?: number) {
    const headers = { 'content-type': 'application/json', ...(lengthBytes && { 'content-length': lengthBytes }) };
    this.#request = request({ host: '127.0.0.1', port, path, method: 'POST', agent: this.#agent, headers });
    this.#request.on('response', (response) => {
      response.on('error', () => undefined).resume();
      this.#response = response;
      this.#answered.resolve();
    });
    this.#request.on('error', () => undefined);
    this.#request.on('close', () => {
      this.#answered.resolve();
      this.#closed.resolve();
    });
    this.#request.flushHeaders();
  }

  /** Sends a part of the body. Resolves when the system has it, or when the connection is closed. */
  async send(part: string | Buffer): Promise<void> {
    if (this.#request.destroyed) return;
    const sent = new Promise((resolve) => this.#request.write(part, resolve));
    await Promise.race([sent, this.#closed.promise]);
  }

  /** Sends more than the system takes at once, and does not wait. */
  flood(bytes: number): void {
    if (!this.#request.destroyed) this.#request.write(Buffer.alloc(bytes, 'x'));
  }

  /** Ends the body. */
  end(): void {
    this.#request.end();
  }

  /** The status of the answer; 0 when the connection broke or nothing came for `limitMs` (default 5,000). */
  async answer(limitMs?: number): Promise<number> {
    await settles(this.#answered.promise, limitMs);
    return this.#response?.statusCode ?? 0;
  }

  [Symbol.dispose](): void {
    this.#request.destroy();
    this.#agent.destroy();
  }
}
