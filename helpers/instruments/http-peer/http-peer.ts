import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { settles } from '../../foundations/waiting/until.ts';

/** What a peer answers with. */
export interface PeerAnswer {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default empty. */
  readonly body?: string;
}

/**
 * How a request stands. `held`: the client waits. `answered`: the answer has been handed to the system. `broken`: the peer reset the
 * connection. `left`: the client closed its connection before it had an answer.
 */
type PeerRequestState = 'held' | 'answered' | 'broken' | 'left';

/** One request of a client, read to its end. */
export interface PeerRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly state: PeerRequestState;
  /** Answers, and resolves when the system has all of it. @throws Error when the request is not held any more */
  answer(answer?: PeerAnswer): Promise<void>;
  /** Resets the connection: before the answer, or after its head and this part of a longer body. @throws Error as `answer` does */
  breakOff(part?: PeerAnswer): Promise<void>;
  /** Whether the client closes its connection within `limitMs` (default 5,000) without having had an answer. */
  isLeft(limitMs?: number): Promise<boolean>;
}

/** An HTTP server on the judge's side, under the judge's orders. */
export interface HttpPeer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** All requests so far, in the order of their arrival. Their number is the count. */
  readonly requests: readonly PeerRequest[];
  /**
   * The request that arrives as number `index`, from 0; waits for it.
   * @throws Error that tells how many arrived, when it does not come within `limitMs` (default 5,000)
   */
  arrival(index: number, limitMs?: number): Promise<PeerRequest>;
}

/**
 * Opens a server to which a judge's subject makes requests. It holds each request until it is told to answer it or to break its
 * connection, unless `onRequest` has an answer at once. It sees when a client leaves. Let a test's fixture close it, or `await using`.
 */
export async function openHttpPeer(
  onRequest: (request: PeerRequest, index: number) => PeerAnswer | 'hold' = () => 'hold',
): Promise<HttpPeer> {
  const requests: HeldRequest[] = [];
  let arrived = Promise.withResolvers<void>();
  const server = createServer((incoming, response) => void take(incoming, response));
  // A judge may hold a request for as long as it likes.
  Object.assign(server, { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { address: host, port } = server.address() as AddressInfo;

  async function take(incoming: IncomingMessage, response: ServerResponse) {
    // A body that never ends because its client left is no request.
    const body = await incoming.toArray().catch(() => undefined);
    if (body === undefined) return;
    const request = new HeldRequest(incoming, Buffer.concat(body as Buffer[]).toString(), response);
    const index = requests.push(request) - 1;
    const answer = onRequest(request, index);
    if (answer !== 'hold' && request.state === 'held') await request.answer(answer);
    arrived.resolve();
    arrived = Promise.withResolvers();
  }

  return {
    host,
    port,
    requests,
    async arrival(index, limitMs) {
      while (index >= requests.length && (await settles(arrived.promise, limitMs)));
      const request = requests[index];
      if (request) return request;
      throw new Error(`The peer waited for request ${index + 1}; ${requests.length} arrived.`);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

class HeldRequest implements PeerRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  state: PeerRequestState = 'held';
  readonly #response: ServerResponse;
  readonly #closed = Promise.withResolvers<void>();

  constructor({ method = '', url = '', headers }: IncomingMessage, body: string, response: ServerResponse) {
    this.method = method;
    this.path = url;
    this.headers = headers;
    this.body = body;
    this.#response = response;
    response.on('error', () => undefined);
    response.on('close', () => {
      if (this.state === 'held') this.state = 'left';
      this.#closed.resolve();
    });
    if (response.destroyed) this.state = 'left';
  }

  async answer({ status = 200, headers = {}, body = '' }: PeerAnswer = {}): Promise<void> {
    this.#end('answered');
    this.#response.writeHead(status, headers).end(body);
    await this.#closed.promise;
  }

  async breakOff(part?: PeerAnswer): Promise<void> {
    this.#end('broken');
    if (part !== undefined) {
      const { status = 200, headers = {}, body = '' } = part;
      this.#response.writeHead(status, { 'content-length': String(body.length + 1), ...headers });
      await new Promise((resolve) => this.#response.write(body, resolve));
    }
    this.#response.destroy();
    await this.#closed.promise;
  }

  async isLeft(limitMs?: number): Promise<boolean> {
    await settles(this.#closed.promise, limitMs);
    return this.state === 'left';
  }

  #end(state: PeerRequestState): void {
    if (this.state !== 'held')
      throw new Error(`${this.method} ${this.path} is ${this.state}; it cannot be ended again.`);
    this.state = state;
  }
}
