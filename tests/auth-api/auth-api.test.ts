import { describe, expect } from 'vitest';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type { Answer } from '../../helpers/instruments/readers/ask.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { Patience } from '../../helpers/judging/subject/patience.ts';
import type * as Kata from '../../katas/auth-api/auth-api.ts';
import {
  Api,
  ann,
  bob,
  connect,
  day,
  expectStatus,
  jsonOf,
  literal,
  minute,
  pairOf,
  second,
  usersOf,
  words,
  zoe,
} from './api.ts';
import { changedTokens, decoded } from './tokens.ts';
import {
  type AppSettings,
  bytesOfUpload,
  closeApps,
  handOver,
  holdNextLookup,
  holdRequests,
  letFail,
  letGo,
  readLog,
  requestsArrived,
  takeScrypts,
  untilArrived,
} from './inside.ts';

const kilobyte = 1024;
/** What a body may have. */
const bodyLimit = 16 * kilobyte;
/** What the server may read of a body that is too large. */
const uploadLimit = 512 * kilobyte;
/** What an expired session may leave in memory. */
const sessionLimit = 14;

const test = judge<typeof Kata>('auth-api')
  .extend('patience', { scope: 'file' }, () => new Patience())
  .extend('open', async ({ subject, patience }, { onCleanup }) => {
    onCleanup(() => subject.run(closeApps).catch(() => undefined));
    return async (choice?: Partial<AppSettings>): Promise<Api> => await Api.open(subject, patience, choice);
  })
  .extend('api', async ({ open }): Promise<Api> => await open());

describe('core', () => {
  test('Login and refresh must each give a new pair of tokens, and the access token must open the profile.', async ({
    api,
    open,
  }) => {
    for (const who of [ann, bob, zoe]) {
      const first = await api.login(who);
      const next = await api.renew(first);
      const last = await api.renew(next);

      for (const { accessToken } of [first, next, last]) {
        const { status, body } = await api.profile(accessToken);
        expect({ status, profile: jsonOf(body) }, `GET /api/profile with an access token of ${who.name}`).toMatchObject(
          {
            status: 200,
            profile: { id: who.id, name: who.name },
          },
        );
      }
      const refreshTokens = new Set([first, next, last].map(({ refreshToken }) => refreshToken));
      expect(refreshTokens.size, 'a login and two refreshes; different refresh tokens').toBe(3);
    }

    const strict = await open({ users: usersOf(literal.map(({ who }) => who)) });
    for (const { what, who } of literal)
      pairOf(await strict.tryLogin(who.name, who.password), `POST /login with the right password, which ${what}`);

    const body = Buffer.from(JSON.stringify({ name: zoe.name, password: zoe.password }));
    using upload = await api.upload('/login', body.length);
    const cut = body.indexOf('🦊') + 2;
    await upload.send(body.subarray(0, cut));
    await api.run(bytesOfUpload);
    await upload.send(body.subarray(cut));
    expect(await upload.answer(), 'POST /login in two pieces, cut inside a character; status').toBe(200);
  });

  test('A missing, changed, foreign or expired token must be answered with 401 and `WWW-Authenticate: Bearer`.', async ({
    api,
    open,
  }) => {
    expectChallenge(await api.ask('/api/profile'), 'GET /api/profile without a token');
    expectChallenge(await api.ask('/logout', { method: 'POST' }), 'POST /logout without a token');
    const basic = { authorization: `Basic ${Buffer.from(`${ann.name}:${ann.password}`).toString('base64')}` };
    expectChallenge(await api.ask('/api/profile', { headers: basic }), 'GET /api/profile with Basic');
    expectChallenge(await api.refresh('x'), 'POST /refresh with the text x');
    expectChallenge(await api.tryLogin(ann.name, words.wrong), 'POST /login with a wrong password');

    const { accessToken, refreshToken } = await api.login();
    for (const [at, { what }] of changedTokens(accessToken).entries()) {
      const pair = await api.login();
      // Equally made tokens are changed in the same way.
      const { token } = changedTokens(pair.accessToken)[at] ?? { token: `x${pair.accessToken}` };
      expectChallenge(await api.profile(token), `GET /api/profile with an access token, ${what}`);
      expectChallenge(await api.logout(token), `POST /logout with an access token, ${what}`);
    }
    for (const [at, { what }] of changedTokens(refreshToken).entries()) {
      const pair = await api.login();
      const { token } = changedTokens(pair.refreshToken)[at] ?? { token: `x${pair.refreshToken}` };
      expectChallenge(await api.refresh(token), `POST /refresh with a refresh token, ${what}`);
    }

    const other = await open();
    const foreign = await other.login();
    expectChallenge(
      await api.profile(foreign.accessToken),
      'GET /api/profile with a token of an app with another secret',
    );
    expectChallenge(
      await api.refresh(foreign.refreshToken),
      'POST /refresh with a token of an app with another secret',
    );
    await other.expectAlive(foreign, 'the same tokens in their own app');

    await expectLifetimes(await open());
    await expectNobody(await open());
  });
});

