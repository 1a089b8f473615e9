import { createHmac, timingSafeEqual } from 'crypto';

interface Options {
  now?(): number;
  toleranceSeconds?: number;
  audience?: string;
  issuer?: string;
  typ?: string;
}

type Secret = string | Uint8Array;
const encoder = new TextEncoder();

/** Appends the correct signature to a text. */
function complete(text: string, secret: Secret): string {
  const bytes = typeof secret === 'string' ? encoder.encode(secret) : secret;
  if (!(bytes instanceof Uint8Array) || bytes.byteLength < 32) throw new RangeError('secret of fewer than 32 bytes');
  const hmac = createHmac('sha256', bytes);
  hmac.update(text);
  return text + '.' + hmac.digest('base64url');
}

export function sign(payload: object, secret: Secret, options?: { kid?: string; typ?: string }): string {
  return complete(pack({ typ: 'JWT', ...options, alg: 'HS256' }) + '.' + pack(payload), secret);
}

export function verify(token: string, secretOrKeys: Secret | { [kid: string]: Secret }, options: Options = {}) {
  const end = token.lastIndexOf('.');
  const middle = token.indexOf('.');
  if (middle < 1 || middle === end) throw new SyntaxError('three parts expected');
  const head = token.slice(0, middle);
  const header = unpack(head);
  if (header.get('alg') !== 'HS256') throw new TypeError('HS256 expected');
  if (header.has('crit')) throw new TypeError('crit');

  // Builds the whole token again. A signature in another spelling, or anything after it, gives a different text.
  const again = Buffer.from(complete(token.slice(0, end), secretOf(secretOrKeys, header.get('kid'))));
  const given = Buffer.from(token);
  if (again.length !== given.length || !timingSafeEqual(again, given)) throw new TypeError('signature');

  const payload = unpack(token.slice(middle + 1, end));
  const { now = Date.now, toleranceSeconds: more = 0, audience, issuer, typ } = options;
  const at = now() / 1000;
  for (const name of ['exp', 'nbf', 'iat']) {
    if (payload.has(name) && typeof payload.get(name) !== 'number') throw new TypeError(name);
  }
  if (payload.has('exp') && !(at < (payload.get('exp') as number) + more)) throw new RangeError('exp');
  if (payload.has('nbf') && !(at >= (payload.get('nbf') as number) - more)) throw new RangeError('nbf');
  if (audience !== undefined) {
    const aud = payload.get('aud');
    if (!new Set<unknown>(Array.isArray(aud) ? aud : [aud]).has(audience)) throw new TypeError('aud');
  }
  if (issuer !== undefined && payload.get('iss') !== issuer) throw new TypeError('iss');
  if (typ !== undefined && header.get('typ') !== typ) throw new TypeError('typ');
  return Object.fromEntries(payload);
}

function secretOf(secretOrKeys: Secret | { [kid: string]: Secret }, kid: unknown): Secret {
  if (typeof secretOrKeys === 'string' || secretOrKeys instanceof Uint8Array) return secretOrKeys;
  const own: Record<string, Secret> = Object.assign(Object.create(null), secretOrKeys);
  if (typeof kid !== 'string' || !(kid in own)) throw new TypeError('kid');
  return own[kid]!;
}

function pack(value: unknown): string {
  return Buffer.from(encoder.encode(JSON.stringify(value))).toString('base64url');
}

/** Returns the members of an object. Rejects text that is not canonical base64url, and repeated names. */
function unpack(part: string): Map<string, unknown> {
  const text = Buffer.from(part, 'base64url').toString();
  if (Buffer.from(text).toString('base64url') !== part) throw new SyntaxError('base64url');
  const value: unknown = JSON.parse(text);
  if (value?.constructor !== Object) throw new SyntaxError('object expected');
  let depth = 0;
  let string = '';
  let inString = false;
  const names: string[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (inString) {
      if (character === '\\') string += character + text[++at];
      else if (character === '"') inString = false;
      else string += character;
    } else if (character === '"') [inString, string] = [true, ''];
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === ':' && depth === 1) names.push(string);
  }
  if (new Set(names).size < names.length) throw new SyntaxError('repeated name');
  return new Map(Object.entries(value as object));
}
