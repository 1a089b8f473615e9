import fc from 'fast-check';
import { jwtVerify, SignJWT } from 'jose';
import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/jwt/jwt.ts';
import {
  type Question,
  signAll,
  verifyAfterChanges,
  verifyAll,
  verifyAsTimePasses,
  watchComparisons,
} from './inside.ts';
import {
  drawNow,
  drawSecret,
  encode,
  payloads,
  rfcExample,
  seal,
  secrets,
  tokenOf,
  unicodePayload,
  withOtherStart,
  withTrailingBits,
} from './tokens.ts';

const hs256 = { alg: 'HS256', typ: 'JWT' };
const anyPayload = { sub: 'ann' };

const test = judge<typeof Kata>('jwt');

describe('core', () => {
  test('verify must return the payload of the example in RFC 7515 A.1 and of tokens signed by jose.', async ({
    subject,
  }) => {
    const drawn = fc.sample(fc.record({ payload: payloads, secret: secrets }), { seed: chosenSeed(), numRuns: 40 });
    const ofJose = await Promise.all(
      [...drawn, { payload: unicodePayload, secret: drawSecret() }].map(async ({ payload, secret }) => ({
        what: 'signed by jose',
        token: await new SignJWT(payload).setProtectedHeader(hs256).sign(secret),
        keys: secret,
        payload,
      })),
    );

    const all = [
      {
        what: 'the example in RFC 7515 A.1',
        token: rfcExample.token,
        keys: rfcExample.secret,
        now: rfcExample.payload.exp - 60,
        payload: rfcExample.payload,
      },
      ...ofJose,
    ];

    await expectAccepted(subject, all);
    const again = all.map((one) => ({
      ...one,
      what: `${one.what}; the caller changed the payload, then verified the token again`,
    }));
    await expectAccepted(subject, again, verifyAfterChanges);
  });

  test('sign must make canonical tokens that pass verify and jose with their payload unchanged.', async ({
    subject,
  }) => {
    const drawn = fc.sample(fc.record({ payload: payloads, secret: secrets }), { seed: chosenSeed(), numRuns: 40 });
    const encoded = Buffer.from(drawSecret().slice(0, 32));
    // Text that could be read as other bytes too.
    const secretsInText = [
      'a secret in text, with 32 bytes €',
      encoded.toString('hex'),
      encoded.toString('hex').toUpperCase(),
      encoded.toString('base64'),
      encoded.toString('base64url'),
    ];
    const signings = [
      ...drawn,
      { payload: unicodePayload, secret: drawSecret() },
      ...secretsInText.map((secret) => ({ payload: anyPayload, secret })),
      { payload: anyPayload, secret: drawSecret(), options: { kid: 'spring', typ: 'at+jwt' } },
      { payload: anyPayload, secret: drawSecret(), options: { kid: String.raw`"Frühling" \ 春` } },
    ];

    const answers = await subject.run(signAll, signings);

    const tokens = answers.map(({ json, refused }, at) => {
      expect(refused, `sign with ${JSON.stringify(signings[at]!.payload)}`).toBeUndefined();
      return JSON.parse(json!) as string;
    });
    for (const [at, token] of tokens.entries()) {
      expect(token, 'a token made by sign').toMatch(/^[\w-]+\.[\w-]+\.[\w-]{43}$/);
      const { payload, secret } = signings[at]!;
      const key = typeof secret === 'string' ? Buffer.from(secret) : secret;
      const signed = typeof secret === 'string' ? `${token}, signed with the text secret "${secret}"` : token;
      const read = await jwtVerify(token, key).catch((error: Error) => error.message);
      const seen = typeof read === 'string' ? `jose refused it: ${read}` : read.payload;
      expect(seen, `${signed}, read by jose`).toEqual(payload);
      if ('options' in signings[at]! && typeof read !== 'string')
        expect(read.protectedHeader, `${token}, its header`).toMatchObject({ alg: 'HS256', ...signings[at].options });
    }
    await expectAccepted(
      subject,
      tokens.map((token, at) => ({
        what: 'made by sign',
        token,
        keys: signings[at]!.secret,
        payload: signings[at]!.payload,
      })),
    );
  });

  test('verify must refuse a token whose header, payload or signature was changed.', async ({ subject }) => {
    const claims = fc.record({ id: fc.nat(), admin: fc.boolean() });
    const drawn = fc.sample(fc.record({ payload: claims, secret: secrets }), { seed: chosenSeed(), numRuns: 10 });
    for (const { payload, secret } of drawn) {
      const token = tokenOf(hs256, payload, secret);
      const [head, body, signature] = token.split('.') as [string, string, string];
      const otherBody = encode(JSON.stringify({ ...payload, admin: !payload.admin }));
      const otherHead = encode(JSON.stringify({ ...hs256, typ: 'other' }));

      await expectAccepted(subject, [{ what: 'unchanged', token, keys: secret, payload }]);
      await expectRefused(subject, [
        { what: 'another header', token: `${otherHead}.${body}.${signature}`, keys: secret },
        { what: 'another payload', token: `${head}.${otherBody}.${signature}`, keys: secret },
        { what: 'another signature', token: `${head}.${body}.${withOtherStart(signature)}`, keys: secret },
        { what: 'half of the signature', token: `${head}.${body}.${signature.slice(0, 20)}`, keys: secret },
        { what: 'a longer signature', token: `${head}.${body}.${signature.slice(0, 40)}${signature}`, keys: secret },
        { what: 'no signature', token: `${head}.${body}.`, keys: secret },
      ]);
    }
  });
});

