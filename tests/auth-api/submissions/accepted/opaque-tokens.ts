import * as crypto from 'node:crypto';
import * as http from 'node:http';

interface User {
  id: string;
  name: string;
  passwordHash: string;
}

interface AppOptions {
  users: {
    findByName(name: string): Promise<User | undefined>;
    findById(id: string): Promise<User | undefined>;
  };
  secret: string;
  clock: () => number;
  log: (line: string) => void;
}

class Family {
  isEnded = false;
  readonly keys = new Set<string>();
  readonly userId: string;

  constructor(userId: string) {
    this.userId = userId;
  }
}

interface Entry {
  family: Family;
  use: 'access' | 'refresh';
  until: number;
  used: boolean;
}

/** Tokens are random and mean nothing; what they mean is looked up under their hash. */
class Vault {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  static #key(token: string) {
    return crypto.createHash('sha256').update(token).digest('latin1');
  }

  issue(family: Family) {
    return { accessToken: this.#add(family, 'access', 900), refreshToken: this.#add(family, 'refresh', 604_800) };
  }

  find(token: string, use: Entry['use']): Entry | undefined {
    const entry = this.#entries.get(Vault.#key(token));
    return entry?.use === use && !entry.family.isEnded && this.#now() < entry.until ? entry : undefined;
  }

  end(family: Family) {
    family.isEnded = true;
    for (const key of family.keys) this.#entries.delete(key);
  }

  sweep() {
    for (const [key, { until, family }] of this.#entries)
      if (until <= this.#now() || family.isEnded) {
        this.#entries.delete(key);
        family.keys.delete(key);
      }
  }

  #add(family: Family, use: Entry['use'], seconds: number) {
    const token = crypto.randomBytes(32).toString('hex');
    const key = Vault.#key(token);
    this.#entries.set(key, { family, use, until: this.#now() + seconds * 1000, used: false });
    family.keys.add(key);
    return token;
  }
}

class App extends http.Server {
  readonly #vault: Vault;
  readonly #options: AppOptions;

  constructor(options: AppOptions) {
    super();
    this.#options = options;
    this.#vault = new Vault(options.clock);
    this.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      const path = request.url!.replace(/\?.*/s, '');
      this.#serve(request, response, path)
        .catch(() => this.#reply(response, 500))
        .finally(() => options.log(JSON.stringify({ method: request.method, path, status: response.statusCode })));
    });
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse, path: string): Promise<void> {
    const methods = new Map([
      ['/login', 'POST'],
      ['/refresh', 'POST'],
      ['/logout', 'POST'],
      ['/api/profile', 'GET'],
    ]);
    const method = methods.get(path);
    if (!method) return this.#reply(response, 404);
    if (request.method !== method) {
      response.setHeader('Allow', method);
      return this.#reply(response, 405);
    }
    if (path === '/login' || path === '/refresh') return await this.#withBody(request, response, path);

    const given = request.rawHeaders.filter(
      (_, at) => at % 2 === 1 && /^authorization$/i.test(request.rawHeaders[at - 1]!),
    );
    if (given.length > 1) return this.#reply(response, 400);
    const [scheme, token = ''] = (given[0] ?? '').split(' ');
    const entry = scheme?.toLowerCase() === 'bearer' ? this.#vault.find(token, 'access') : undefined;
    if (!entry) return this.#reply(response, 401);
    if (path === '/logout') {
      this.#vault.end(entry.family);
      return this.#reply(response, 204);
    }
    const user = await this.#options.users.findById(entry.family.userId);
    return user ? this.#reply(response, 200, { name: user.name, id: user.id }) : this.#reply(response, 401);
  }

  async #withBody(request: http.IncomingMessage, response: http.ServerResponse, path: string): Promise<void> {
    const body = await this.#read(request);
    if (body === 'too large') {
      response.shouldKeepAlive = false;
      return this.#reply(response, 413);
    }
    let fields: Record<string, unknown> | null;
    try {
      fields = JSON.parse(body.toString('utf8')) as Record<string, unknown> | null;
    } catch {
      return this.#reply(response, 400);
    }
    const { name, password, refreshToken } = fields ?? {};
    if (path === '/refresh')
      return typeof refreshToken === 'string'
        ? await this.#refresh(response, refreshToken)
        : this.#reply(response, 400);
    if (typeof name !== 'string' || typeof password !== 'string') return this.#reply(response, 400);

    const user = await this.#options.users.findByName(name);
    const [salt = '', key = ''] = user ? user.passwordHash.split(':') : ['', ''];
    const derived = crypto.scryptSync(password, Buffer.from(salt, 'hex'), 32);
    if (derived.toString('hex') !== key || !user) return this.#reply(response, 401);
    this.#vault.sweep();
    return this.#reply(response, 200, this.#vault.issue(new Family(user.id)));
  }

  async #refresh(response: http.ServerResponse, token: string): Promise<void> {
    const entry = this.#vault.find(token, 'refresh');
    if (!entry) return this.#reply(response, 401);
    const { family } = entry;
    if (entry.used) {
      this.#vault.end(family);
      return this.#reply(response, 401);
    }
    entry.used = true;
    if (!(await this.#options.users.findById(family.userId)) || family.isEnded) return this.#reply(response, 401);
    return this.#reply(response, 200, this.#vault.issue(family));
  }

  #read(request: http.IncomingMessage): Promise<Buffer | 'too large'> {
    return new Promise((resolve, reject) => {
      let body = Buffer.alloc(0);
      request.on('data', (chunk: Buffer) => {
        body = Buffer.concat([body, chunk]);
        if (body.length <= 16_384) return;
        request.removeAllListeners('data').pause();
        resolve('too large');
      });
      request.on('end', () => resolve(body));
      request.on('error', reject);
    });
  }

  #reply(response: http.ServerResponse, status: number, body?: object): void {
    response.statusCode = status;
    if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="api"');
    if (body) response.setHeader('Content-Type', 'application/json; charset=utf-8');
    response.end(body && JSON.stringify(body));
  }
}

export function createApp(options: AppOptions): http.Server {
  return new App(options);
}
