import { createHmac, timingSafeEqual } from 'node:crypto';
import type * as Starter from '../../katas/jwt/jwt.ts';

const leastSecretBytes = 32;
const times = ['exp', 'nbf', 'iat'] as const;

/** Signs a payload with HS256 and returns the compact token. */
export function sign(payload: Starter.Payload, secret: Starter.Secret, options: Starter.SignOptions = {}): string {
  const { kid, typ = 'JWT' } = options;
  const header = { alg: 'HS256', typ, ...(kid !== undefined && { kid }) };
  const signed = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${hmac(signed, secret).toString('base64url')}`;
}

/** Returns the payload of a token. @throws Error when the token must not be trusted */
export function verify(
  token: string,
  secretOrKeys: Starter.Secret | Starter.Keys,
  options: Starter.VerifyOptions = {},
): Starter.Payload {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error(`The token has ${parts.length} parts; expected 3.`);
  const [headerBytes, payloadBytes, signature] = parts.map(decode) as [Buffer, Buffer, Buffer];

  const headerText = headerBytes.toString();
  const header = parseObject(headerText, 'header');
  if (header.alg !== 'HS256') throw new Error(`The token's alg is ${JSON.stringify(header.alg)}; expected "HS256".`);
  if (Object.hasOwn(header, 'crit')) throw new Error('The header has crit; no extension is supported.');
  const repeated = repeatedName(headerText);
  if (repeated !== undefined) throw new Error(`The header repeats ${repeated}.`);

  const expected = hmac(`${parts[0]}.${parts[1]}`, secretFor(header, secretOrKeys));
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
    throw new Error('The signature does not match.');

  const payload = parseObject(payloadBytes.toString(), 'payload');
  checkTimes(payload, options);
  checkExpected(header, payload, options);
  return payload;
}

function hmac(text: string, secret: Starter.Secret): Buffer {
  const key = typeof secret === 'string' ? Buffer.from(secret) : secret;
  if (key.length < leastSecretBytes)
    throw new Error(`The secret has ${key.length} bytes; HS256 needs at least ${leastSecretBytes}.`);
  return createHmac('sha256', key).update(text).digest();
}

/** Node decodes leniently. Only canonical text stays the same when its bytes are encoded again. */
function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw new Error(`"${part}" is not canonical base64url.`);
  return bytes;
}

function parseObject(text: string, what: string): Starter.Payload {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`The ${what} is not a JSON object.`);
  return value as Starter.Payload;
}

/** The first name that valid JSON repeats in its outermost object. */
function repeatedName(json: string): string | undefined {
  const names = new Set<string>();
  let depth = 0;
  for (const [, text, colon, bracket] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*(:?)|([[\]{}])/g)) {
    if (bracket) depth += bracket === '{' || bracket === '[' ? 1 : -1;
    if (!colon || depth !== 1) continue;
    const name = JSON.parse(text!) as string;
    if (names.has(name)) return name;
    names.add(name);
  }
  return undefined;
}

function secretFor({ kid }: Starter.Payload, secretOrKeys: Starter.Secret | Starter.Keys): Starter.Secret {
  if (typeof secretOrKeys === 'string' || secretOrKeys instanceof Uint8Array) return secretOrKeys;
  const secret = typeof kid === 'string' && Object.hasOwn(secretOrKeys, kid) ? secretOrKeys[kid] : undefined;
  if (secret === undefined) throw new Error(`There is no key with the kid ${JSON.stringify(kid)}.`);
  return secret;
}

function checkTimes(payload: Starter.Payload, { now = Date.now, toleranceSeconds = 0 }: Starter.VerifyOptions): void {
  for (const name of times) {
    if (Object.hasOwn(payload, name) && typeof payload[name] !== 'number') throw new Error(`${name} is not a number.`);
  }
  const { exp = Infinity, nbf = -Infinity } = payload as { exp?: number; nbf?: number };
  const seconds = now() / 1000;
  if (seconds >= exp + toleranceSeconds) throw new Error(`The token expired at ${exp} (exp).`);
  if (seconds < nbf - toleranceSeconds) throw new Error(`The token is not valid before ${nbf} (nbf).`);
}

function checkExpected(
  header: Starter.Payload,
  payload: Starter.Payload,
  { audience, issuer, typ }: Starter.VerifyOptions,
): void {
  const audiences: unknown[] = Array.isArray(payload.aud) ? payload.aud : [payload.aud];
  if (audience !== undefined && !audiences.includes(audience))
    throw new Error(`The token is not for ${audience} (aud).`);
  if (issuer !== undefined && payload.iss !== issuer) throw new Error(`The token is not from ${issuer} (iss).`);
  if (typ !== undefined && header.typ !== typ) throw new Error(`The token's typ is not ${typ}.`);
}

({ sign, verify }) satisfies typeof Starter;