describe('robust', () => {
  test('verify must refuse every alg but HS256.', async ({ subject }) => {
    const secret = drawSecret();
    const unsigned = ['none', 'None', 'NONE', 'nOnE'].flatMap((alg) => {
      const token = tokenOf({ alg }, anyPayload, secret);
      return [
        { what: `alg ${alg}, no signature`, token: token.slice(0, token.lastIndexOf('.') + 1), keys: secret },
        { what: `alg ${alg}, an HMAC with SHA-256`, token, keys: secret },
      ];
    });
    const hashes = ['sha384', 'sha512', 'sha1'].map((hash) => {
      const alg = `HS${hash.slice(3)}`;
      return {
        what: `alg ${alg}, signed with it`,
        token: tokenOf({ alg }, anyPayload, secret, hash),
        keys: secret,
      };
    });
    const misnamed = ['HS512', 'RS256', 'hs256', 'HS256 ', '', ['HS256'], { HS256: 1 }, null, 256].map((alg) => ({
      what: `alg ${JSON.stringify(alg)}, an HMAC with SHA-256`,
      token: tokenOf({ alg }, anyPayload, secret),
      keys: secret,
    }));

    await expectAccepted(subject, [
      { what: 'alg HS256', token: tokenOf(hs256, anyPayload, secret), keys: secret, payload: anyPayload },
    ]);
    await expectRefused(subject, [
      ...unsigned,
      ...hashes,
      ...misnamed,
      { what: 'no alg', token: tokenOf({ typ: 'JWT' }, anyPayload, secret), keys: secret },
    ]);
  });

  test('verify must refuse tokens without exactly three parts of canonical base64url.', async ({ subject }) => {
    const secret = drawSecret();
    const token = tokenOf('{"alg":"HS256" }', '{"a":1}', secret);
    const [head, body, signature] = token.split('.') as [string, string, string];
    // The sealed ones have a right HMAC over the text as it stands.
    const sealed = (what: string, otherHead: string, otherBody: string) => ({
      what: `${what}, signed`,
      token: seal(otherHead, otherBody, secret),
      keys: secret,
    });
    const plain = (what: string, other: string) => ({ what, token: other, keys: secret });
    const inStandardBase64 = encode('{"a":"~~~???"}').replaceAll('-', '+').replaceAll('_', '/');

    await expectAccepted(subject, [{ what: 'well formed', token, keys: secret, payload: { a: 1 } }]);
    await expectRefused(subject, [
      plain('an empty text', ''),
      plain('one part', head),
      plain('two parts', `${head}.${body}`),
      plain('four parts', `${token}.${signature}`),
      plain('a dot at the end', `${token}.`),
      plain('a dot at the beginning', `.${token}`),
      plain('a space in front', ` ${token}`),
      plain('a newline at the end', `${token}\n`),
      plain('a space before the signature', `${head}.${body}. ${signature}`),
      plain('a padded signature', `${token}=`),
      plain('trailing bits in the signature', `${head}.${body}.${withTrailingBits(signature)}`),
      plain('a character from outside base64url in the signature', `${head}.${body}.${signature}!`),
      sealed('trailing bits in the header', withTrailingBits(head), body),
      sealed('trailing bits in the payload', head, withTrailingBits(body)),
      // These take up whole groups of four digits.
      sealed('a stray digit after the header', `${encode('{"alg":"HS256"}')}A`, body),
      sealed('a stray digit after the payload', head, `${encode('{"a":123}')}A`),
      sealed('a padded header', `${head}==`, body),
      sealed('a padded payload', head, `${body}==`),
      sealed('a newline in the payload', head, `${body.slice(0, 4)}\n${body.slice(4)}`),
      sealed('standard base64 in the payload', head, inStandardBase64),
    ]);
  });

  test('verify must refuse a header or payload that is not a JSON object, and an exp, nbf or iat that is not a number.', async ({
    subject,
  }) => {
    const [secret, now] = [drawSecret(), drawNow()];
    const notObjects = ['[]', '["HS256"]', '"text"', '1', 'null', 'true', '{', ''];
    const notNumbers = (seconds: number) => [
      'never',
      '',
      String(seconds),
      new Date(seconds * 1000).toISOString(),
      null,
      true,
      false,
      [seconds],
      {},
    ];
    const badTimes = ['exp', 'nbf', 'iat'].flatMap((name) =>
      notNumbers(name === 'exp' ? now + 600 : now - 600).map((value) => ({
        what: `${name} is ${JSON.stringify(value)}`,
        token: tokenOf(hs256, { [name]: value }, secret),
        keys: secret,
        now,
      })),
    );
    const good = { exp: now + 600, nbf: now - 600, iat: now - 600 };

    await expectAccepted(subject, [
      { what: 'numbers', token: tokenOf(hs256, good, secret), keys: secret, now, payload: good },
      { what: 'an empty payload', token: tokenOf(hs256, {}, secret), keys: secret, now, payload: {} },
    ]);
    await expectRefused(subject, [
      ...notObjects.map((text) => ({
        what: `header ${text}`,
        token: tokenOf(text, anyPayload, secret),
        keys: secret,
      })),
      ...notObjects.map((text) => ({ what: `payload ${text}`, token: tokenOf(hs256, text, secret), keys: secret })),
      ...badTimes,
    ]);
  });

  test('verify must refuse a token at or after exp plus toleranceSeconds, and before nbf minus toleranceSeconds.', async ({
    subject,
  }) => {
    const secret = drawSecret();
    const at = drawNow();
    const toleranceSeconds = drawOne(fc.integer({ min: 2, max: 300 }));
    const ask = (payload: Kata.Payload, now: number, tolerance?: number) => ({
      what: `${JSON.stringify(payload)}, now ${now}, toleranceSeconds ${tolerance ?? 'not given'}`,
      token: tokenOf(hs256, payload, secret),
      keys: secret,
      now,
      payload,
      ...(tolerance !== undefined && { options: { toleranceSeconds: tolerance } }),
    });
    const today = Math.floor(Date.now() / 1000);
    const { now: _, ...byDefaultClock } = ask({ exp: today + 86_400, nbf: today - 86_400 }, today);
    const { now: _late, ...expiredByDefaultClock } = ask({ exp: today - 86_400 }, today);

    await expectAccepted(subject, [
      ask({ exp: at }, at - 1),
      ask({ nbf: at }, at),
      ask({ exp: at }, at + toleranceSeconds - 1, toleranceSeconds),
      ask({ nbf: at }, at - toleranceSeconds, toleranceSeconds),
      ask({ exp: at + 1, nbf: at }, at),
      byDefaultClock,
    ]);
    // After January 2038.
    const late = 2 ** 32 + at;
    await expectAccepted(subject, [ask({ exp: late, nbf: late - 1 }, late - 1)]);
    await expectRefused(subject, [
      ask({ exp: late }, late),
      ask({ exp: 2 ** 31 }, 2 ** 31),
      ask({ nbf: late }, late - 1),
      ask({ exp: at }, at),
      ask({ exp: at }, at + 1),
      ask({ exp: 0 }, at),
      ask({ exp: -1 }, at),
      ask({ nbf: at }, at - 1),
      ask({ nbf: at * 1000 }, at),
      ask({ exp: at }, at + toleranceSeconds, toleranceSeconds),
      ask({ nbf: at }, at - toleranceSeconds - 1, toleranceSeconds),
      expiredByDefaultClock,
    ]);
    const hour = 3600;
    const { now: _ends, ...ends } = ask({ exp: today + hour }, today);
    const { now: _begins, ...begins } = ask({ nbf: today + hour }, today);
    const questions = [ends, begins].map(question);
    const seen = await subject.run(verifyAsTimePasses, { questions, passingMs: 2 * hour * 1000 });
    expect(
      seen,
      'no options.now; one token with exp in an hour, one with nbf; verified now, and two hours later',
    ).toEqual({
      before: ['accepted', 'refused'],
      after: ['refused', 'accepted'],
    });
  });

  test('verify must compare signatures with crypto.timingSafeEqual, and never pass it different lengths.', async ({
    subject,
  }) => {
    const secret = drawSecret();
    const token = tokenOf(hs256, anyPayload, secret);
    const [head, body, signature] = token.split('.') as [string, string, string];
    const forged = `${head}.${body}.${withOtherStart(signature)}`;
    const otherLengths = [0, 1, 2, 16, 31, 33, 64].map((length) => `${head}.${body}.${encode(new Uint8Array(length))}`);
    // As many characters as a signature, and more bytes.
    const otherBytes = ['é', '€', 'Ł'].map((letter) => `${head}.${body}.${letter}${signature.slice(1)}`);
    const tokens = [token, forged, ...otherLengths, ...otherBytes];

    const seen = await subject.run(
      watchComparisons,
      tokens.map((one) => ({ token: one, keys: secret })),
    );

    for (const [index, { compared, hmacs, refused }] of seen.entries()) {
      const what = `${tokens[index]}: calls of timingSafeEqual`;
      expect(compared, what).not.toContain('threw');
      expect(refused === undefined, `${tokens[index]}: accepted`).toBe(index === 0);
      // One HMAC for the token and one of each signature: they are compared behind a key that nobody knows.
      const isDoubleHmac = hmacs >= 3;
      if (index < 2 && !isDoubleHmac) expect(compared, what).toContain(index === 0);
    }
  });

  test('sign and verify must refuse secrets of fewer than 32 bytes.', async ({ subject }) => {
    const fitting = ['x'.repeat(32), 'é'.repeat(16), '€'.repeat(11), new Uint8Array(32)];
    const tooShort = ['', 'x'.repeat(31), 'é'.repeat(15), new Uint8Array(0), new Uint8Array(31)];
    const bytesOf = (secret: string | Uint8Array) => new Uint8Array(Buffer.from(secret));
    const inWords = (secret: string | Uint8Array) =>
      `${typeof secret === 'string' ? `the text "${secret}"` : 'a Uint8Array'} of ${bytesOf(secret).length} bytes`;
    const ask = (secret: string | Uint8Array) => ({
      what: `verify with ${inWords(secret)}`,
      token: tokenOf(hs256, anyPayload, bytesOf(secret)),
      keys: secret,
      payload: anyPayload,
    });

    const all = [...fitting, ...tooShort];
    const signed = await subject.run(
      signAll,
      all.map((secret) => ({ payload: anyPayload, secret })),
    );

    for (const [index, secret] of all.entries())
      expect(signed[index]!.refused === undefined, `sign with ${inWords(secret)}: returns a token`).toBe(
        index < fitting.length,
      );
    await expectAccepted(subject, fitting.map(ask));
    await expectRefused(subject, tooShort.map(ask));
    const short = new Uint8Array(31);
    await expectRefused(subject, [
      {
        what: 'verify with several keys, the named one of 31 bytes',
        token: tokenOf({ ...hs256, kid: 'spring' }, anyPayload, short),
        keys: { spring: short },
      },
    ]);
  });
});

