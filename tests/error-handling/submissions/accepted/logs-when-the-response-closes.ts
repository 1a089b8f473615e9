import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import type * as Starter from '../../../../katas/error-handling/error-handling.ts';

export class ApiError extends Error {
  readonly #status: number;
  readonly #options: Starter.ProblemOptions;

  constructor(status: number, title: string, options: Starter.ProblemOptions = {}) {
    if (!Number.isInteger(status) || status < 400 || status > 599) throw new RangeError(`Invalid status ${status}`);
    super(title);
    if ('cause' in options) this.cause = options.cause;
    this.#status = status;
    this.#options = options;
  }

  get status(): number {
    return this.#status;
  }

  /** What the client may see. */
  get problem(): object {
    const { type = 'about:blank', detail } = this.#options;
    return { type, title: this.message, status: this.#status, detail };
  }
}

const storage = new AsyncLocalStorage<RequestScope>();

class Api extends Server {
  constructor(logger: Starter.Logger, routes: ReadonlyMap<string, Starter.Handler>) {
    super();
    this.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const scope = new RequestScope(logger, response);
      storage.run(scope, () => {
        const route = routes.get(`${request.method} ${request.url!.replace(/\?.*/s, '')}`);
        void scope.follow(() => (route ?? missing)(request, response));
      });
    });
  }
}

function missing(): never {
  throw new ApiError(404, 'Not Found');
}

class RequestScope {
  readonly id = randomBytes(12).toString('base64url');
  readonly #logger: Starter.Logger;
  readonly #response: ServerResponse;
  /** Whether it was not the client who closed the response. */
  #isOurs = false;

  constructor(logger: Starter.Logger, response: ServerResponse) {
    this.#logger = logger;
    this.#response = response;
    response.setHeader('X-Request-Id', this.id);
  }

  async follow(run: () => unknown): Promise<void> {
    try {
      await run();
    } catch (error) {
      const line = { requestId: this.id, message: 'Request failed', error: readError(error, new Set()) };
      const response = this.#response;
      if (response.errored) this.#isOurs = true;
      const report = () => {
        if (this.#isOurs || response.writableFinished) this.write('error', line);
      };
      if (response.closed) return report();
      response.once('close', report);
      if (response.writableEnded || response.destroyed) return;
      this.#isOurs = true;
      if (response.headersSent) response.destroy(new Error('The route failed.'));
      else this.#answer(error);
    }
  }

  write(level: 'info' | 'error', line: Starter.Line): void {
    try {
      this.#logger[level](Object.freeze(line));
    } catch {
      // There is no other place to write to.
    }
  }

  #answer(error: unknown): void {
    const response = this.#response;
    const isKnown = error instanceof ApiError;
    const body = Buffer.from(JSON.stringify(isKnown ? error.problem : { status: 500, title: 'Internal error' }));
    for (const name of response.getHeaderNames()) if (name !== 'x-request-id') response.removeHeader(name);
    response.statusCode = isKnown ? error.status : 500;
    response.setHeader('Content-Type', 'application/problem+json; charset=utf-8');
    response.setHeader('Content-Length', body.length);
    response.setHeader('Cache-Control', 'no-store');
    response.end(body);
  }
}

function readError(error: unknown, seen: Set<unknown>): Starter.LoggedError {
  seen.add(error);
  try {
    if (!(error instanceof Error)) return { name: typeof error, message: inspect(clean(error), false, null) };
    const { name, message, stack = '', cause } = error;
    const own = clean(Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'cause')), [error]);
    const logged = { name, message, stack, own };
    if (cause === undefined) return logged;
    return { ...logged, cause: seen.has(cause) ? '(see above)' : readError(cause, seen) };
  } catch {
    return { name: 'Error', message: '(unreadable)' };
  }
}

function clean(value: unknown, above: readonly unknown[] = []): unknown {
  if (typeof value === 'bigint') return String(value);
  if (above.includes(value)) return '(see above)';
  if (Array.isArray(value)) return value.map((item) => clean(item, [...above, value]));
  if (value === null || typeof value !== 'object') return value;
  const copy: Record<string, unknown> = {};
  for (const key in value) {
    const isSecret = /^(?:password|authorization|token)$/i.test(key);
    copy[key] = isSecret ? '[redacted]' : clean((value as Record<string, unknown>)[key], [...above, value]);
  }
  return copy;
}

export function createApi({ logger, routes }: Starter.ApiOptions): Server {
  return new Api(logger, new Map(Object.entries(routes)));
}

export function log(message: string, fields?: Starter.Fields): void {
  const scope = storage.getStore();
  if (!scope) return;
  const line: Starter.Line = { requestId: scope.id, message };
  if (fields) line.fields = clean(fields) as Starter.Fields;
  scope.write('info', line);
}

export function bind<Args extends unknown[], Result>(callback: (...args: Args) => Result): (...args: Args) => Result {
  const scope = storage.getStore();
  return (...args) => (scope ? storage.run(scope, callback, ...args) : callback(...args));
}
