import { createHmac } from 'node:crypto';

export type Payload = Record<string, unknown>;
export type Secret = string | Uint8Array;
/** Secrets by `kid`. */
export type Keys = Readonly<Record<string, Secret>>;

export interface SignOptions {
  kid?: string;
  typ?: string;
}

export interface VerifyOptions {
  /** The time in ms, as from `Date.now`, which is the default. */
  now?: () => number;
  toleranceSeconds?: number;
  audience?: string;
  issuer?: string;
  typ?: string;
}

const hashes: Record<string, string> = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' };

/** Signs a payload with HS256 and returns the compact token. */
export function sign(payload: Payload, secret: Secret, { kid, typ = 'JWT' }: SignOptions = {}): string {
  const header = { alg: 'HS256', typ, kid };
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${signature(signed, secret, header.alg)}`;
}

/** Returns the payload of a token. @throws Error when the token must not be trusted */
export function verify(token: string, secretOrKeys: Secret | Keys, options: VerifyOptions = {}): Payload {
  const { now = Date.now, toleranceSeconds = 0, audience, issuer, typ } = options;
  const [head = '', body = '', given = ''] = token.split('.');
  const header = decode(head);
  const payload = decode(body);

  const secret = isSecret(secretOrKeys) ? secretOrKeys : secretOrKeys[header.kid as string];
  if (secret === undefined) throw new Error(`Unknown key ${String(header.kid)}`);
  if (given !== signature(`${head}.${body}`, secret, header.alg as string)) throw new Error('Invalid signature');

  const seconds = Math.floor(now() / 1000);
  if (payload.exp && seconds > Number(payload.exp) + toleranceSeconds) throw new Error('Token expired');
  if (payload.nbf && seconds < Number(payload.nbf) - toleranceSeconds) throw new Error('Token not active');
  if (audience && !(payload.aud as string | string[]).includes(audience)) throw new Error('Wrong audience');
  if (issuer && payload.iss !== issuer) throw new Error('Wrong issuer');
  if (typ && header.typ !== typ) throw new Error('Wrong type');
  return payload;
}

function signature(text: string, secret: Secret, alg: string): string {
  if (alg === 'none') return '';
  const hash = hashes[alg];
  if (hash === undefined) throw new Error(`Unknown algorithm ${alg}`);
  return createHmac(hash, secret).update(text).digest('base64url');
}

function isSecret(value: Secret | Keys): value is Secret {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

function decode(part: string): Payload {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Payload;
}
