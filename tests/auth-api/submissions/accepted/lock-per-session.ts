import { createCipheriv, createDecipheriv, createHash, randomBytes, randomInt, scrypt } from 'node:crypto';
import { Server, type IncomingMessage, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';

type User = { id: string; name: string; passwordHash: string };
type Content = { n: number; k: 0 | 1; g: number; e: number };
type AppOptions = {
  users: { findByName(name: string): Promise<User | undefined>; findById(id: string): Promise<User | undefined> };
  secret: string;
  clock: () => number;
  log: (line: string) => void;
};

/** Ends a request from anywhere with a status. */
class Stop {
  readonly status: number;
  readonly headers: [string, string][];

  constructor(status: number, ...headers: [string, string][]) {
    this.status = status;
    this.headers = headers;
  }
}

const stop401 = Object.freeze(new Stop(401, ['www-authenticate', 'bearer']));

class Session {
  generation = 1;
  deadline = 0;
  #tail: Promise<unknown> = Promise.resolve();
  readonly userId: string;

  constructor(userId: string) {
    this.userId = userId;
  }

  /** What touches a session runs alone, so each may wait between its check and its change. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work, work);
    this.#tail = result;
    return result;
  }
}

export function createApp({ users, secret, clock, log }: AppOptions): Server {
  const key = createHash('sha256').update(secret).digest();
  // Numbers begin anywhere, so that those of another process with the same secret mean nothing here.
  let number = randomInt(2 ** 40);
  let sessions: { [number: number]: Session } = {};

  const seal = (content: Content) => {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    const parts = [iv, cipher.update(JSON.stringify(content)), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(parts).toString('hex');
  };

  const unseal = (token: string, kind: 0 | 1): [number, Session, Content] => {
    const bytes = Buffer.from(token, 'hex');
    if (bytes.length < 29) throw stop401;
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 });
    decipher.setAuthTag(bytes.subarray(-16));
    let text = decipher.update(bytes.subarray(12, -16)).toString();
    try {
      text += decipher.final();
    } catch {
      throw stop401;
    }
    const content = JSON.parse(text) as Content;
    const session = sessions[content.n];
    if (content.k !== kind || content.e <= clock() || !session) throw stop401;
    return [content.n, session, content];
  };

  const pair = (n: number, session: Session) => {
    session.deadline = clock() + 7 * 86_400_000;
    const g = session.generation;
    return {
      accessToken: seal({ n, k: 0, g, e: clock() + 900_000 }),
      refreshToken: seal({ n, k: 1, g, e: session.deadline }),
    };
  };

  const bearer = (request: IncomingMessage) => {
    // Two headers are joined by a comma, and no token has one.
    const match = /^bearer +(.*)$/i.exec(request.headers.authorization ?? '');
    if (request.headers.authorization?.includes(',')) throw new Stop(400);
    return unseal(match?.[1] ?? '', 0);
  };

  const handlers: { [line: string]: (request: IncomingMessage) => Promise<unknown> } = {
    async 'POST /login'(request) {
      const [name, password] = await fieldsOf(request, 'name', 'password');
      const user = await users.findByName(name!);
      const hash = Buffer.from((user ?? { passwordHash: 'aa:aa' }).passwordHash.split(':').join(''), 'hex');
      const salt = hash.subarray(0, -32);
      const derived = (await promisify(scrypt)(password!, salt, 32)) as Buffer;
      if (!user || !derived.equals(hash.subarray(-32))) throw stop401;
      sessions = Object.fromEntries(Object.entries(sessions).filter(([, { deadline }]) => deadline > clock()));
      const session = new Session(user.id);
      sessions[++number] = session;
      return pair(number, session);
    },
    async 'POST /refresh'(request) {
      const [token] = await fieldsOf(request, 'refreshToken');
      const [, { alone }] = unseal(token!, 1);
      const [n, session] = unseal(token!, 1);
      return await alone.call(session, async () => {
        const { g } = unseal(token!, 1)[2];
        const user = await users.findById(session.userId);
        if (g !== session.generation) delete sessions[n];
        if (g !== session.generation || !user) throw stop401;
        session.generation += 1;
        return pair(n, session);
      });
    },
    async 'GET /api/profile'(request) {
      const [, { userId }] = bearer(request);
      const user = await users.findById(userId);
      if (!user) throw stop401;
      const { passwordHash: _, ...profile } = user;
      return profile;
    },
    async 'POST /logout'(request) {
      const [n, session] = bearer(request);
      await session.alone(async () => void delete sessions[n]);
      return null;
    },
  };

  const server = new Server({ joinDuplicateHeaders: true });
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const [path] = request.url!.split('?', 1);
    try {
      const handler = Object.entries(handlers).find(([line]) => line === `${request.method} ${path}`)?.[1];
      const allowed = Object.keys(handlers).filter((line) => line.endsWith(` ${path}`));
      if (!handler) throw allowed.length > 0 ? new Stop(405, ['allow', allowed[0]!.split(' ')[0]!]) : new Stop(404);
      const answer = await handler(request);
      if (answer) response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
      else response.writeHead(204).end();
    } catch (error) {
      const { status, headers } = error instanceof Stop ? error : new Stop(500);
      response.writeHead(status, headers.flat()).end();
      if (status === 413) response.once('finish', () => request.socket.destroySoon());
    } finally {
      log(`${request.method} ${path} ${response.statusCode}`);
    }
  };
  server.on('request', (request, response) => void serve(request, response));
  return server;
}

async function fieldsOf(request: IncomingMessage, ...names: string[]): Promise<string[]> {
  const bytes = new Uint8Array(16_384);
  let length = 0;
  const isTooMuch = await new Promise<boolean>((resolve, reject) => {
    request
      .on('data', (chunk: Uint8Array) => {
        if (length + chunk.length > bytes.length) return resolve(true);
        bytes.set(chunk, length);
        length += chunk.length;
        return undefined;
      })
      .on('end', () => resolve(false))
      .on('close', () => reject(new Error('The client has left.')));
  });
  if (isTooMuch) throw new Stop(413);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, 0, length).toString());
  } catch {
    throw new Stop(400);
  }
  return names.map((name) => {
    const text: unknown = Object(value)[name];
    if (typeof text !== 'string') throw new Stop(400);
    return text;
  });
}
