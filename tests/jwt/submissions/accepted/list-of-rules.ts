import * as crypto from 'node:crypto';

type Secret = string | Uint8Array;

interface Token {
  head: string;
  body: string;
  signature: Buffer;
  text: string;
  header: Record<string, any>;
  payload: Record<string, any>;
  options: Record<string, any>;
  seconds: number;
  slack: number;
  key: crypto.KeyObject | undefined;
}

/** Each rule returns what is wrong, or false. The order matters: the signature is checked before what it protects. */
const rules: ((token: Token) => string | false)[] = [
  ({ header }) => !isObject(header) && 'The header is no object',
  ({ header }) => header.alg !== 'HS256' && 'The algorithm is not HS256',
  ({ header }) => header.crit !== undefined && 'crit',
  ({ header, text }) => countNames(text) !== Object.keys(header).length && 'A name is repeated',
  ({ key }) => key === undefined && 'Unknown key',
  ({ key }) => key!.symmetricKeySize! < 32 && 'The key is too short',
  ({ signature }) => signature.byteLength !== 32 && 'The signature is not of SHA-256',
  ({ head, body, key, signature }) =>
    !crypto.timingSafeEqual(hmac(key!, `${head}.${body}`), signature) && 'The signature is wrong',
  ({ payload }) => !isObject(payload) && 'The payload is no object',
  ({ payload: { exp = 0, nbf = 0, iat = 0 } }) =>
    [exp, nbf, iat].some((time) => typeof time !== 'number') && 'A time is no number',
  ({ payload: { exp }, seconds, slack }) => exp !== undefined && exp <= seconds - slack && 'Expired',
  ({ payload: { nbf }, seconds, slack }) => nbf !== undefined && nbf > seconds + slack && 'Not valid yet',
  ({ payload: { aud }, options: { audience } }) =>
    audience !== undefined && aud !== audience && !(Array.isArray(aud) && aud.indexOf(audience) >= 0) && 'Audience',
  ({ payload: { iss }, options: { issuer } }) => issuer !== undefined && iss !== issuer && 'Issuer',
  ({ header, options: { typ } }) => typ !== undefined && typ !== header.typ && 'Type',
];

export const sign = (payload: object, secret: Secret, { kid, typ }: { kid?: string; typ?: string } = {}) => {
  const key = keyOf(secret);
  if (key.symmetricKeySize! < 32) throw new RangeError('The key is too short');
  const text = `${write({ alg: 'HS256', typ: typ ?? 'JWT', kid })}.${write(payload)}`;
  return [text, hmac(key, text).toString('base64url')].join('.');
};

export const verify = (token: string, secretOrKeys: Secret | Record<string, Secret>, options: any = {}) => {
  const [head, body, last, ...more] = token.split('.');
  if (head === undefined || body === undefined || last === undefined || more.length > 0) throw new Error('Parts');
  if (![head, body, last].every(isCanonical)) throw new Error('Encoding');
  const text = read(head);
  const header = JSON.parse(text);
  const seen: Token = {
    head,
    body,
    signature: Buffer.from(last, 'base64url'),
    text,
    header,
    payload: JSON.parse(read(body)),
    options,
    seconds: Math.floor((options.now ? options.now() : Date.now()) / 1000),
    slack: options.toleranceSeconds ?? 0,
    key: findKey(secretOrKeys, header?.kid),
  };
  for (const rule of rules) {
    const fault = rule(seen);
    if (fault) throw new Error(fault);
  }
  return seen.payload;
};

function isObject(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function findKey(secretOrKeys: Secret | Record<string, Secret>, kid: unknown): crypto.KeyObject | undefined {
  if (typeof secretOrKeys === 'string' || secretOrKeys instanceof Uint8Array) return keyOf(secretOrKeys);
  const secret = new Map<unknown, Secret>(Object.entries(secretOrKeys)).get(kid);
  return secret === undefined ? undefined : keyOf(secret);
}

function keyOf(secret: Secret): crypto.KeyObject {
  return crypto.createSecretKey(Buffer.from(secret as string));
}

function hmac(key: crypto.KeyObject, text: string): Buffer {
  return crypto.createHmac('SHA256', key).update(text, 'utf8').digest();
}

function write(value: unknown): string {
  return Buffer.from(JSON.stringify(value))
    .toString('base64')
    .replace(/=+$/, '')
    .replace(/\+/g, '-')
    .replace(/\//g, '_');
}

function read(part: string): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url'));
}

/** Checks the alphabet, the length, and the unused bits of the last character. */
function isCanonical(part: string): boolean {
  if (/[^A-Za-z0-9_-]/.test(part) || part.length % 4 === 1) return false;
  if (part.length % 4 === 2) return /[AQgw]$/.test(part);
  if (part.length % 4 === 3) return /[AEIMQUYcgkosw048]$/.test(part);
  return true;
}

/** Counts the names of the object in this JSON text, repeated ones included. */
function countNames(json: string): number {
  let flat = json
    .replace(/"(?:\\.|[^"\\])*"/g, '0')
    .trim()
    .slice(1, -1);
  for (let before = ''; before !== flat;) {
    before = flat;
    flat = flat.replace(/\{[^{}[\]]*\}|\[[^{}[\]]*\]/g, '0');
  }
  return flat.split(':').length - 1;
}
