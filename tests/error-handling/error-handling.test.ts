import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { settles } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type { Answer } from '../../helpers/instruments/readers/ask.ts';
import { connectionTo } from '../../helpers/instruments/readers/ask.ts';
import { chosenSeed } from '../../helpers/judging/drawn/seed.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { Patience } from '../../helpers/judging/subject/patience.ts';
import type * as Kata from '../../katas/error-handling/error-handling.ts';
import { Api, type AskOptions, type Seen } from './api.ts';
import { type Step, type Thrown, changesOfObjects, faultsOfBind } from './inside.ts';

/** More than the system takes off a process before anybody has read it. */
const largeAnswerBytes = 32 * 1024 * 1024;
const rounds = 10;
const requestsAtWork = 100;

const test = judge<typeof Kata>('error-handling')
  .extend('patience', { scope: 'file' }, () => new Patience())
  .extend('open', ({ subject, patience }) => {
    return async (options?: { loggerThrows: boolean }) => await Api.open(subject, patience, options);
  })
  .extend('api', async ({ open }) => await open());

/** Words that stand nowhere else: no id and no title contains one by chance. */
const [one, two, three, four, five] = fc.sample(
  fc.uniqueArray(fc.stringMatching(/^[g-z]{12}$/), { minLength: 5, maxLength: 5 }),
  { seed: chosenSeed(), numRuns: 1 },
)[0] as [string, string, string, string, string];

describe('core', () => {
  test('An ApiError and a missing route (404) must be answered with their status and problem, as application/problem+json.', async ({
    api,
  }) => {
    const problems = fc.sample(
      fc.record(
        {
          status: fc.integer({ min: 400, max: 599 }),
          title: fc.string({ unit: 'grapheme', minLength: 1 }),
          type: fc.webUrl(),
          detail: fc.string({ unit: 'grapheme', minLength: 1 }),
        },
        { requiredKeys: ['status', 'title'] },
      ),
      { seed: chosenSeed(), numRuns: 8 },
    );
    problems.push({ status: 400, title: 'Müller “hat” 東京\n', detail: '€ 12,50' }, { status: 599, title: one });

    for (const [index, { status, title, ...options }] of problems.entries()) {
      const thrown: Thrown = { api: [status, title, options], isSubclass: index % 2 === 1 };
      const { answer } = await api.ask([{ throw: thrown }]);
      expect(problemIn(answer), `${inWords(thrown)} was thrown; its answer`).toEqual({
        ...problemAnswer(status),
        problem: expect.objectContaining({ status, title, ...options }),
      });
    }
    // The last two make "//" and "/%", which are no URLs to everybody.
    for (const route of ['missing', '/', '%'] as const) {
      const { answer } = await api.ask([], { route });
      expect(problemIn(answer), `no route was there, at the path /${route}; the answer`).toEqual(problemAnswer(404));
    }
    const good = await api.ask([{ end: one }]);
    expect(textIn(good.answer), 'the answer of a route that ends well').toBe(one);
  });

  test('Any other error must be answered with a 500 problem that reveals nothing about the error.', async ({ api }) => {
    const errors: Thrown[] = [
      { message: one },
      { message: one, name: 'ApiError' },
      { message: one, own: { status: 404, statusCode: 404, title: two, detail: three, expose: true } },
      { message: one, own: { code: 'ENOENT', path: two }, cause: { message: three } },
      { message: one, cause: { api: [404, two, { detail: three }] } },
      { value: { status: 404, title: two, detail: three, message: one } },
    ];

    for (const thrown of errors) {
      const { answer } = await api.ask([{ throw: thrown }]);
      const what = `${inWords(thrown)} was thrown`;
      expect(problemIn(answer), `${what}; its answer`).toEqual(problemAnswer(500));
      expectHidden(answer, what);
    }
    const thrown: Thrown = { api: [503, four], cause: { message: one, cause: { message: two } } };
    const { answer } = await api.ask([{ throw: thrown }]);
    expect(problemIn(answer), `${inWords(thrown)} was thrown; its answer`).toEqual(problemAnswer(503));
    expectHidden(answer, `${inWords(thrown)} was thrown`);
  });

  test('Each failure must write exactly one error line, with the request’s id and the error’s name, message and stack.', async ({
    api,
  }) => {
    const cases: [Thrown, AskOptions?][] = [
      [{ message: one }],
      [{ message: one }, { route: 'sync' }],
      [{ message: two, name: 'OutOfCoffeeError', own: { code: 'ENOCOFFEE' } }],
      [{ message: two, isUnwritable: true }],
      [{ api: [409, three] }],
      [{ api: [503, three], isSubclass: true }, { route: 'sync' }],
    ];

    for (const [thrown, options] of cases) {
      const seen = await api.ask([{ log: five }, { throw: thrown }], options);
      const message = 'api' in thrown ? three : (thrown as { message: string }).message;
      expectOneLine(
        seen,
        message,
        `${inWords(thrown)} was thrown by ${options?.route === 'sync' ? 'a' : 'an async'} route`,
      );
      const again = await api.ask([{ log: five }, { throw: 'again' }], options);
      expectOneLine(again, message, `${inWords(thrown)} was thrown again, the same object, for another request`);
      const { name, stack } = seen.errorLines[0]!.error!;
      if ('name' in thrown) expect(name, `${inWords(thrown)} was thrown; the name in its line`).toBe(thrown.name);
      expect(stack, `${inWords(thrown)} was thrown; the stack in its line`).toMatch(/^\s+at /m);
    }
    const good = await api.ask([{ log: five }, { end: 'fine' }]);
    expect(good.errorLines, 'error lines of a route that ended well').toEqual([]);
  });
});

