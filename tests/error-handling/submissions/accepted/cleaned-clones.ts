import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { format } from 'node:util';
import type * as Starter from '../../../../katas/error-handling/error-handling.ts';

type Level = keyof Starter.Logger;

const requestIds = new AsyncLocalStorage<string>();
/** The loggers of requests whose code may still run. */
const loggers = new AsyncLocalStorage<Starter.Logger>();
const problems = new WeakMap<object, Record<string, unknown>>();
const secretNames = ['password', 'authorization', 'token'];

export class ApiError extends Error {
  constructor(status: number, title: string, { type, detail, ...rest }: Starter.ProblemOptions = {}) {
    super(detail ?? title, rest);
    Object.defineProperty(this, 'name', { value: new.target.name || 'ApiError' });
    this.message = title;
    problems.set(this, { type: type ?? 'about:blank', title, status, ...(detail !== undefined && { detail }) });
  }
}

export function createApi(options: Starter.ApiOptions): http.Server {
  const server = http.createServer();
  server.on('request', (request, response) => {
    const id = randomUUID();
    response.setHeader('x-request-id', id);
    requestIds.run(id, () =>
      loggers.run(options.logger, () => {
        const resource = new AsyncResource('api request');
        const onFailure = (error: unknown) => resource.runInAsyncScope(handle, undefined, error, request, response, id);
        dispatch(options.routes, request, response).catch(onFailure);
      }),
    );
  });
  return server;
}

async function dispatch(routes: Starter.Routes, request: http.IncomingMessage, response: http.ServerResponse) {
  const end = request.url!.indexOf('?');
  const path = end === -1 ? request.url! : request.url!.slice(0, end);
  const handler = new Map(Object.entries(routes)).get(`${request.method} ${path}`);
  if (handler === undefined) throw new ApiError(404, 'Not Found', { detail: 'Have a look at the address.' });
  const result = handler(request, response);
  await result;
}

function handle(error: unknown, _request: http.IncomingMessage, response: http.ServerResponse, id: string): void {
  const { writableEnded, writableFinished, destroyed, headersSent, errored } = response;
  const clientLeft = destroyed && errored === null && !writableFinished;
  if (clientLeft) return;

  put('error', { message: 'unhandled error in a route', error: portrait(error) });

  if (writableEnded) return;
  if (headersSent) {
    response.socket?.resetAndDestroy();
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const known = typeof error === 'object' && error !== null ? problems.get(error) : undefined;
  const isValid = known !== undefined && Number(known.status) >= 400 && Number(known.status) < 600;
  const problem = isValid ? known : { title: http.STATUS_CODES[500], status: 500 };
  response.statusCode = Number(problem.status);
  response.setHeader('x-request-id', id);
  response.setHeader('content-type', 'application/problem+json');
  response.write(JSON.stringify(problem));
  response.end();
}

function portrait(error: unknown): Starter.LoggedError {
  const links: Starter.LoggedError[] = [];
  const met = new Set<unknown>();
  for (let one: unknown = error; ;) {
    met.add(one);
    try {
      if (!(one instanceof Error)) {
        links.push({
          name: 'not an error',
          message: typeof one === 'object' ? format('%j', cleanClone(one)) : format(one),
        });
        break;
      }
      links.push({ name: one.name, message: one.message, stack: one.stack ?? 'no stack' });
      if (one.cause === undefined || met.has(one.cause)) break;
      one = one.cause;
    } catch (fault) {
      links.push({ name: 'unreadable error', message: fault instanceof Error ? fault.message : '' });
      break;
    }
  }
  for (const [index, link] of links.entries()) if (index > 0) links[index - 1]!.cause = link;
  return links[0]!;
}

/** Copies, and then cleans the copy. */
function cleanClone(value: unknown): unknown {
  const clone = structuredClone(value);
  const todo: unknown[] = [clone];
  const done = new Set<unknown>();
  while (todo.length > 0) {
    const next = todo.pop();
    if (typeof next !== 'object' || next === null || done.has(next)) continue;
    done.add(next);
    for (const [key, item] of Object.entries(next)) {
      if (secretNames.includes(key.toLowerCase())) Reflect.set(next, key, '[redacted]');
      else todo.push(item);
    }
  }
  return clone;
}

function put(level: Level, line: Omit<Starter.Line, 'requestId'>): void {
  const requestId = requestIds.getStore();
  const logger = loggers.getStore();
  if (requestId === undefined || logger === undefined) return;
  try {
    logger[level]({ level, time: new Date().toISOString(), requestId, ...line } as Starter.Line);
  } catch (error) {
    process.emitWarning(`The logger threw: ${error instanceof Error ? error.name : typeof error}`);
  }
}

export function log(message: string, fields?: Starter.Fields): void {
  put('info', fields === undefined ? { message } : { message, fields: cleanClone(fields) as Starter.Fields });
}

export function bind<Args extends unknown[], Result>(callback: (...args: Args) => Result): (...args: Args) => Result {
  return AsyncResource.bind(callback);
}