describe('robust', () => {
  test('An unknown name and a wrong password must get the same 401, after the same scrypt work.', async ({
    api,
    subject,
  }) => {
    const attempt = async (name: string, password: string) => {
      await subject.run(takeScrypts);
      const { status, headers, body } = await api.tryLogin(name, password);
      const { date: _date, ...others } = headers;
      const runs = await subject.run(takeScrypts);
      return {
        seen: { status, headers: others, body: body.toString(), scrypts: runs.map(({ cost }) => cost).toSorted() },
        isLate: runs.some(({ isLate }) => isLate),
      };
    };
    await api.login();
    await attempt(words.unknown, words.wrong);

    const wrong = await attempt(ann.name, words.wrong);
    expect(wrong.seen.status, 'POST /login with a wrong password; status').toBe(401);
    expectThat(wrong.seen.scrypts.length > 0, 'POST /login with a wrong password did not run scrypt');
    expectThat(!wrong.isLate, 'POST /login with a wrong password was answered before scrypt was done');
    const others = [
      ['an unknown name', words.unknown, words.wrong],
      ["an unknown name and somebody's password", words.other, ann.password],
      ['the name __proto__', '__proto__', words.wrong],
      ["somebody else's password", ann.name, bob.password],
    ] as const;
    for (const [what, name, password] of others) {
      const { seen, isLate } = await attempt(name, password);
      expect(seen, `POST /login with ${what}, compared with a wrong password`).toEqual(wrong.seen);
      expectThat(!isLate, `POST /login with ${what} was answered before scrypt was done`);
    }
    // Some answers refuse it as a broken field, and some compare it.
    const empty = await attempt(ann.name, '');
    expect(
      (await attempt(words.unknown, '')).seen,
      'POST /login with an unknown name and an empty password, compared with a known name',
    ).toEqual(empty.seen);
  });

  test('`Bearer` must count in any case; a repeated Authorization header must be answered with 400.', async ({
    api,
  }) => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
      const { accessToken } = await api.login();
      const headers = { authorization: `${scheme} ${accessToken}` };
      expectStatus(await api.ask('/api/profile', { headers }), 200, `GET /api/profile with ${scheme}`);
      expectStatus(await api.ask('/logout', { method: 'POST', headers }), 204, `POST /logout with ${scheme}`);
    }

    const { accessToken } = await api.login();
    const right = `Bearer ${accessToken}`;
    const repeated = [
      [right, right],
      [right, 'Bearer x'],
      ['Bearer x', right],
      ['Basic x', right],
    ];
    for (const authorization of repeated) {
      const what = `with two Authorization headers, ${authorization.map((value) => (value === right ? 'a right one' : value)).join(' and ')}`;
      const profile = await api.ask('/api/profile', { headers: { authorization } });
      expectStatus(profile, 400, `GET /api/profile ${what}`);
      const logout = await api.ask('/logout', { method: 'POST', headers: { authorization } });
      expectStatus(logout, 400, `POST /logout ${what}`);
    }
  });

  test('A body over 16 KB must be answered with 413 at once, and not be read on.', async ({ api }) => {
    const login = JSON.stringify({ name: zoe.name, password: zoe.password });
    const padded = (bytes: number) => login + ' '.repeat(bytes - Buffer.byteLength(login));
    const note = JSON.stringify({ name: zoe.name, password: zoe.password, note: 'ü'.repeat(bodyLimit - 1000) });
    const bodies = [
      ['of 16,384 bytes', padded(bodyLimit), 200],
      ['of 16,385 bytes', padded(bodyLimit + 1), 413],
      ['of fewer than 16,384 characters, but more bytes', note, 413],
    ] as const;
    for (const [what, body, expected] of bodies) {
      for (const length of [Buffer.byteLength(body), undefined]) {
        using upload = await api.upload('/login', length);
        if (upload.isWaiting) await upload.send(body);
        upload.end();
        expect(await upload.answer(), `POST /login with a body ${what}${inChunks(length)}; status`).toBe(expected);
      }
    }

    for (const path of ['/login', '/refresh']) {
      for (const length of [16 * kilobyte * kilobyte, undefined]) {
        using upload = await api.upload(path, length);
        if (upload.isWaiting) await upload.send('x'.repeat(bodyLimit + kilobyte));
        const what = `POST ${path}${inChunks(length)}; the body went on after 17 KB`;
        expect(await upload.answer(), `${what}, status`).toBe(413);
        upload.flood(8 * kilobyte * kilobyte);
        for (let round = 0; round < 6; round++) await api.run(bytesOfUpload);
        expectAtMost(await api.run(bytesOfUpload), uploadLimit, `${what} and after the 413; the server read`);
      }
    }
    await api.login();
  });

  test('Broken JSON or fields must get 400, a wrong method 405 with Allow, and an unknown path 404.', async ({
    api,
  }) => {
    const { accessToken, refreshToken } = await api.login();
    const { name, password } = ann;
    const broken = ['', '{', `{"name":"${name}"`, 'null', '1', '"text"', '[]', '[null]', '{}'];
    const logins = [
      { name },
      { password },
      ...[1, null, true, {}, [name]].flatMap((value) => [
        { name: value, password },
        { name, password: value },
      ]),
    ];
    const refreshes = [
      { token: refreshToken },
      ...[1, null, {}, [refreshToken]].map((value) => ({ refreshToken: value })),
    ];
    const bodies = [
      ...broken.flatMap(
        (body) =>
          [
            ['/login', body],
            ['/refresh', body],
          ] as const,
      ),
      ...logins.map((body) => ['/login', JSON.stringify(body)] as const),
      ...refreshes.map((body) => ['/refresh', JSON.stringify(body)] as const),
    ];
    for (const [path, body] of bodies) {
      expectStatus(
        await api.ask(path, { method: 'POST', body }),
        400,
        `POST ${path} with the body ${body || '(none)'}`,
      );
    }

    const headers = { authorization: `Bearer ${accessToken}` };
    const wrongMethods = [
      ['GET', '/login', 'POST', {}],
      ['PUT', '/login', 'POST', { json: { name, password } }],
      ['PATCH', '/refresh', 'POST', { json: { refreshToken } }],
      ['DELETE', '/refresh', 'POST', {}],
      ['POST', '/api/profile', 'GET', { headers }],
      ['DELETE', '/api/profile', 'GET', { headers }],
      ['GET', '/logout', 'POST', { headers }],
    ] as const;
    for (const [method, path, allowed, question] of wrongMethods) {
      const answer = await api.ask(path, { method, ...question });
      expect({ status: answer.status, allow: answer.headers.allow }, `${method} ${path}`).toEqual({
        status: 405,
        allow: expect.stringMatching(new RegExp(`\\b${allowed}\\b`)),
      });
    }
    for (const path of ['/', '//', '/loginx', '/api', '/__proto__', '/constructor', '/toString'])
      expectStatus(await api.ask(path, { headers }), 404, `GET ${path}`);
    await api.expectAlive({ accessToken, refreshToken }, 'the session after all that');
  });

  test('A refresh token must work once; its second use must be answered with 401 and end its session only.', async ({
    api,
  }) => {
    const connection = connect(api);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => connection.destroy());
    for (const generations of [1, 2, 4, 256]) {
      const [same, other] = [await api.login(), await api.login(bob)];
      const pairs = [await api.login()];
      for (let generation = 0; generation < generations; generation++)
        pairs.push(await api.renew(pairs.at(-1)!, connection));

      const what = `${generations} refreshes, and then the first refresh token again`;
      expectStatus(await api.refresh(pairs[0]!.refreshToken), 401, `${what}`);
      for (const { accessToken } of pairs.slice(-5))
        expectStatus(await api.profile(accessToken), 401, `${what}; an access token of that session`);
      await api.expectDead(pairs.at(-1)!, `${what}; the newest tokens`);
      await api.expectAlive(same, `${what}; another session of the same user`);
      await api.expectAlive(other, `${what}; a session of another user`);
    }
  });

  test('An access token must not refresh, and a refresh token must not open the profile.', async ({ api }) => {
    const first = await api.login();
    expectStatus(await api.profile(first.accessToken), 200, 'GET /api/profile with the access token');
    const opened = await api.profile(first.refreshToken);
    expectStatus(opened, 401, 'GET /api/profile with the refresh token');
    const renewed = await api.renew(await api.login());
    const refreshed = await api.refresh(renewed.accessToken);
    expectStatus(refreshed, 401, 'POST /refresh with the access token');
  });
});

