import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { Payload } from '../../katas/jwt/jwt.ts';

/** The example of RFC 7515, appendix A.1. */
export const rfcExample = {
  token:
    'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  secret: new Uint8Array(
    Buffer.from('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', 'base64url'),
  ),
  payload: { iss: 'joe', exp: 1_300_819_380, 'http://example.com/is_root': true },
};

const text = fc.string({ unit: 'grapheme', maxLength: 12 });

/** Payloads without a claim that `verify` judges. */
export const payloads: fc.Arbitrary<Payload> = fc.record({
  sub: text,
  name: text,
  admin: fc.boolean(),
  score: fc.integer(),
  roles: fc.array(text, { maxLength: 3 }),
  address: fc.record({ city: text, floor: fc.option(fc.nat()) }),
});

/** Secrets that are long enough; only promise 9 is about exactly 32 bytes. */
export const secrets = fc.uint8Array({ minLength: 33, maxLength: 80 });

/** Two, three and four bytes a letter in UTF-8. */
export const unicodePayload: Payload = { sub: 'Zoë', city: '東京', badge: '🦊' };

/** A secret that follows the run's seed. */
export function drawSecret(): Uint8Array {
  return drawOne(secrets);
}

/** A time that follows the run's seed, in whole seconds. */
export function drawNow(): number {
  return drawOne(fc.integer({ min: 1_600_000_000, max: 2_000_000_000 }));
}

export function encode(value: string | Uint8Array): string {
  return Buffer.from(value).toString('base64url');
}

/** Signs two parts as they are, well formed or not. */
export function seal(head: string, body: string, secret: Uint8Array, hash = 'sha256'): string {
  const signature = createHmac(hash, secret).update(`${head}.${body}`).digest('base64url');
  return `${head}.${body}.${signature}`;
}

/** A token with this header and payload, as JSON text or as values, with a right HMAC. */
export function tokenOf(header: unknown, payload: unknown, secret: Uint8Array, hash?: string): string {
  return seal(encode(asJson(header)), encode(asJson(payload)), secret, hash);
}

function asJson(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The same bytes in another spelling: the last character's unused bits are set. The text must not end on whole bytes. */
export function withTrailingBits(part: string): string {
  return part.slice(0, -1) + alphabet[alphabet.indexOf(part.at(-1)!) + 1]!;
}

/** The same part with another first character. */
export function withOtherStart(part: string): string {
  return alphabet[(alphabet.indexOf(part[0]!) + 1) % alphabet.length]! + part.slice(1);
}
