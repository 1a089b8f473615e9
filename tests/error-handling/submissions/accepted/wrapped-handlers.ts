import { AsyncLocalStorage } from 'node:async_hooks';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type * as Starter from '../../../../katas/error-handling/error-handling.ts';

type Failed = (error: unknown) => void;
type Step = (request: IncomingMessage, response: ServerResponse, failed: Failed) => void;

const storage = new AsyncLocalStorage<(level: 'info' | 'error', line: object) => void>();
const brand = Symbol('problem');
const process36 = Date.now().toString(36);
let count = 0;

export class ApiError extends Error {
  readonly [brand]: Readonly<Record<string, unknown>>;

  constructor(status: number, title: string, options: { type?: string; detail?: string; cause?: unknown } = {}) {
    const { type, detail, cause } = options;
    super(`${title}`, cause === undefined ? {} : { cause });
    this[brand] = { status, title, ...(type && { type }), ...(detail && { detail }) };
  }
}

export function createApi({ logger, routes }: Starter.ApiOptions): Server {
  const serve = named(logger, logged(answered(routed(routes))));
  return createServer((request, response) => serve(request, response, () => undefined));
}

/** Gives the request its id. */
function named(logger: Starter.Logger, next: Step): Step {
  return (request, response, failed) => {
    const requestId = `${process36}-${++count}`;
    response.setHeader('x-request-id', requestId);
    storage.enterWith((level, line) => {
      try {
        logger[level]({ requestId, ...withoutSecrets(line) } as Starter.Line);
      } catch {
        process.stderr.write(`${requestId}: not logged\n`);
      }
    });
    next(request, response, failed);
  };
}

/** Logs each failure of the steps inside, unless the client has left. */
function logged(next: Step): Step {
  return (request, response, failed) => {
    const write = storage.getStore()!;
    let hasLeft = false;
    response.on('close', () => (hasLeft = !response.writableFinished && response.errored === null));
    next(request, response, (error) => {
      const isAway = hasLeft || (response.closed && !response.writableFinished && response.errored === null);
      if (!isAway) write('error', { message: 'A request failed.', error: linked([...causes(error)]) });
      failed(error);
    });
  };
}

/** Answers each failure of the steps inside, and passes it on. */
function answered(next: Step): Step {
  return (request, response, failed) =>
    next(request, response, (error) => {
      // First the answer: what follows may throw.
      const wasOurs = !response.destroyed;
      if (wasOurs && !response.headersSent) {
        const problem = problemOf(error);
        for (const name of Object.keys(response.getHeaders())) if (name !== 'x-request-id') response.removeHeader(name);
        response.writeHead(Number(problem.status), { 'Content-Type': 'Application/Problem+JSON' });
        response.end(JSON.stringify(problem));
      } else if (wasOurs && !response.writableEnded) {
        response.destroy(new Error('in the middle'));
      }
      failed(error);
    });
}

function routed(routes: Starter.Routes): Step {
  return (request, response, failed) => {
    const name = `${request.method} ${request.url!.replace(/\?.*/s, '')}`;
    new Promise((resolve) => {
      if (!Object.hasOwn(routes, name)) throw new ApiError(404, `No ${name}`);
      resolve(routes[name]!(request, response));
    }).catch(failed);
  };
}

function problemOf(error: unknown): Readonly<Record<string, unknown>> {
  const unknown = { type: 'about:blank', title: 'Something went wrong', status: 500 };
  const problem = typeof error === 'object' && error !== null && brand in error ? (error as ApiError)[brand] : unknown;
  const status = problem.status as number;
  return status >= 400 && status < 600 ? problem : unknown;
}

function* causes(error: unknown): Generator<Starter.LoggedError> {
  const seen = new Set<unknown>();
  try {
    for (let next = error; !seen.has(next); next = next.cause) {
      seen.add(next);
      if (!(next instanceof Error)) return yield { name: 'Thrown', message: textOf(next) };
      const { name, message, stack, ...own } = next as Error & { code?: unknown };
      yield { name, message, stack: String(stack ?? ''), ...('code' in own && { code: own.code }) };
      if (next.cause === undefined) return;
    }
  } catch {
    yield { name: 'Error', message: 'unreadable' };
  }
}

function linked(errors: Starter.LoggedError[]): Starter.LoggedError {
  return errors.reduceRight<Starter.LoggedError | undefined>(
    (cause, error) => (cause ? { ...error, cause } : error),
    undefined,
  )!;
}

function textOf(value: unknown): string {
  if (typeof value === 'object' && value !== null) return JSON.stringify(withoutSecrets(value));
  return String(value);
}

function withoutSecrets(value: object): object {
  return JSON.parse(
    JSON.stringify(value, (key, item: unknown) =>
      ['password', 'authorization', 'token'].includes(key.toLowerCase()) ? '[redacted]' : item,
    ),
  ) as object;
}

export function log(message: string, fields?: Starter.Fields): void {
  storage.getStore()?.('info', { message, fields });
}

export function bind<Args extends unknown[], Result>(callback: (...args: Args) => Result): (...args: Args) => Result {
  const inside = AsyncLocalStorage.snapshot();
  return (...args) => inside(() => callback(...args));
}