describe('robust', () => {
  test('log must write the id of its request after an await, in timers, and in callbacks passed through bind.', async ({
    open,
    subject,
  }) => {
    const [left, right] = [await open(), await open()];
    const pooled = (word: string): Step[] => [
      { log: `${word} at once` },
      { hold: true },
      { log: `${word} after an await` },
      { log: `${word} in a timer`, by: 'timeout' },
      { log: `${word} in an immediate`, by: 'immediate' },
      { hold: true },
      { log: `${word} in a bound callback`, by: 'pool' },
      { log: `${word} after the callback` },
    ];
    const calling: Step[] = [
      { log: `${three} at once` },
      { hold: true },
      { callPool: true },
      { log: `${three} later` },
    ];
    const spoken = (word: string) => pooled(word).flatMap((step) => ('log' in step ? [step.log] : []));

    const first = await left.begin(pooled(one));
    const second = await right.begin(pooled(two));
    const third = await left.begin(calling);
    await left.release(second, first);
    await left.pausesOf(first, second);
    await left.release(first, second);
    await left.pausesOf(first, second);
    await left.release(third);
    const ended = { one: await left.end(first), three: await left.end(third), two: await right.end(second) };

    for (const { answer } of Object.values(ended))
      expect(textIn(answer), 'the answer of a route that logs').toBe('done');
    const seen = [ended.one, ended.two].map(({ infoLines }) => infoLines);
    const linesOf = (lines: readonly Partial<Kata.Line>[], word: string) =>
      lines.filter(({ message }) => message?.startsWith(word)).map(({ message, requestId }) => [message, requestId]);
    const expected = (messages: string[], { id }: Seen) => messages.map((message) => [message, id]);
    const what = (which: string) => `messages and ids in the log of the ${which}`;
    expect(linesOf(seen[0]!, one), what('first API, first request')).toEqual(expected(spoken(one), ended.one));
    expect(linesOf(seen[1]!, two), what('second API')).toEqual(expected(spoken(two), ended.two));
    expect(linesOf(seen[0]!, three), what('first API, second request')).toEqual(
      expected([`${three} at once`, `${three} later`], ended.three),
    );
    const fields = { [one]: [1, { two: null }], three: 'text' };
    const { infoLines } = await left.ask([{ log: four, fields }]);
    const line = infoLines.find(({ message }) => message === four);
    expect(line?.fields, 'fields in the line of log').toEqual(fields);
    expect(await subject.run(faultsOfBind), 'faults of callbacks that were passed through bind').toEqual([]);
  });

  test('An error line must contain every cause, in order, and must end where a cause repeats.', async ({ api }) => {
    const long = Array.from({ length: 30 }, (_, at) => `${one} ${at}`);
    const chains: Extract<Thrown, { chain: unknown }>[] = [
      { chain: [one, two] },
      { chain: long },
      { chain: [one, two], last: three },
      { chain: [one], loopsTo: 0 },
      { chain: [one, two, three], loopsTo: 0 },
      { chain: [one, two, three, four], loopsTo: 2 },
    ];

    for (const thrown of chains) {
      const seen = await api.ask([{ throw: thrown }]);
      const what = `${inWords(thrown)} was thrown`;
      expectOneLine(seen, thrown.chain[0]!, what);
      const links = linksOf(seen.errorLines[0]!.error);
      const messages = links.map(({ message }) => message);
      expect(messages.slice(0, thrown.chain.length), `${what}; messages in its line`).toEqual(thrown.chain);
      for (const { name, stack } of links.slice(0, thrown.chain.length))
        expect({ name, stack }, `${what}; names and stacks in its line`).toEqual({
          name: 'Error',
          stack: expect.stringMatching(/^\s+at /m),
        });
      const repeated = messages.slice(thrown.chain.length).filter((message) => thrown.chain.includes(message));
      // The error that repeats may stand there once more, as the end.
      expect(repeated.slice(1), `${what}; messages that its line repeats again and again`).toEqual([]);
      if (thrown.last === three)
        expectThat(
          JSON.stringify(seen.errorLines[0]!.error).includes(three),
          `${what}; its line does not contain the last cause`,
        );
    }
    for (const cause of [0, false, '']) {
      for (const thrown of [
        { chain: [one], last: cause },
        { api: [503, four], cause: { value: cause } },
      ] satisfies Thrown[]) {
        const { errorLines } = await api.ask([{ throw: thrown }]);
        const written = JSON.stringify(errorLines[0]?.error?.cause) ?? 'undefined';
        expectThat(
          written !== 'undefined' && written.includes(String(cause)),
          `${inWords(thrown)} was thrown; the cause in its line is ${written}`,
        );
      }
    }
    const known: Thrown = { api: [503, four], cause: { chain: [one, two] } };
    const seen = await api.ask([{ throw: known }]);
    const messages = linksOf(seen.errorLines[0]?.error).map(({ message }) => message);
    expect(messages.slice(1, 3), `${inWords(known)} was thrown; messages of causes in its line`).toEqual([one, two]);
  });

  test('Thrown values that are not errors must be answered with 500, and must be readable in their line.', async ({
    api,
  }) => {
    const number = 1_000_000 + (chosenSeed() % 1_000_000);
    const cases: [value: unknown, readable: string][] = [
      [one, one],
      [{ code: two, where: [{ is: three }] }, three],
      [{ code: two, where: [{ is: three }] }, two],
      [number, String(number)],
      [undefined, ''],
      [null, ''],
      [0, ''],
      [false, ''],
      ['', ''],
    ];

    for (const route of ['async', 'sync'] as const) {
      for (const [value, readable] of cases) {
        const seen = await api.ask([{ throw: { value } }], { route });
        const what = `${JSON.stringify(value) ?? 'undefined'} was thrown by a route (${route})`;
        expect(problemIn(seen.answer), `${what}; its answer`).toEqual(problemAnswer(500));
        expectOneLine(seen, undefined, what);
        const { error } = seen.errorLines[0]!;
        expectThat(
          JSON.stringify(error).includes(readable),
          `${what}; its line says ${JSON.stringify(error?.message)}, without "${readable}"`,
        );
      }
    }
    const seen = await api.ask([{ throw: { without: 'prototype' } }]);
    expect(problemIn(seen.answer), 'an object without a prototype was thrown; its answer').toEqual(problemAnswer(500));
    expectOneLine(seen, undefined, 'an object without a prototype was thrown');
  });

  test('A failure after the answer must only be logged; a failure in the middle must also break the answer.', async ({
    api,
  }) => {
    for (const [end, thrown] of [
      [one, { message: two }],
      [largeAnswerBytes, { message: two }],
      [one, { api: [409, two] }],
    ] as [string | number, Thrown][]) {
      const length = typeof end === 'number' ? end : end.length;
      const seen = await api.ask([{ end }, { throw: thrown }]);
      const what = `${inWords(thrown)} was thrown after the end of an answer of ${length} bytes`;
      expect(shapeOf(seen.answer), `${what}; the answer`).toEqual({ status: 200, bytes: length, isComplete: true });
      expectOneLine(seen, two, what);
    }

    const connection = connectionTo(api.port);
    const begun = await api.begin([{ end: one }, { hold: true }, { throw: { message: two } }], { connection });
    const answer = await begun.answer;
    expect(textIn(answer), 'an answer whose route goes on').toBe(one);
    await api.release(begun);
    expectOneLine(await api.end(begun), two, 'an error was thrown after the client had the whole answer');
    await connection.destroy();

    for (const steps of [
      [{ write: one }, { throw: { message: two } }],
      [{ write: one }, { log: three, by: 'immediate' }, { throw: { message: two } }],
      [
        { head: { 'content-length': '500' }, status: 200 },
        { write: one },
        { hold: true },
        { throw: { api: [409, two] } },
      ],
    ] as Step[][]) {
      // The client waits longer than the judge, so it is the module that closes the response.
      const middle = await api.begin(steps, { comes: (promise) => settles(promise, 60_000) });
      await api.release(middle);
      const isClosed = await api.isClosed(middle);
      const what = 'an error was thrown after a first write';
      expectThat(isClosed, `${what}; the answer was left open`);
      const seen = await api.end(middle);
      expectThat(!seen.answer.isComplete, `${what}; the answer looks complete: ${seen.answer.body.toString()}`);
      expectOneLine(seen, two, what, { hasAnswer: false });
    }
    const good = await api.ask([{ write: one }, { end: two }]);
    expect(textIn(good.answer), 'an answer in two parts').toBe(one + two);
  });

  test('An error answer must have none of the headers that the route set.', async ({ api }) => {
    const head = {
      'content-length': '7',
      'content-encoding': one,
      'content-type': `text/${one}`,
      'cache-control': `public, max-age=${one.length}00`,
      'set-cookie': `session=${two}`,
      etag: `"${three}"`,
      [`x-${four}`]: five,
    };
    const good = await api.ask([{ head: { [`x-${four}`]: five }, status: 201 }, { end: one }]);
    expect([good.answer.status, good.answer.headers[`x-${four}`]], 'status and header of a good answer').toEqual([
      201,
      five,
    ]);

    for (const [status, thrown] of [
      [500, { message: one }],
      [409, { api: [409, 'Conflict'] }],
    ] as [number, Thrown][]) {
      const { answer, id } = await api.ask([{ head, status: 204 }, { throw: thrown }]);
      const what = `a route set status 204 and ${Object.keys(head).join(', ')}, and threw ${inWords(thrown)}`;
      expect(problemIn(answer), `${what}; its answer`).toEqual(problemAnswer(status));
      const kept = Object.entries(head).flatMap(([name, value]) =>
        String(answer.headers[name]) === value ? [name] : [],
      );
      expect(kept, `${what}; headers of the route in the answer`).toEqual([]);
      expectThat(typeof id === 'string' && id !== '', `${what}; its answer has no x-request-id`);
    }
  });

  test('Lines must show password, authorization and token as "[redacted]" at any depth; the caller’s objects must not change.', async ({
    api,
    subject,
  }) => {
    const secret = one;
    const shared = { id: two, password: secret };
    const fields = (hidden: unknown, shown = { ...shared, password: '[redacted]' }) => ({
      password: hidden,
      tokens: 7,
      passwordHint: three,
      headers: { Authorization: hidden, accept: four },
      list: [[{ TOKEN: hidden }, { token: hidden, number: 0, nothing: null, yes: true, empty: '' }]],
      first: shown,
      again: shown,
      deep: nested(12, { Password: hidden, key: five }),
    });

    for (const hidden of [secret, { inner: secret }, [secret], Number.MAX_SAFE_INTEGER]) {
      const { infoLines, entries } = await api.ask([{ log: five, fields: fields(hidden, shared) }]);
      const line = infoLines.find(({ message }) => message === five);
      expect(line?.fields, `a route logged secrets, ${JSON.stringify(hidden)} each; the fields in its line`).toEqual(
        fields('[redacted]'),
      );
      expectNoSecret(entries, secret, 'a route logged secrets');
    }
    const own = { code: three, request: { headers: [{ authorization: secret }], body: { password: secret } } };
    const failures: Thrown[] = [
      { message: two, own },
      { message: two, cause: { message: three, own } },
      { value: { ...own, code: two } },
      { chain: [two, three], last: { code: four, body: [{ Token: secret }] } },
    ];
    for (const thrown of failures) {
      const { answer, errorLines, entries } = await api.ask([{ throw: thrown }]);
      const what = `${inWords(thrown)} was thrown`;
      expect(answer.status, `${what}; the status of its answer`).toBe(500);
      expectThat(JSON.stringify(errorLines).includes(two), `${what}; it is not in its line`);
      expectNoSecret(entries, secret, what);
    }
    expect(await subject.run(changesOfObjects), 'objects of the caller that the module changed').toEqual([]);
  });
});