describe('stretch', () => {
  test('Logout must end its session at once, also when a refresh is under way, and no other session.', async ({
    api,
    subject,
  }) => {
    for (const which of ['oldest', 'newest'] as const) {
      const [same, other] = [await api.login(), await api.login(bob)];
      const first = await api.login();
      const next = await api.renew(first);

      const { accessToken } = which === 'oldest' ? first : next;
      const what = `a login, a refresh, and POST /logout with the ${which} access token`;
      expectStatus(await api.logout(accessToken), 204, what);
      await api.expectDead(next, `${what}; the newest tokens`);
      expectStatus(await api.profile(first.accessToken), 401, `${what}; the first access token`);
      expectStatus(await api.logout(accessToken), 401, `${what} twice`);
      await api.expectAlive(same, `${what}; another session of the same user`);
      await api.expectAlive(other, `${what}; a session of another user`);
    }

    for (const lookup of ['answers', 'rejects'] as const) {
      const pair = await api.login();
      const args = { port: api.portInside, count: await api.run(requestsArrived) };
      await api.run(holdNextLookup);
      const refreshing = api.refresh(pair.refreshToken);
      await subject.run(untilArrived, { ...args, count: args.count + 1 });
      const loggingOut = api.logout(pair.accessToken);
      await subject.run(untilArrived, { ...args, count: args.count + 2 });
      await api.run(lookup === 'answers' ? letGo : letFail);
      const [refreshed, loggedOut] = await Promise.all([refreshing, loggingOut]);

      const what = `POST /logout while a refresh waited for findById, which ${lookup} later`;
      expectStatus(loggedOut, 204, what);
      if (refreshed.status === 200) await api.expectDead(pairOf(refreshed, what), `${what}; the tokens of the refresh`);
      await api.expectDead(pair, `${what}; the tokens before the refresh`);
    }
  });

  test('Of twenty concurrent refreshes with one token, at most one may succeed, and the others must end the session.', async ({
    api,
    subject,
  }) => {
    const count = 20;
    for (const refreshes of [0, 1]) {
      let pair = await api.login();
      for (let done = 0; done < refreshes; done++) pair = await api.renew(pair);
      await api.run(holdRequests);
      const asked = Array.from({ length: count }, () => api.refresh(pair.refreshToken));
      await subject.run(handOver, { port: api.portInside, count });
      const answers = await Promise.all(asked);

      const what = `${count} concurrent refreshes with one token`;
      const succeeded = answers.filter(({ status }) => status === 200);
      const refused = answers.filter(({ status }) => status === 401);
      expectThat(succeeded.length <= 1, `${what}; ${succeeded.length} of them got a new pair`);
      expect(refused.length, `${what}; those with status 401`).toBe(count - succeeded.length);
      for (const answer of succeeded) await api.expectDead(pairOf(answer, what), `${what}; the new pair`);
      await api.expectDead(pair, `${what}; the pair before`);
    }
  });

  test('Logs must not contain passwords, hashes, tokens or the secret; answers neither, apart from the new pair.', async ({
    open,
    subject,
  }) => {
    const message = `no connection to mysql://app:${words.other}@db`;
    const api = await open({ broken: { key: words.unknown, message } });
    const pair = await api.login();
    const pairs = [pair, await api.renew(pair), await api.login(bob)];
    await api.profile(pair.accessToken);
    await api.tryLogin(ann.name, words.wrong);
    await api.ask('/login', { method: 'POST', body: `{"name":"${ann.name}","password":#${words.wrong}}` });
    await api.ask('/login', { method: 'POST', body: `{"password":"${words.wrong}"]` });
    await api.post('/login', { name: [ann.name], password: ann.password });
    await api.ask('/refresh', { method: 'POST', body: `{"refreshToken":"${pair.refreshToken}",}` });
    await api.post('/refresh', { token: pair.refreshToken });
    await api.ask(`/login?name=${ann.name}&password=${ann.password}`);
    await api.ask(`/api/profile?access_token=${pair.accessToken}`);
    await api.ask(`/nothing?refreshToken=${pair.refreshToken}`);
    await api.ask('/api/profile', { headers: { authorization: `Basic ${pair.accessToken}` } });
    await api.refresh(pair.refreshToken);
    await api.profile(pairs[1]!.accessToken);
    const failing = await api.tryLogin(words.unknown, words.wrong);
    await api.logout(pairs[2]!.accessToken);

    expectStatus(failing, 500, 'POST /login when users.findByName rejects');
    const log = await api.run(readLog);
    for (const [method, path, status] of [
      ['POST', '/login', 200],
      ['POST', '/login', 401],
      ['GET', '/api/profile', 200],
    ])
      expectThat(
        log.some((line) => [method, path, status].every((word) => line.includes(String(word)))),
        `${method} ${path} was answered with ${status}, and no line of the log says so`,
      );
    const secrets = Object.entries({
      'a password': ann.password,
      "another user's password": bob.password,
      'a password that was wrong': words.wrong,
      'a password hash': ann.passwordHash.split(':')[1]!,
      "another user's password hash": bob.passwordHash.split(':')[1]!,
      'the secret': api.secret,
      ...Object.fromEntries(
        pairs.flatMap(({ accessToken, refreshToken }, at) => [
          [`access token ${at + 1}`, accessToken],
          [`refresh token ${at + 1}`, refreshToken],
        ]),
      ),
    });
    const reveals = (text: string) => secrets.filter(([, secret]) => text.includes(secret)).map(([what]) => what);
    for (const line of [...log, subject.printed])
      expect(reveals(line), `a line of the log, ${line}; it shows`).toEqual([]);
    for (const { status, headers, body } of api.answers) {
      const shown = withoutPair(body);
      expect(reveals(`${JSON.stringify(headers)} ${shown}`), `an answer with ${status}, ${shown}; it shows`).toEqual(
        [],
      );
      expectThat(!shown.includes(words.other), `an answer with ${status} quotes the error of users: ${shown}`);
    }
    for (const { accessToken, refreshToken } of pairs)
      for (const token of [accessToken, refreshToken]) {
        const known = reveals(decoded(token)).filter((what) => !what.includes(' token '));
        expect(known, `a token, decoded to ${decoded(token)}; it shows`).toEqual([]);
      }
  });

  test('After the next login, expired sessions must cost no memory.', async ({ open, subject }) => {
    const api = await open({ isQuiet: true });
    const perCycle = 50;
    // One request after the other: the same code runs in each cycle.
    const connection = connect(api);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => connection.destroy());
    // Older than all others, and never expired.
    let kept = await api.login(bob, connection);
    const comeAndGo = async () => {
      for (let session = 0; session < perCycle; session++) {
        const first = await api.login(ann, connection);
        const next = await api.renew(first, connection);
        // Of five, one expires, a logout ends two, and a used token ends two. What that is answered with is another promise.
        if (session % 5 > 2) await api.refresh(first.refreshToken, connection);
        else if (session % 5 > 0) expectStatus(await api.logout(next.accessToken, connection), 204, 'POST /logout');
      }
      for (let half = 0; half < 2; half++) {
        await api.pass(4 * day);
        const answer = await api.refresh(kept.refreshToken, connection);
        // If it has ended, other promises say so.
        if (answer.status === 200) kept = pairOf(answer, 'POST /refresh with the newest token');
      }
      api.answers.length = 0;
      await api.login(ann, connection);
    };
    expectAtMost(
      // In a new process, code is still compiled after 300 sessions.
      await growthPerVisit({ subject, cycle: comeAndGo, perCycle, warmUp: 8, cycles: 5 }),
      sessionLimit,
      `sessions were opened and refreshed; some were ended by a logout or a used token, and 8 days passed, in which one older session was refreshed; in memory each of them left`,
    );
  });
});