describe('stretch', () => {
  test('verify must refuse a header that has crit or repeats a name.', async ({ subject }) => {
    const secret = drawSecret();
    const ask = (header: string) => ({
      what: `header ${header}`,
      token: tokenOf(header, anyPayload, secret),
      keys: secret,
      payload: anyPayload,
    });

    await expectAccepted(
      subject,
      [
        '{"alg":"HS256","unknown":{"alg":"none","crit":["exp"]}}',
        '{"alg":"HS256","list":[{"a":1},{"a":1}],"b":"b"}',
        String.raw`{ "alg" : "HS256" , "note" : "\"alg\":\"none\", \"crit\"" }`,
        String.raw`{"alg":"HS256","note":"}{\\","note 2":"\\\"note\":1"}`,
      ].map(ask),
    );
    await expectRefused(
      subject,
      [
        '{"alg":"HS256","crit":["exp"],"exp":1}',
        '{"alg":"HS256","crit":["b64"],"b64":true}',
        '{"alg":"HS256","crit":[]}',
        '{"alg":"HS256","crit":null}',
        '{"alg":"none","alg":"HS256"}',
        '{"alg":"HS256","alg":"HS256"}',
        '{"alg":"HS256","__proto__":1,"__proto__":2}',
        '{ "alg" : "HS256" , "kid" : "a" , "kid" : "b" }',
        '{"alg":"HS256","extra":{"a":1},"typ":"JWT","extra":2}',
        String.raw`{"alg":"HS256","note":"\\","typ":"JWT","typ":"JWT"}`,
        String.raw`{"alg":"HS256","note":"}\"{\\","typ":"JWT","note":1}`,
      ].map(ask),
    );
  });

  test('Given a record of keys, verify must use only the key that the token names by kid.', async ({ subject }) => {
    const [spring, summer] = fc.sample(secrets, { seed: chosenSeed(), numRuns: 2 }) as [Uint8Array, Uint8Array];
    const keys = { spring, summer };
    const ask = (kid: unknown, secret: Uint8Array, used: Question['keys'] = keys) => ({
      what: `kid ${JSON.stringify(kid)}`,
      token: tokenOf({ ...hs256, kid }, anyPayload, secret),
      keys: used,
      payload: anyPayload,
    });
    const inherited = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length'];
    const paths = ['../../../dev/null', '/dev/null', './spring', 'spring ', 'SPRING', ''];

    await expectAccepted(subject, [
      ask('spring', spring),
      ask('summer', summer),
      { ...ask('autumn', spring, spring), what: 'one secret and a kid' },
    ]);
    await expectRefused(subject, [
      { ...ask('spring', summer), what: 'kid "spring", signed with the key "summer"' },
      ask('autumn', spring),
      ask(undefined, spring),
      ...[...inherited, ...paths].map((kid) => ask(kid, spring)),
      // What a module might make of an inherited value.
      ...['', 'undefined', '[object Object]', String(Object), String(Object.prototype.toString)].flatMap((text) =>
        inherited.map((kid) => ask(kid, new Uint8Array(Buffer.from(text)))),
      ),
      ask(['spring'], spring),
      ask(null, spring),
      ask(0, spring, { 1: spring }),
      { ...ask('spring', spring, {}), what: 'no keys at all' },
    ]);
  });

  test('verify must refuse a token whose aud, iss or typ is not the required one.', async ({ subject }) => {
    const secret = drawSecret();
    const [audience, issuer, typ] = ['https://api.example', 'https://login.example', 'at+jwt'];
    const ask = (options: Question['options'], payload: Kata.Payload, header: object = hs256) => ({
      what: `${JSON.stringify(options)}, header ${JSON.stringify(header)}, payload ${JSON.stringify(payload)}`,
      token: tokenOf(header, payload, secret),
      keys: secret,
      payload,
      ...(options && { options }),
    });
    const all = { audience, issuer, typ };
    const fitting = { aud: audience, iss: issuer };
    const access = { ...hs256, typ };

    await expectAccepted(subject, [
      ask({ audience }, { aud: audience }),
      ask({ audience }, { aud: ['https://other.example', audience] }),
      ask({ issuer }, { iss: issuer }),
      ask({ typ }, anyPayload, access),
      ask(all, fitting, access),
    ]);
    await expectRefused(subject, [
      ask({ audience }, {}),
      ask({ audience }, { aud: 'https://other.example' }),
      ask({ audience }, { aud: `${audience}.evil.example` }),
      ask({ audience }, { aud: audience.slice(0, -3) }),
      ask({ audience }, { aud: ['https://other.example', `${audience}.evil.example`] }),
      ask({ audience }, { aud: [] }),
      ask({ audience }, { aud: null }),
      ask({ issuer }, {}),
      ask({ issuer }, { iss: 'https://other.example' }),
      ask({ issuer }, { iss: `${issuer}.evil.example` }),
      ask({ issuer }, { iss: [issuer] }),
      ask({ typ }, anyPayload),
      ask({ typ }, anyPayload, { alg: 'HS256' }),
      ask({ typ }, { typ }),
      ask(all, { ...fitting, aud: issuer }, access),
      ask(all, { ...fitting, iss: audience }, access),
      ask(all, fitting, hs256),
    ]);
  });
});

interface Case extends Question {
  readonly what: string;
}

async function expectAccepted(
  subject: Subject<typeof Kata>,
  cases: readonly (Case & { payload: unknown })[],
  verifies = verifyAll,
) {
  const answers = await subject.run(verifies, cases.map(question));
  for (const [index, { what, token, payload }] of cases.entries()) {
    const { json, refused } = answers[index]!;
    const seen: unknown = json === undefined ? `refused: ${refused}` : JSON.parse(json);
    expect(seen, `${what}: ${token}`).toEqual(payload);
  }
}

async function expectRefused(subject: Subject<typeof Kata>, cases: readonly Case[]) {
  const answers = await subject.run(verifyAll, cases.map(question));
  for (const [index, { what, token }] of cases.entries()) {
    const { json, refused } = answers[index]!;
    expect(json ?? 'refused', `${what}: ${token}`).toBe('refused');
    expect(refused, `${what}: ${token}; what was thrown`).not.toBe('not an Error');
  }
}

/** What goes to the subject. */
function question({ token, keys, options, now }: Case): Question {
  return { token, keys, ...(options && { options }), ...(now !== undefined && { now }) };
}