describe('stretch', () => {
  test('A logger that throws must change no answer; an unreadable error and an invalid status must get a 500.', async ({
    open,
    api,
  }) => {
    const mute = await open({ loggerThrows: true });
    const what = 'the logger threw';
    const good = await mute.ask([{ log: one }, { log: two }, { end: three }]);
    expect(good.entries.length, `${what}; lines that it had got before`).toBeGreaterThanOrEqual(2);
    expect([good.answer.status, textIn(good.answer)], `${what}; a good answer`).toEqual([200, three]);
    for (const [status, thrown] of [
      [500, { message: one }],
      [418, { api: [418, two] }],
      [500, { value: undefined }],
    ] as [number, Thrown][]) {
      const { answer, entries } = await mute.ask([{ throw: thrown }]);
      expect(problemIn(answer), `${what} after a route; the answer`).toEqual(problemAnswer(status));
      expectThat(
        entries.some(({ level }) => level === 'error'),
        `${inWords(thrown)} was thrown; the logger, which throws, was not called`,
      );
    }
    const after = await mute.ask([{ end: one }, { throw: { message: two } }]);
    expect(textIn(after.answer), `${what} after an answer; that answer`).toBe(one);

    const unreadable = (['message', 'stack', 'name', 'cause', 'code', 'details'] as const).map((throwsOnRead) => ({
      throwsOnRead,
    }));
    const invalid = [0, 99, 200, 399, 600, 1000, NaN, -1].map((status): Thrown => ({ api: [status, one] }));
    for (const thrown of [...unreadable, ...invalid]) {
      const { answer } = await api.ask([{ throw: thrown }]);
      expect(problemIn(answer), `${inWords(thrown)} was thrown; its answer`).toEqual(problemAnswer(500));
    }
    const last = await api.ask([{ end: one }]);
    expect(textIn(last.answer), 'the next answer').toBe(one);
  });

  test('A client that left must cause no error line; a source that breaks must cause one.', async ({ api }) => {
    const uploaded = await api.ask([{ read: true }, { throw: { message: one } }], { method: 'POST' });
    expectOneLine(uploaded, one, 'a route read the whole upload and threw an error');
    const reset: Thrown = { message: one, own: { code: 'ECONNRESET' } };
    const upstream = await api.ask([{ throw: reset }]);
    expectOneLine(upstream, one, `${inWords(reset)} was thrown while its client waited`);
    for (const code of [undefined, 'ECONNRESET']) {
      const broken = await api.ask([{ pipe: 'fails', message: two, ...(code !== undefined && { code }) }]);
      const what = `the source of an answer broke${code === undefined ? '' : ` with ${code}`}`;
      expect(broken.answer.isComplete, `${what}; whether the answer was complete`).toBe(false);
      expectOneLine(broken, two, what, { hasAnswer: false });
    }

    for (const [during, steps] of [
      ['upload', [{ log: one }, { read: true }]],
      ['download', [{ log: one }, { pipe: 'endless' }]],
      ['work', [{ log: one }, { hold: true }]],
    ] as ['upload' | 'download' | 'work', Step[]][]) {
      const { errorLines, infoLines } = await api.leave(steps, during);
      const what = `a client left during its ${during}`;
      expect(
        infoLines.map(({ message }) => message),
        `${what}; lines of its route`,
      ).toContain(one);
      expect(
        errorLines.map(({ error }) => error?.message),
        `${what}; error lines`,
      ).toEqual([]);
    }
    const last = await api.ask([{ end: one }]);
    expect(textIn(last.answer), 'the next answer').toBe(one);
  });

  test('Of 1,000 interleaved requests, each must have an id of its own, and no line another’s id.', async ({ api }) => {
    const orders = fc.sample(fc.shuffledSubarray([...Array(requestsAtWork).keys()], { minLength: requestsAtWork }), {
      seed: chosenSeed(),
      numRuns: 2 * rounds,
    });
    const connections = Array.from({ length: requestsAtWork }, () => connectionTo(api.port));
    const ids = new Set<unknown>();

    for (let round = 0; round < rounds; round++) {
      const words = connections.map((_, index) => `${one} ${round}.${index}`);
      const plays = words.map((word, index): Step[] => [
        { log: `${word} begins` },
        { hold: true },
        { log: `${word} goes on` },
        { hold: true },
        index % 2 === 0 ? { throw: { message: `${word} fails` } } : { log: `${word} ends` },
      ]);
      // Some clients send an id of their own, and all the same one.
      const begun = await api.beginAll(plays, (index) => ({
        connection: connections[index]!,
        ...(index % 5 === 0 && { headers: { 'x-request-id': one } }),
      }));
      await api.release(...orders[2 * round]!.map((index) => begun[index]!));
      await api.release(...orders[2 * round + 1]!.map((index) => begun[index]!));
      const answers = await Promise.all(begun.map(({ answer }) => answer));
      const lines = await api.ids(begun[0]!);

      const faults = answers.flatMap(({ status, headers }, index) => {
        const id = headers['x-request-id'];
        if (typeof id === 'string') ids.add(id);
        const own = lines.filter(([, said]) => String(said).startsWith(`${words[index]} `));
        const expected = `${index % 2 === 0 ? 500 : 200}, with 3 lines of ${String(id)}`;
        const seen = `${status}, with ${own.length} lines of ${[...new Set(own.map(([ofLine]) => ofLine))].join(', ')}`;
        return seen === expected ? [] : [`request ${index + 1}: ${seen}; expected ${expected}`];
      });
      const what = `round ${round + 1} of ${rounds}; wrong requests of ${requestsAtWork}`;
      expectThat(faults.length === 0, `${what}: ${faults.length}, such as ${faults[0]}`);
    }
    await Promise.all(connections.map((connection) => connection.destroy()));
    expect(ids.size, 'different ids of 1,000 requests').toBe(rounds * requestsAtWork);
  });
});

