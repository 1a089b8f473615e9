import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type Server, type ServerResponse, createServer } from 'node:http';
import { inspect } from 'node:util';
import type * as Starter from '../../katas/error-handling/error-handling.ts';

const secrets = new Set(['password', 'authorization', 'token']);

/** What belongs to one request. */
interface Scope {
  readonly requestId: string;
  readonly logger: Starter.Logger;
}

interface Problem {
  readonly status: number;
  readonly title: string;
  readonly type?: string | undefined;
  readonly detail?: string | undefined;
}

const scopes = new AsyncLocalStorage<Scope>();

/** An error that the client may see. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly title: string;
  readonly type: string | undefined;
  readonly detail: string | undefined;

  constructor(status: number, title: string, { type, detail, ...options }: Starter.ProblemOptions = {}) {
    super(title, options);
    this.status = status;
    this.title = title;
    this.type = type;
    this.detail = detail;
  }
}

/** Creates an HTTP server that runs the route of each request, and answers and logs whatever the route throws. */
export function createApi({ logger, routes }: Starter.ApiOptions): Server {
  return createServer((request, response) => {
    const scope = { requestId: randomUUID(), logger };
    response.setHeader('x-request-id', scope.requestId);
    void scopes.run(scope, async () => {
      try {
        const [path] = request.url!.split('?');
        const route = routes[`${request.method} ${path}`];
        if (!route) throw new ApiError(404, 'There is nothing at this address.');
        await route(request, response);
      } catch (error) {
        fail(error, response, scope);
      }
    });
  });
}

/** Writes a line for the request that the caller works for. Never throws. */
export function log(message: string, fields?: Starter.Fields): void {
  const scope = scopes.getStore();
  if (scope) write('info', scope, () => ({ message, ...(fields && { fields: redact(fields) as Starter.Fields }) }));
}

/** Keeps the current request for a callback that somebody else will call. */
export function bind<Args extends unknown[], Result>(callback: (...args: Args) => Result): (...args: Args) => Result {
  return AsyncLocalStorage.bind(callback);
}

/** The one place where a failure is logged and answered. */
function fail(error: unknown, response: ServerResponse, scope: Scope): void {
  if (hasLeft(response)) return;
  write('error', scope, () => ({ message: 'The route failed.', error: describe(error) }));
  if (response.writableEnded) return;
  if (response.headersSent) response.destroy();
  else answer(response, scope, problemOf(error));
}

/** A client that leaves closes the response without an error; `pipeline` closes it with the error of its source. */
function hasLeft({ destroyed, writableFinished, errored }: ServerResponse): boolean {
  return destroyed && !writableFinished && !errored;
}

function answer(response: ServerResponse, { requestId }: Scope, problem: Problem): void {
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.writeHead(problem.status, STATUS_CODES[problem.status], {
    'x-request-id': requestId,
    'content-type': 'application/problem+json',
  });
  response.end(JSON.stringify(problem));
}

function problemOf(error: unknown): Problem {
  try {
    if (error instanceof ApiError && error.status >= 400 && error.status <= 599) {
      const { status, title, type, detail } = error;
      return { status, title, type, detail };
    }
  } catch {
    // An error that cannot be read is none that the client may see.
  }
  return { status: 500, title: 'Internal Server Error' };
}

function write(level: 'info' | 'error', { requestId, logger }: Scope, make: () => Omit<Starter.Line, 'requestId'>) {
  try {
    logger[level]({ requestId, ...make() });
  } catch {
    // The logger is broken, so standard error is all that is left. The error itself may be what cannot be read.
    console.error(`Request ${requestId}: a line could not be logged.`);
  }
}

/** Reads an error into plain data. `above` are the errors that it caused. */
function describe(error: unknown, above: readonly unknown[] = []): Starter.LoggedError {
  try {
    if (!(error instanceof Error)) return { name: 'NonError', message: inspect(redact(error), { depth: Infinity }) };
    const { name, message, stack, cause } = error;
    const path = [...above, error];
    return {
      name,
      message,
      ...(stack !== undefined && { stack }),
      ...(cause !== undefined && !path.includes(cause) && { cause: describe(cause, path) }),
    };
  } catch {
    return { name: 'Unreadable', message: 'The error threw when it was read.' };
  }
}

/** A copy without secrets. `above` are the objects around the value. */
function redact(value: unknown, above: readonly unknown[] = []): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (above.includes(value)) return '[circular]';
  const path = [...above, value];
  if (Array.isArray(value)) return value.map((item) => redact(item, path));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secrets.has(key.toLowerCase()) ? '[redacted]' : redact(item, path),
    ]),
  );
}
