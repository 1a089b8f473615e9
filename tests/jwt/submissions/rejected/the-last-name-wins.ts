/*
breaks: [10]
why: JSON.parse keeps the last of two equal names, and verify does not notice the repetition. Another parser may read a different value.
ask: What might another JSON parser do with a repeated name?
*/
import { createHmac, timingSafeEqual } from 'node:crypto';

type Payload = Record<string, unknown>;
type Secret = string | Uint8Array;
type Keys = Readonly<Record<string, Secret>>;

interface VerifyOptions {
  now?: () => number;
  toleranceSeconds?: number;
  audience?: string;
  issuer?: string;
  typ?: string;
}

const leastSecretBytes = 32;
const times = ['exp', 'nbf', 'iat'] as const;

/** Signs a payload with HS256 and returns the compact token. */
export function sign(payload: Payload, secret: Secret, options: { kid?: string; typ?: string } = {}): string {
  const { kid, typ = 'JWT' } = options;
  const header = { alg: 'HS256', typ, ...(kid !== undefined && { kid }) };
  const signed = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${hmac(signed, secret).toString('base64url')}`;
}

/** Returns the payload of a token. @throws Error when the token must not be trusted */
export function verify(token: string, secretOrKeys: Secret | Keys, options: VerifyOptions = {}): Payload {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error(`The token has ${parts.length} parts; expected 3.`);
  const [headerBytes, payloadBytes, signature] = parts.map(decode) as [Buffer, Buffer, Buffer];

  const header = parseObject(headerBytes.toString(), 'header');
  if (header.alg !== 'HS256') throw new Error(`The token's alg is ${JSON.stringify(header.alg)}; expected "HS256".`);
  if (Object.hasOwn(header, 'crit')) throw new Error('The header has crit; no extension is supported.');

  const expected = hmac(`${parts[0]}.${parts[1]}`, secretFor(header, secretOrKeys));
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
    throw new Error('The signature does not match.');

  const payload = parseObject(payloadBytes.toString(), 'payload');
  checkTimes(payload, options);
  checkExpected(header, payload, options);
  return payload;
}

function hmac(text: string, secret: Secret): Buffer {
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

function parseObject(text: string, what: string): Payload {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`The ${what} is not a JSON object.`);
  return value as Payload;
}

function secretFor({ kid }: Payload, secretOrKeys: Secret | Keys): Secret {
  if (typeof secretOrKeys === 'string' || secretOrKeys instanceof Uint8Array) return secretOrKeys;
  const secret = typeof kid === 'string' && Object.hasOwn(secretOrKeys, kid) ? secretOrKeys[kid] : undefined;
  if (secret === undefined) throw new Error(`There is no key with the kid ${JSON.stringify(kid)}.`);
  return secret;
}

function checkTimes(payload: Payload, { now = Date.now, toleranceSeconds = 0 }: VerifyOptions): void {
  for (const name of times) {
    if (Object.hasOwn(payload, name) && typeof payload[name] !== 'number') throw new Error(`${name} is not a number.`);
  }
  const { exp = Infinity, nbf = -Infinity } = payload as { exp?: number; nbf?: number };
  const seconds = now() / 1000;
  if (seconds >= exp + toleranceSeconds) throw new Error(`The token expired at ${exp} (exp).`);
  if (seconds < nbf - toleranceSeconds) throw new Error(`The token is not valid before ${nbf} (nbf).`);
}

function checkExpected(header: Payload, payload: Payload, { audience, issuer, typ }: VerifyOptions): void {
  const audiences: unknown[] = Array.isArray(payload.aud) ? payload.aud : [payload.aud];
  if (audience !== undefined && !audiences.includes(audience))
    throw new Error(`The token is not for ${audience} (aud).`);
  if (issuer !== undefined && payload.iss !== issuer) throw new Error(`The token is not from ${issuer} (iss).`);
  if (typ !== undefined && header.typ !== typ) throw new Error(`The token's typ is not ${typ}.`);
}