/** What a problem's answer must look like; the rest of its body is free. */
function problemAnswer(status: number) {
  return { status, mediaType: 'application/problem+json', problem: expect.objectContaining({ status }) };
}

function problemIn({ status, headers, body }: Answer) {
  const mediaType = String(headers['content-type']).split(';')[0]!.trim().toLowerCase();
  let problem: unknown;
  try {
    problem = JSON.parse(body.toString());
  } catch {
    problem = `no JSON: ${body.toString().slice(0, 200)}`;
  }
  return { status, mediaType, problem };
}

function textIn({ body, isComplete }: Answer): string {
  return isComplete ? body.toString() : `broken off after ${body.length} bytes`;
}

function shapeOf({ status, body, isComplete }: Answer) {
  return { status, bytes: body.length, isComplete };
}

/** Fails when an answer contains a word of the error, or a line of a stack. */
function expectHidden({ headers, body }: Answer, what: string): void {
  const text = `${JSON.stringify(headers)} ${body.toString()}`;
  for (const word of [one, two, three])
    expectThat(!text.includes(word), `${what}; its answer contains "${word}": ${text}`);
  expectThat(!/\\n\s+at |\.[jt]s:\d+/.test(text), `${what}; its answer contains a stack: ${text}`);
}

function expectNoSecret(entries: Seen['entries'], secret: string, what: string): void {
  const found = entries.find(({ text }) => text.includes(secret));
  expectThat(found === undefined, `${what}; a line contains the secret ${secret}: ${found?.text.slice(0, 1000)}`);
}

