import { createHmac, randomUUID, scrypt, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES, createServer } from 'node:http';
import { promisify } from 'node:util';

export interface User {
  id: string;
  name: string;
  /** `<salt>:<key>` in hexadecimal. The key is `scrypt(password, salt, 32)` with the default cost. */
  passwordHash: string;
}

export interface Users {
  findByName(name: string): Promise<User | undefined>;
  findById(id: string): Promise<User | undefined>;
}

export interface AppOptions {
  users: Users;
  /** At least 32 characters, for signatures. */
  secret: string;
  /** The time in ms, as from `Date.now`. */
  clock: () => number;
  log: (line: string) => void;
}

export interface TokenPair {
  accessToken: string;
  refreshToken: string;
}

type Kind = 'access' | 'refresh';
type Headers = Readonly<Record<string, string>>;

/** One login, and all tokens that come from it. */
interface Session {
  readonly userId: string;
  /** Of the newest tokens. A refresh token of another generation has been used. */
  generation: number;
  expiresMs: number;
}

interface Claims {
  readonly kind: Kind;
  readonly id: string;
  readonly generation: number;
  readonly expiresMs: number;
}

interface Route {
  readonly method: string;
  answer(request: IncomingMessage): Promise<object | undefined>;
}

const bodyLimitBytes = 16 * 1024;
const lifetimeMs = { access: 15 * 60 * 1000, refresh: 7 * 24 * 60 * 60 * 1000 };
const keyBytes = 32;
/** Unknown users have this one. No password has such a key. */
const nobodysHash = `${'0'.repeat(32)}:${'0'.repeat(2 * keyBytes)}`;
const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);

/** What the client is told. Its message is for the client, too. */
class HttpError extends Error {
  readonly status: number;
  readonly headers: Headers;

  constructor(status: number, headers: Headers = {}) {
    super(STATUS_CODES[status]);
    this.status = status;
    this.headers = headers;
  }
}

/** An API with login, rotating refresh tokens and logout. Sessions live in this process. */
export function createApp({ users, secret, clock, log }: AppOptions): Server {
  // In the order of their expiry, as all live equally long and each refresh moves its session to the end.
  const sessions = new Map<string, Session>();

  const routes: Readonly<Record<string, Route>> = {
    '/login': {
      method: 'POST',
      async answer(request) {
        const { name, password } = await readTexts(request, ['name', 'password']);
        const user = await users.findByName(name);
        const isRight = await isPassword(password, user?.passwordHash ?? nobodysHash);
        if (user === undefined || !isRight) throw unauthorized();
        forgetExpired();
        return renew(randomUUID(), { userId: user.id, generation: 0, expiresMs: 0 });
      },
    },
    '/api/profile': {
      method: 'GET',
      async answer(request) {
        const { userId } = open(bearerToken(request), 'access').session;
        const user = await users.findById(userId);
        if (user === undefined) throw unauthorized();
        return { id: user.id, name: user.name };
      },
    },
    '/refresh': {
      method: 'POST',
      async answer(request) {
        const { refreshToken } = await readTexts(request, ['refreshToken']);
        const { id, generation, session } = open(refreshToken, 'refresh');
        if (generation !== session.generation) {
          sessions.delete(id);
          throw unauthorized();
        }
        // Without an await since the check: the token is used now, whoever else has it.
        const pair = renew(id, session);
        if ((await users.findById(session.userId)) === undefined) throw unauthorized();
        return pair;
      },
    },
    '/logout': {
      method: 'POST',
      async answer(request) {
        sessions.delete(open(bearerToken(request), 'access').id);
        return undefined;
      },
    },
  };

  function renew(id: string, session: Session): TokenPair {
    session.generation++;
    session.expiresMs = clock() + lifetimeMs.refresh;
    sessions.delete(id);
    sessions.set(id, session);
    return { accessToken: seal('access', id, session), refreshToken: seal('refresh', id, session) };
  }

  function seal(kind: Kind, id: string, { generation }: Session): string {
    const claims: Claims = { kind, id, generation, expiresMs: clock() + lifetimeMs[kind] };
    const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${body}.${hmac(body).toString('base64url')}`;
  }

  function open(token: string, kind: Kind): Claims & { readonly session: Session } {
    const [body = '', mac = ''] = token.split('.');
    const [given, expected] = [Buffer.from(mac, 'base64url'), hmac(body)];
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw unauthorized();
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Claims;
    const session = sessions.get(claims.id);
    if (session === undefined || claims.kind !== kind || clock() >= claims.expiresMs) throw unauthorized();
    return { ...claims, session };
  }

  function hmac(text: string): Buffer {
    return createHmac('sha256', secret).update(text).digest();
  }

  function forgetExpired(): void {
    for (const [id, { expiresMs }] of sessions) {
      if (clock() < expiresMs) return;
      sessions.delete(id);
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    try {
      if (route === undefined) throw new HttpError(404);
      if (request.method !== route.method) throw new HttpError(405, { allow: route.method });
      const body = await route.answer(request);
      send(response, body === undefined ? 204 : 200, body);
    } catch (error) {
      const { status, message, headers } = error instanceof HttpError ? error : new HttpError(500);
      send(response, status, { error: message }, headers);
    }
  }

  return createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    response.on('close', () => log(`${request.method} ${path} ${response.statusCode}`));
    void answer(request, response, path);
  });
}

function send(response: ServerResponse, status: number, body?: object, headers: Headers = {}): void {
  if (body === undefined) response.writeHead(status, headers).end();
  else response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function unauthorized(): HttpError {
  return new HttpError(401, { 'www-authenticate': 'Bearer' });
}

function bearerToken({ headersDistinct }: IncomingMessage): string {
  // `headers` would show only the first of several.
  const values = headersDistinct.authorization ?? [];
  if (values.length > 1) throw new HttpError(400);
  const [, token] = /^bearer (\S+)$/i.exec(values[0] ?? '') ?? [];
  if (token === undefined) throw unauthorized();
  return token;
}

async function isPassword(password: string, passwordHash: string): Promise<boolean> {
  const [salt = '', key = ''] = passwordHash.split(':');
  const derived = await deriveKey(password, Buffer.from(salt, 'hex'), keyBytes);
  return timingSafeEqual(derived, Buffer.from(key, 'hex'));
}

/** Reads a JSON object that has texts under these names. */
async function readTexts<Name extends string>(
  request: IncomingMessage,
  names: readonly Name[],
): Promise<Record<Name, string>> {
  const value = parse(await readBody(request));
  if (typeof value !== 'object' || value === null) throw new HttpError(400);
  const fields = value as Record<Name, string>;
  if (!names.every((name) => typeof fields[name] === 'string')) throw new HttpError(400);
  return fields;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The message of JSON.parse quotes the text.
    throw new HttpError(400);
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const tooLarge = new HttpError(413, { connection: 'close' });
  if (Number(request.headers['content-length'] ?? 0) > bodyLimitBytes) throw tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyLimitBytes) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
