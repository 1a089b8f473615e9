import { createHmac, randomBytes } from 'node:crypto';

type Secret = string | Uint8Array;
type Keys = Record<string, Secret>;

interface Options {
  now?: () => number;
  toleranceSeconds?: number;
  audience?: string;
  issuer?: string;
  typ?: string;
}

class TokenError extends Error {
  override name = 'TokenError';
}

/** Parses JSON strictly: a repeated name is an error. */
class StrictJson {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    const value = this.#value();
    if (this.#at !== this.#text.length) throw new TokenError('text after the JSON document');
    return value;
  }

  #value(): unknown {
    this.#space();
    const first = this.#text[this.#at];
    const value = first === '{' ? this.#object() : first === '[' ? this.#array() : this.#scalar();
    this.#space();
    return value;
  }

  #object(): unknown {
    const members = new Map<string, unknown>();
    this.#at++;
    this.#space();
    if (this.#takes('}')) return {};
    do {
      this.#space();
      const name = this.#scalar();
      if (typeof name !== 'string') throw new TokenError('a member without a name');
      if (members.has(name)) throw new TokenError(`${name} is repeated`);
      this.#space();
      if (!this.#takes(':')) throw new TokenError('a colon is missing');
      members.set(name, this.#value());
    } while (this.#takes(','));
    if (!this.#takes('}')) throw new TokenError('an object without an end');
    return Object.fromEntries(members);
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    this.#at++;
    this.#space();
    if (this.#takes(']')) return items;
    do items.push(this.#value());
    while (this.#takes(','));
    if (!this.#takes(']')) throw new TokenError('an array without an end');
    return items;
  }

  #scalar(): unknown {
    const pattern = /"(?:[^"\\]|\\.)*"|[-+.\w]+/y;
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (!found) throw new TokenError(`unexpected text at ${this.#at}`);
    this.#at = pattern.lastIndex;
    return JSON.parse(found[0]);
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    while (this.#at < this.#text.length && ' \t\r\n'.includes(this.#text[this.#at]!)) this.#at++;
  }
}

export function sign(payload: object, secret: Secret, options: { kid?: string; typ?: string } = {}): string {
  const header = Buffer.from(JSON.stringify({ ...options, alg: 'HS256' })).toString('base64url');
  const input = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
  return `${input}.${mac(secret, input)}`;
}

export function verify(token: string, secretOrKeys: Secret | Keys, options: Options = {}): Record<string, unknown> {
  const match = /^([\w-]+)\.([\w-]+)\.([\w-]{43})$/.exec(token);
  if (!match || match[0].length !== token.length) throw new TokenError('not a compact token');
  const [, head, body, given] = match as unknown as [string, string, string, string];

  const header = objectIn(head);
  if (header.alg !== 'HS256' || 'crit' in header) throw new TokenError('header not supported');

  const secret = choose(secretOrKeys, header.kid);
  if (!areEqual(given, mac(secret, `${head}.${body}`))) throw new TokenError('bad signature');

  let claims: Record<string, unknown>;
  try {
    claims = objectIn(body);
  } catch {
    throw new TokenError('bad payload');
  }
  new Claims(claims, options).check();
  if (options.typ !== undefined && header.typ !== options.typ) throw new TokenError('bad typ');
  return claims;
}

class Claims {
  readonly #claims: Record<string, unknown>;
  readonly #options: Options;

  constructor(claims: Record<string, unknown>, options: Options) {
    this.#claims = claims;
    this.#options = options;
  }

  check(): void {
    const tolerance = (this.#options.toleranceSeconds ?? 0) * 1000;
    const now = (this.#options.now ?? Date.now)();
    const [expires, begins] = [this.#time('exp'), this.#time('nbf')];
    this.#time('iat');
    if (expires !== undefined && now - tolerance >= expires) throw new TokenError('expired');
    if (begins !== undefined && now + tolerance < begins) throw new TokenError('too early');
    const { aud, iss } = this.#claims;
    const { audience, issuer } = this.#options;
    if (audience !== undefined && ![aud].flat().some((one) => one === audience)) throw new TokenError('bad aud');
    if (issuer !== undefined && iss !== issuer) throw new TokenError('bad iss');
  }

  #time(name: string): number | undefined {
    const value = this.#claims[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'number') throw new TokenError(`${name} is no number`);
    return value * 1000;
  }
}

function objectIn(part: string): Record<string, unknown> {
  const text = Buffer.from(part, 'base64url').toString('utf8');
  if (Buffer.from(text).toString('base64url') !== part) throw new TokenError('not canonical');
  const value = new StrictJson(text).document();
  if (Object.prototype.toString.call(value) !== '[object Object]') throw new TokenError('not an object');
  return value as Record<string, unknown>;
}

function choose(secretOrKeys: Secret | Keys, kid: unknown): Secret {
  if (typeof secretOrKeys === 'string' || ArrayBuffer.isView(secretOrKeys)) return secretOrKeys;
  const found = Object.entries(secretOrKeys).find(([name]) => name === kid);
  if (!found) throw new TokenError('unknown kid');
  return found[1];
}

function mac(secret: Secret, input: string): string {
  if (Buffer.byteLength(secret) < 32) throw new TokenError('short secret');
  return createHmac('sha256', secret).update(input).digest('base64url');
}

/** An attacker cannot predict these HMACs, so the time of the comparison reveals nothing. */
function areEqual(left: string, right: string): boolean {
  const key = randomBytes(32);
  const [first, second] = [left, right].map((text) => createHmac('sha256', key).update(text).digest('hex'));
  return first === second;
}