/** Fails unless one error line has been written, with the id of the answer and with this message. */
function expectOneLine(
  { answer, id, errorLines }: Seen,
  message: string | undefined,
  what: string,
  { hasAnswer = true } = {},
) {
  if (hasAnswer) expectThat(answer.status !== 0, `${what}; there was no answer`);
  expect(errorLines.length, `${what}; number of error lines`).toBe(1);
  const { requestId, error } = errorLines[0]!;
  if (answer.status === 0) expectThat(typeof requestId === 'string', `${what}; its line has no requestId`);
  else
    expect({ requestId }, `${what}; its line`).toEqual({
      requestId: typeof id === 'string' ? id : 'the x-request-id of its answer',
    });
  expect(
    { name: typeof error?.name, message: typeof error?.message },
    `${what}; types in error of its line, ${JSON.stringify(error)}`,
  ).toEqual({ name: 'string', message: 'string' });
  if (message !== undefined) expect(error?.message, `${what}; the message in its line`).toBe(message);
}

/** An error in a line, with its causes as far as they have that form. */
function linksOf(error: unknown): Kata.LoggedError[] {
  const links: Kata.LoggedError[] = [];
  for (let next = error as Kata.LoggedError | undefined; typeof next?.message === 'string';) {
    links.push(next);
    next = next.cause as Kata.LoggedError | undefined;
  }
  return links;
}