function expectChallenge({ status, headers }: Answer, what: string): void {
  expect({ status, 'www-authenticate': headers['www-authenticate'] }, what).toEqual({
    status: 401,
    'www-authenticate': expect.stringMatching(/^Bearer\b/i),
  });
}

/** Fails unless tokens work until the last second of their time, and not after it. */
async function expectLifetimes(api: Api): Promise<void> {
  const [first, early, late] = [await api.login(), await api.login(), await api.login()];
  await api.renew(first);
  await api.pass(15 * minute - second);
  const inTime = await api.profile(first.accessToken);
  expectStatus(inTime, 200, 'GET /api/profile 1 s before the access token expires, after a refresh');
  await api.pass(second);
  expectChallenge(await api.profile(first.accessToken), 'GET /api/profile 15 minutes after the login');
  expectChallenge(await api.logout(first.accessToken), 'POST /logout 15 minutes after the login');
  await api.pass(7 * day - 15 * minute - second);
  const renewed = await api.renew(early);
  await api.pass(second);
  expectChallenge(await api.refresh(late.refreshToken), 'POST /refresh 7 days after the login');
  expectStatus(await api.profile(renewed.accessToken), 200, 'GET /api/profile 1 s after a refresh');
  await api.pass(7 * day - 2 * second);
  expect((await api.renew(renewed)).accessToken, 'POST /refresh 1 s before the new refresh token expires').toBeTruthy();
}

/** Fails unless tokens of a user who is gone are refused. */
async function expectNobody(api: Api): Promise<void> {
  const [first, next, others] = [await api.login(), await api.login(), await api.login(bob)];
  await api.removeUser(ann.id);
  expectChallenge(await api.profile(first.accessToken), 'GET /api/profile of a user who is gone');
  expectChallenge(await api.refresh(next.refreshToken), 'POST /refresh of a user who is gone');
  await api.expectAlive(others, 'a user who is still there');
}

function inChunks(length: number | undefined): string {
  return length === undefined ? ', in chunks' : '';
}

/** An answer without the two tokens that it is for. */
function withoutPair(body: Buffer): string {
  const { accessToken: _access, refreshToken: _refresh, ...others } = Object(jsonOf(body)) as Record<string, unknown>;
  return typeof jsonOf(body) === 'object' ? JSON.stringify(others) : body.toString();
}
