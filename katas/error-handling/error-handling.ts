import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

/** A plain object of JSON values. */
export type Fields = Readonly<Record<string, unknown>>;
export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;
/** Handlers by method and path, such as `GET /orders`. */
export type Routes = Readonly<Record<string, Handler>>;

export interface LoggedError {
  name: string;
  message: string;
  stack?: string;
  /** In the same form. */
  cause?: unknown;
}

export interface Line {
  requestId: string;
  message: string;
  fields?: Fields;
  error?: LoggedError;
}

export interface Logger {
  info(line: Line): void;
  error(line: Line): void;
}

export interface ApiOptions {
  logger: Logger;
  routes: Routes;
}

export interface ProblemOptions {
  type?: string;
  detail?: string;
  cause?: unknown;
}

/** An error that the client may see. Its message is the title. */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  readonly type: string | undefined;
  readonly detail: string | undefined;

  constructor(status: number, title: string, { type, detail, cause }: ProblemOptions = {}) {
    super(title, { cause });
    this.status = status;
    this.title = title;
    this.type = type;
    this.detail = detail;
  }
}

let requests = 0;
let current: { requestId: string; logger: Logger } | undefined;

/** Creates an HTTP server that runs the route of each request. */
export function createApi({ logger, routes }: ApiOptions): Server {
  return createServer((request, response) => void serve(request, response));

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const requestId = String(++requests);
    current = { requestId, logger };
    response.setHeader('x-request-id', requestId);
    try {
      const [path] = request.url!.split('?');
      const route = routes[`${request.method} ${path}`];
      if (!route) throw new ApiError(404, 'Not Found');
      await route(request, response);
    } catch (error: any) {
      console.log(requestId, error);
      response.statusCode = error.status ?? 500;
      response.end(JSON.stringify({ error: error.message, stack: error.stack }));
    }
  }
}

/** Writes a line for the current request. */
export function log(message: string, fields?: Fields): void {
  if (!current) return;
  const { requestId, logger } = current;
  logger.info({ requestId, message, ...(fields && { fields }) });
}

/** Keeps the current request for a callback that somebody else will call. */
export function bind<Args extends unknown[], Result>(callback: (...args: Args) => Result): (...args: Args) => Result {
  return callback;
}