function nested(depth: number, inner: unknown): unknown {
  return depth === 0 ? inner : depth % 2 === 0 ? { next: nested(depth - 1, inner) } : [nested(depth - 1, inner)];
}

function inWords(thrown: Thrown): string {
  if ('api' in thrown) {
    const [status, title, options] = thrown.api;
    const kind = thrown.isSubclass ? 'a subclass of ApiError' : 'an ApiError';
    const cause = thrown.cause ? `, caused by ${inWords(thrown.cause)},` : '';
    return `${kind} (${status}, ${JSON.stringify(title)}${options ? `, ${JSON.stringify(options)}` : ''})${cause}`;
  }
  if ('chain' in thrown) {
    const { chain, last, loopsTo } = thrown;
    const end =
      loopsTo !== undefined
        ? `, the last caused by number ${loopsTo + 1}`
        : last !== undefined
          ? `, the last caused by ${JSON.stringify(last)}`
          : '';
    return `an error with a chain of ${chain.length}${end},`;
  }
  if ('without' in thrown) return 'an object without a prototype';
  if ('throwsOnRead' in thrown) return `an error whose ${thrown.throwsOnRead} throws when it is read`;
  if ('value' in thrown) return JSON.stringify(thrown.value) ?? 'undefined';
  const { isUnwritable, ...rest } = thrown;
  const odd = isUnwritable ? ' with a bigint and itself among its properties' : '';
  return `an Error ${JSON.stringify(rest)}${odd}`;
}
