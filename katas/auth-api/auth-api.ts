import { createHmac, scryptSync } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

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

const accessMs = 15 * 60 * 1000;
const refreshMs = 7 * 24 * 60 * 60 * 1000;

/** An API with login, refresh tokens and logout. */
export function createApp({ users, secret, clock, log }: AppOptions): Server {
  function sign(user: User, lifetimeMs: number): string {
    const payload = Buffer.from(JSON.stringify({ ...user, expires: clock() + lifetimeMs })).toString('base64url');
    return `${payload}.${createHmac('sha256', secret).update(payload).digest('base64url')}`;
  }

  function verify(token: string): (User & { expires: number }) | undefined {
    const [payload = '', signature] = token.split('.');
    if (signature !== createHmac('sha256', secret).update(payload).digest('base64url')) return undefined;
    const user = JSON.parse(Buffer.from(payload, 'base64url').toString()) as User & { expires: number };
    return user.expires < clock() ? undefined : user;
  }

  function tokensFor(user: User): TokenPair {
    return { accessToken: sign(user, accessMs), refreshToken: sign(user, refreshMs) };
  }

  async function serve(request: IncomingMessage, response: ServerResponse) {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    log(`${request.method} ${request.url} ${body}`);

    try {
      switch (`${request.method} ${request.url}`) {
        case 'POST /login': {
          const { name, password } = JSON.parse(body) as { name: string; password: string };
          const user = await users.findByName(name);
          if (!user) return send(response, 404, { error: `There is no user ${name}` });
          const [salt = '', key] = user.passwordHash.split(':');
          if (scryptSync(password, Buffer.from(salt, 'hex'), 32).toString('hex') !== key)
            return send(response, 401, { error: 'Wrong password' });
          return send(response, 200, tokensFor(user));
        }
        case 'GET /api/profile': {
          const user = verify((request.headers.authorization ?? '').replace('Bearer ', ''));
          if (!user) return send(response, 401, { error: 'Invalid token' });
          return send(response, 200, user);
        }
        case 'POST /refresh': {
          const { refreshToken } = JSON.parse(body) as { refreshToken: string };
          const user = verify(refreshToken);
          if (!user) return send(response, 401, { error: 'Invalid token' });
          return send(response, 200, tokensFor(user));
        }
        case 'POST /logout':
          return response.writeHead(204).end();
        default:
          return send(response, 404, { error: 'Not found' });
      }
    } catch (error) {
      return send(response, 500, { error: (error as Error).message });
    }
  }

  return createServer((request, response) => void serve(request, response));
}

function send(response: ServerResponse, status: number, body: object) {
  return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
