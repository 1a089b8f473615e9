import { randomBytes, scrypt } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

interface User {
  readonly id: string;
  readonly name: string;
  readonly passwordHash: string;
}

interface AppOptions {
  readonly users: {
    readonly findByName: (name: string) => Promise<User | undefined>;
    readonly findById: (id: string) => Promise<User | undefined>;
  };
  readonly secret: string;
  readonly clock: () => number;
  readonly log: (line: string) => void;
}

interface Claims {
  readonly typ: 'at' | 'rt';
  readonly sub: string;
  readonly sid: string;
  readonly jti: string;
  readonly exp: number;
}

interface Reply {
  readonly status: number;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const weekSeconds = 604_800;
const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');
const refused: Reply = { status: 401, body: { error: 'unauthorized' }, headers: { 'WWW-Authenticate': 'Bearer' } };
const malformed: Reply = { status: 400, body: { error: 'bad request' } };

/** Tokens say everything themselves. The process remembers only which of them do not count any more, until they expire. */
export function createApp({ users, secret, clock, log }: AppOptions): Server {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const signingKey = crypto.subtle.importKey('raw', Buffer.from(secret), algorithm, false, ['sign', 'verify']);
  const usedTokens = new Map<string, number>();
  const endedSessions = new Map<string, number>();
  const seconds = () => Math.floor(clock() / 1000);

  async function makeToken(claims: Claims): Promise<string> {
    const text = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    const signature = await crypto.subtle.sign(algorithm, await signingKey, Buffer.from(text));
    return `${text}.${Buffer.from(signature).toString('base64url')}`;
  }

  async function makePair(sub: string, sid: string): Promise<object> {
    const jti = randomBytes(12).toString('base64url');
    const [accessToken, refreshToken] = await Promise.all([
      makeToken({ typ: 'at', sub, sid, jti, exp: seconds() + 900 }),
      makeToken({ typ: 'rt', sub, sid, jti, exp: seconds() + weekSeconds }),
    ]);
    return { accessToken, refreshToken };
  }

  async function readToken(token: string, typ: Claims['typ']): Promise<Claims | undefined> {
    const match = /^(([\w-]+)\.([\w-]+))\.([\w-]{43})$/.exec(token);
    if (match?.[2] !== header) return undefined;
    const signature = Buffer.from(match[4]!, 'base64url');
    if (!(await crypto.subtle.verify(algorithm, await signingKey, signature, Buffer.from(match[1]!)))) return undefined;
    const claims = JSON.parse(Buffer.from(match[3]!, 'base64url').toString()) as Claims;
    return claims.typ === typ && claims.exp > seconds() && !endedSessions.has(claims.sid) ? claims : undefined;
  }

  /** A refresh that is under way may still issue tokens, but none that lives longer than this. */
  const endSession = (sid: string) => void endedSessions.set(sid, seconds() + 2 * weekSeconds);

  async function login(request: IncomingMessage): Promise<Reply> {
    const fields = await readJson(request);
    if (fields instanceof TooLarge) return fields.reply;
    if (typeof fields?.name !== 'string' || typeof fields.password !== 'string') return malformed;
    const user = await users.findByName(fields.name);
    const stored = user?.passwordHash ?? `${randomBytes(16).toString('hex')}:`;
    const [salt = '', key] = stored.split(':');
    const { password } = fields;
    const derived = await new Promise<Buffer>((resolve, reject) =>
      scrypt(password, Buffer.from(salt, 'hex'), 32, (error, result) => (error ? reject(error) : resolve(result))),
    );
    if (!user || derived.toString('hex') !== key) return refused;
    for (const list of [usedTokens, endedSessions])
      for (const [id, until] of list) if (until <= seconds()) list.delete(id);
    return { status: 200, body: await makePair(user.id, randomBytes(12).toString('base64url')) };
  }

  async function refresh(request: IncomingMessage): Promise<Reply> {
    const fields = await readJson(request);
    if (fields instanceof TooLarge) return fields.reply;
    if (typeof fields?.refreshToken !== 'string') return malformed;
    const claims = await readToken(fields.refreshToken, 'rt');
    if (!claims) return refused;
    if (usedTokens.has(claims.jti)) {
      endSession(claims.sid);
      return refused;
    }
    usedTokens.set(claims.jti, claims.exp);
    const user = await users.findById(claims.sub);
    return user ? { status: 200, body: await makePair(user.id, claims.sid) } : refused;
  }

  async function authorize({ headers, headersDistinct }: IncomingMessage): Promise<Claims | Reply> {
    if ((headersDistinct.authorization?.length ?? 0) > 1) return malformed;
    const { authorization = '' } = headers;
    if (authorization.slice(0, 7).toUpperCase() !== 'BEARER ') return refused;
    return (await readToken(authorization.slice(7).trim(), 'at')) ?? refused;
  }

  async function profile(request: IncomingMessage): Promise<Reply> {
    const claims = await authorize(request);
    if ('status' in claims) return claims;
    const user = await users.findById(claims.sub);
    return user ? { status: 200, body: { id: user.id, name: user.name } } : refused;
  }

  async function logout(request: IncomingMessage): Promise<Reply> {
    const claims = await authorize(request);
    if ('status' in claims) return claims;
    endSession(claims.sid);
    return { status: 204 };
  }

  async function route(request: IncomingMessage, path: string): Promise<Reply> {
    const only = async (method: string, handle: (request: IncomingMessage) => Promise<Reply>) =>
      request.method === method ? await handle(request) : { status: 405, headers: { Allow: method } };
    switch (path) {
      case '/login':
        return await only('POST', login);
      case '/refresh':
        return await only('POST', refresh);
      case '/logout':
        return await only('POST', logout);
      case '/api/profile':
        return await only('GET', profile);
      default:
        return { status: 404 };
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const path = request.url!.replace(/\?.*/s, '');
    const { status, body, headers } = await route(request, path).catch((): Reply => ({ status: 500 }));
    log(`${new Date(clock()).toISOString()} ${request.method} ${path} -> ${status}`);
    const text = body === undefined ? '' : JSON.stringify(body);
    response.writeHead(status, { ...(text && { 'Content-Type': 'application/json' }), ...headers });
    response.end(text);
  }

  return createServer((request, response) => void serve(request, response));
}

class TooLarge {
  readonly reply: Reply = { status: 413, headers: { Connection: 'close' } };
}

/** Reads with `read()`, so that nothing flows that nobody asked for. */
async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | null | undefined | TooLarge> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | TooLarge>();
  const chunks: Buffer[] = [];
  let left = 16 * 1024;
  const look = () => {
    for (let chunk; (chunk = request.read() as Buffer | null) !== null;) {
      left -= chunk.length;
      if (left < 0) {
        request.off('readable', look);
        return resolve(new TooLarge());
      }
      chunks.push(chunk);
    }
    return undefined;
  };
  request
    .on('readable', look)
    .on('end', () => resolve(Buffer.concat(chunks)))
    .on('error', reject);
  const body = await promise;
  if (body instanceof TooLarge) return body;
  try {
    return JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown> | null;
  } catch {
    return undefined;
  }
}
