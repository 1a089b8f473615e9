import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { chosenSandbox } from '../../helpers/judging/subject/sandbox.ts';
import { Patience } from '../../helpers/judging/subject/patience.ts';
import type * as Kata from '../../katas/graceful-shutdown/graceful-shutdown.ts';
import type { Caller } from './caller.ts';
import { headerBytes, largeTimes, poolIsClosed } from './messages.ts';
import { type Choice, Service, graceMs } from './service.ts';

const test = judge<typeof Kata>('graceful-shutdown', { spares: 2 })
  .extend('patience', { scope: 'file' }, () => new Patience())
  .extend('open', ({ subjects, patience }, { onCleanup }) => {
    const opened: AsyncDisposable[] = [];
    onCleanup(async () => void (await Promise.all(opened.map((one) => one[Symbol.asyncDispose]()))));
    return async (choice?: Choice): Promise<Service> => {
      const subject = await subjects.fresh();
      opened.push(subject);
      const service = await Service.open(subject, patience, choice);
      opened.push(service);
      return service;
    };
  });

/** 16 characters each, which no module can know. */
const contents = drawOne(fc.uniqueArray(fc.stringMatching(/^[a-z]{16}$/), { minLength: 7, maxLength: 7 }));
const [one, two, three, four, five, six, seven] = contents as [string, string, string, string, string, string, string];
const [first, other] = drawOne(fc.shuffledSubarray(['SIGTERM', 'SIGINT'] as const, { minLength: 2 })) as [
  NodeJS.Signals,
  NodeJS.Signals,
];
/** One that everybody knows, and one that only the option names. */
const someSignals = drawOne(
  fc.tuple(
    fc.constantFrom('SIGTERM' as const, 'SIGINT' as const),
    fc.constantFrom('SIGHUP' as const, 'SIGUSR2' as const),
  ),
);

describe('core', () => {
  test('Requests in flight must be answered whole, and then the process must end with exit code 0.', async ({
    open,
  }) => {
    const service = await open();
    const upload = await beginUpload(service, 'upload', one, 7);
    const held = {
      end: await service.hold('end', 'end'),
      head: await service.hold('head', 'head'),
      chunked: await service.hold('chunked', 'chunked'),
      length: await service.hold('length', 'length'),
    };
    const used = await service.connect();
    used.ask('/ping/used');
    expect(await service.answerOn(used), `an answer before ${first}`).toMatchObject({ status: 200 });

    // Its client has gone away in the middle of the answer.
    const gone = await service.hold('chunked', 'gone');
    gone[Symbol.dispose]();
    service.answer('query', 'gone', { value: three });
    await service.lives();

    service.signal(first);
    await service.refuses();
    // It is idle, so it may be closed. If its route is called, it is in flight like the others.
    const isLateInFlight = await service.reaches('end', 'late', used);
    for (const name of drawOne(fc.shuffledSubarray(['end', 'head', 'chunked', 'length'] as const, { minLength: 4 }))) {
      service.answer('query', name, { value: two });
      const body = { end: two, head: two, chunked: `begun, ${two}`, length: `begun, ${two}`.padEnd(headerBytes, '.') };
      expect(await service.answerOn(held[name]), `the answer of /${name}, in flight at ${first}`).toMatchObject({
        status: 200,
        body: body[name],
      });
    }
    expectThat(await service.lives(), 'the process ended with half of an upload to wait for');
    upload.send(one.slice(7));
    await service.told('the rest of the upload', 'query', 'upload');
    service.answer('query', 'upload', { value: three });
    expect(await service.answerOn(upload), `the answer of an upload, half sent at ${first}`).toMatchObject({
      status: 200,
      body: `${one}, ${three}`,
    });
    if (isLateInFlight) {
      expectThat(await service.lives(), 'the process ended with a request in flight on a connection from before');
      service.answer('query', 'late', { value: one });
      expect(await service.answerOn(used, 1), `a request on an old connection after ${first}`).toMatchObject({
        status: 200,
        body: one,
      });
    }
    expect(await service.end(), 'the process, after its last answer').toBe('exit code 0');

    const slow = await open({ holdsClock: true });
    const patient = await slow.hold('end', 'slow');
    slow.signal(first);
    await slow.lives();
    await slow.passes(graceMs - 2_000);
    slow.answer('query', 'slow', { value: one });
    expect(
      await slow.answerOn(patient),
      `an answer that was ready 2 s before graceMs had passed, in flight at ${first}`,
    ).toMatchObject({ status: 200, body: one });
  });

  test('While requests are in flight, new connections must be refused.', async ({ open }) => {
    const service = await open();
    const [begun, held] = [await service.hold('chunked', 'begun'), await service.hold('end', 'held')];

    service.signal(first);
    const isRefused = await service.refuses();
    service.answer('query', 'held', { value: one });
    const answer = await service.answerOn(held);
    const tried = await service.tries();
    service.answer('query', 'begun', { value: two });

    expectThat(isRefused, `after ${first}, with two requests in flight, new connections were still accepted`);
    expect(answer, 'the first of the two answers').toMatchObject({ status: 200, body: one });
    expect(tried, 'a new connection, with the second one in flight').toBe('refused');
    expect(await service.answerOn(begun), 'the second answer').toMatchObject({ status: 200, body: `begun, ${two}` });
  });

  test('Each of signals must end the process with exit code 0, also when nothing is in flight.', async ({ open }) => {
    const seen = await Promise.all(
      someSignals.map(async (name) => {
        const service = await open({ signals: someSignals, isBare: true });
        const tried = await service.tries();
        service.signal(name);
        const end = await service.end();
        return { name, tried, end, poolEnds: service.count('end') };
      }),
    );

    for (const { name, ...rest } of seen)
      expect(rest, `signals ${someSignals.join(', ')} and no optional options; after ${name}`).toEqual({
        tried: 'answered',
        end: 'exit code 0',
        poolEnds: 1,
      });
  });
});

describe('robust', () => {
  test('Idle connections must not hold the process: unused ones, used ones, and those whose request ends during the shutdown.', async ({
    open,
  }) => {
    for (const isBusy of [true, false]) {
      const service = await open({ holds: isBusy ? [] : ['readiness'] });
      const connect = () => service.connect({ staysOpen: true });
      const unused = await connect();
      const used = await connect();
      for (const number of [0, 1]) {
        used.ask(`/ping/${one}`);
        expect(await service.answerOn(used, number), 'an answer before the signal').toMatchObject({
          body: `pong ${one}`,
        });
      }
      const idle: Record<string, Caller> = { unused, used };
      if (isBusy) {
        idle['whose headers were sent before'] = await service.hold('chunked', 'begun', await connect());
        idle['whose request was held'] = await service.hold('end', 'held', await connect());
      }

      service.signal(first);
      if (isBusy) {
        await service.refuses();
        await finish(service, idle['whose request was held']!, 'held', two, two);
        await finish(service, idle['whose headers were sent before']!, 'begun', three, `begun, ${three}`);
      } else if (await service.tells('readiness')) {
        idle['opened while onReadiness was awaited'] = await connect();
        await service.lives();
        service.answer('readiness', 'false');
      }

      const end = await service.end();
      const stillOpen = Object.keys(idle).filter((name) => !idle[name]!.isClosed);
      const when = isBusy ? 'after the last answer' : 'with nothing in flight at the signal';
      expectThat(
        end === 'exit code 0',
        `the process, ${when}: ${end}; connections that were open, whose clients close none: ${stillOpen.join(', ')}`,
      );
    }
  });

  test('From the signal on, each response whose headers are not sent yet must have `connection: close`.', async ({
    open,
  }) => {
    const service = await open({ holds: ['readiness'] });
    const kept = await service.connect();
    kept.ask(`/ping/${one}`);
    const before = await service.answerOn(kept);
    const callers: [name: string, caller: Caller, number: number][] = [];
    const hold = async (route: string, name: string, caller?: Caller) =>
      void callers.push([name, await service.hold(route, name, caller), caller ? 1 : 0]);
    await hold('end', 'kept-alive', kept);
    for (const route of ['end', 'head', 'write']) await hold(route, `${route}-before`);
    const early = await service.hold('end', 'early');

    service.signal(first);
    await service.told('onReadiness', 'readiness');
    service.answer('query', 'early', { value: one });
    const meanwhile = await service.answerOn(early);
    for (const route of ['end', 'head', 'write']) await hold(route, `${route}-after`);
    const late = await service.connect();
    late.ask('/ping/now');
    const now = await service.answerOn(late);
    service.answer('readiness', 'false');

    expect(before, 'an answer before the signal').toMatchObject({ connection: 'keep-alive' });
    const close = { status: 200, connection: 'close' };
    expect(meanwhile, `an answer while onReadiness is awaited, in flight at ${first}`).toMatchObject(close);
    expect(now, 'an answer while onReadiness is awaited').toMatchObject(close);
    for (const [name, caller, number] of callers) {
      service.answer('query', name, { value: one });
      if (name.startsWith('write')) {
        await service.told('the second query of the route', 'query', name, 2);
        service.answer('query', name, { value: two });
      }
      expect(await service.answerOn(caller, number), `the answer of ${name}`).toEqual({
        ...close,
        body: name.startsWith('write') ? one + two : one,
      });
    }
  });

  test('goAway must be called once for each client, and the process must wait until they have left.', async ({
    open,
  }) => {
    const service = await open({ holds: ['readiness'] });
    const callers = new Map<string, Caller>();
    const come = async (kind: 'upgraded' | 'stream', name: string) => {
      const caller = kind === 'upgraded' ? await service.upgrade(name) : await service.connect();
      if (kind === 'stream') caller.ask(`/stream/${name}`);
      callers.set(name, caller);
      expectThat(await service.hears(caller, 'hello'), `the client ${name} was not welcomed`);
    };
    await come('upgraded', 'first');
    await come('stream', 'second');
    service.order({ kind: 'add a broken client' });
    await service.told('a client was added', 'done');
    await come('upgraded', 'third');

    service.signal(first);
    await service.told('onReadiness', 'readiness');
    await come('upgraded', 'late');
    service.answer('readiness', 'false');

    for (const [name, caller] of callers) {
      const bye = name === 'second' ? 'bye' : 'go away';
      expectThat(await service.hears(caller, bye), `the client ${name} was never told to go away`);
    }
    for (const name of ['late', 'first', 'third']) {
      const caller = callers.get(name)!;
      for (let line = 1; line <= 12; line++) {
        caller.send(`${line} ${one}\n`);
        const is = await service.hears(caller, `echo ${line} ${one}`);
        expectThat(is, `the client ${name} said ${line} lines before it left, and was cut off`);
      }
      caller.send('leave\n');
      expectThat(await service.closes(caller), `the connection of ${name} was not closed after it had left`);
    }
    expect(await service.end(), 'the process, after all clients had left').toBe('exit code 0');
    expect(service.details('goAway').toSorted(), 'calls of goAway').toEqual([...callers.keys(), 'broken'].toSorted());
  });

  test('pool.end() must be called once after the last response and awaited; if it rejects, the exit code must be 1.', async ({
    open,
  }) => {
    for (const [error, code] of [
      [undefined, 0],
      ['the database is gone', 1],
    ] as const) {
      const service = await open({ holds: ['end'] });
      const early = await service.hold('write', 'early');
      // What it accepts makes no client of it.
      const late = await service.hold('write', 'late', undefined, ['Accept: text/event-stream']);

      service.signal(first);
      await service.refuses();
      for (const [name, caller] of [
        ['early', early],
        ['late', late],
      ] as const) {
        service.answer('query', name, { value: one });
        await service.told('the second query of a route', 'query', name, 2);
        service.answer('query', name, { value: two });
        const what = `the ${name} answer, whose route queries the pool twice`;
        expect(await service.answerOn(caller), what).toMatchObject({ status: 200, body: one + two });
        if (name === 'late') continue;
        expectThat(await service.lives(), 'the process ended with a request in flight');
        expect(service.count('end'), 'calls of pool.end() with a request in flight').toBe(0);
      }
      await service.told('pool.end()', 'end');
      expectThat(await service.lives(), 'the process ended while pool.end() was under way');
      service.answer('end', '', error === undefined ? {} : { error });

      const how = error === undefined ? 'resolved' : 'rejected';
      expect(await service.end(), `the process, after pool.end() had ${how}`).toBe(`exit code ${code}`);
      expect(service.count('end'), 'calls of pool.end()').toBe(1);
    }

    const service = await open({ holds: ['end'] });
    const client = await service.upgrade('client');
    expectThat(await service.hears(client, 'hello'), 'an upgraded client was not welcomed');
    const used = await service.connect();
    used.ask('/ping/used');
    await service.answerOn(used);
    service.signal(first);
    await service.refuses();
    await service.lives();
    // It is idle, so it may be closed. If its route is called, it is in flight.
    if (await service.reaches('end', 'late', used)) service.answer('query', 'late', { value: one });
    if (service.count('query', 'late') > 0 || used.answers[1]?.body.includes(poolIsClosed)) {
      const what = `an old connection’s answer, while a client was leaving; pool.end() had been called ${service.count('end')} times`;
      expect(await service.answerOn(used, 1), what).toMatchObject({ status: 200, body: one });
    }
    client.send('leave\n');
    await service.told('pool.end()', 'end');
    service.answer('end', '', { error: null });
    const how = 'after a client had left and pool.end() had rejected without a reason';
    expect(await service.end(), `the process, ${how}`).toBe('exit code 1');

    const quiet = await open({ holds: ['readiness'] });
    quiet.signal(first);
    await quiet.told('onReadiness(false)', 'readiness', 'false');
    const only = await quiet.connect();
    // Whether it is answered at all is up to promise 10.
    if (!(await quiet.reaches('end', 'only', only))) return;
    quiet.answer('readiness', 'false');
    await quiet.refuses();
    await quiet.lives();
    const what = 'calls of pool.end() before the answer of a request that came while onReadiness was awaited';
    expect(quiet.count('end'), what).toBe(0);
    await finish(quiet, only, 'only', one, one);
    expect(await quiet.end(), 'the process, after the last answer').toBe('exit code 0');
  });

  test('A second signal must end the process at once with exit code 1.', async ({ open }) => {
    const during = await open();
    await during.hold('chunked', 'held');
    during.signal(first);
    expectThat(await during.refuses(), `new connections were still accepted after ${first}`);
    expectThat(await during.lives(), `the process ended after one ${first}, with a request in flight`);
    during.signal(first);
    expect(await during.end(), `the process, after ${first} twice, with a request in flight`).toBe('exit code 1');

    const late = await open({ holds: ['end'] });
    late.signal(first);
    await late.told('pool.end()', 'end');
    late.signal(other);
    expect(await late.end(), `the process, after ${first} and, during pool.end(), ${other}`).toBe('exit code 1');

    // Whether onReadiness is called and awaited is up to promise 10.
    const early = await open({ holds: ['readiness', 'end'] });
    early.signal(first);
    if (!(await early.tells('readiness'))) return;
    early.signal(first);
    const twice = `${first} twice, while onReadiness was awaited`;
    expect(await early.end(), `the process, after ${twice}`).toBe('exit code 1');
  });

  test('When graceMs have passed, and not before, the process must end with exit code 1, whatever it waits for.', async ({
    open,
  }) => {
    const cases: [what: string, begin: (service: Service) => Promise<unknown>, waits?: Waits][] = [
      ['a request', (service) => service.hold('chunked', 'held')],
      ['a request, after a rejection', (service) => service.hold('chunked', 'held')],
      ['half of a body', (service) => beginUpload(service, 'half', four, 7)],
      ['half of a head', (service) => sendHalfOfHead(service)],
      ['a client', (service) => upgrade(service, 'stays'), 'goAway'],
      ['pool.end()', (service) => service.tries(), 'end'],
      ['onReadiness', (service) => service.tries(), 'readiness'],
    ];
    const seen = await Promise.all(
      cases.map(async ([what, begin, waits]) => {
        const service = await open({ holds: waits ? [waits] : [], holdsClock: true });
        await begin(service);
        if (what.includes('rejection')) service.order({ kind: 'reject', message: one });
        else service.signal(first);
        await service.lives();
        let passedMs = 0;
        // A module may look once in a while.
        const reaches = async () => (waits ? service.count(waits) > 0 : (await service.tries()) === 'refused');
        while (!(await reaches()) && passedMs < graceMs / 2 && (await service.passes(500))) passedMs += 500;
        const isEarly = !(await service.passes(graceMs - passedMs - 1)) || !(await service.lives());
        if (!isEarly) await service.passes(1001);
        return { what, isEarly, end: await service.end() };
      }),
    );

    for (const { what, isEarly, end } of seen) {
      // It may be closed at any time.
      if (what === 'half of a head' && end === 'exit code 0') continue;
      expectThat(!isEarly, `with ${what} to wait for, the process ended before graceMs had passed: ${end}`);
      expect(end, `the process, 1 s after graceMs, with ${what} to wait for`).toBe('exit code 1');
    }
  });
});

describe('stretch', () => {
  test('onReadiness(false) must be called once and awaited before the listener closes; requests must be answered meanwhile.', async ({
    open,
  }) => {
    const service = await open({ holds: ['readiness'] });
    const held = await service.hold('chunked', 'held');
    const used = await service.connect();
    used.ask('/ping/used');
    await service.answerOn(used);

    service.signal(first);
    await service.told('onReadiness(false)', 'readiness', 'false');
    expectThat(await service.lives(), 'the process ended while onReadiness was awaited');
    const late = await service.hold('end', 'late');
    // It was idle at the signal, so it may have been closed. If its route is called, it is in flight.
    const isAgainInFlight = await service.reaches('end', 'again', used);
    const tried = [await service.tries(), await service.tries()];
    expect(tried, 'new connections while onReadiness is awaited').toEqual(['answered', 'answered']);
    service.answer('readiness', 'false');
    expectThat(await service.refuses(), 'new connections were still accepted after onReadiness had resolved');

    await finish(service, late, 'late', one, one);
    if (isAgainInFlight) {
      service.answer('query', 'again', { value: three });
      const what = 'a request that came while onReadiness was awaited, on a connection that was idle before';
      expect(await service.answerOn(used, 1), what).toMatchObject({ status: 200, body: three });
    }
    await finish(service, held, 'held', two, `begun, ${two}`);
    expect(await service.end(), 'the process, after the last answer').toBe('exit code 0');
    expect(service.details('readiness'), 'what onReadiness was called with').toEqual(['false']);
  });

  test('A response that a slow client still reads must arrive whole, also when its route ended before the signal.', async ({
    open,
  }) => {
    const service = await open();
    const readers = {
      before: await service.holdLarge('before'),
      during: await service.holdLarge('during'),
    };
    const held = await service.hold('end', 'held');
    const endRoute = async (name: string) => {
      service.answer('query', name, { value: seven });
      await service.told('the end of a route', 'ended', name);
    };
    await endRoute('before');

    service.signal(first);
    expectThat(await service.refuses(), `new connections were still accepted after ${first}`);
    await endRoute('during');
    // A container's network goes with its process, and with it what the system has still to deliver. There, a request keeps the
    // process until both have read.
    const isContained = chosenSandbox() === 'docker';
    if (!isContained) await finish(service, held, 'held', one, one);
    await service.lives();

    for (const [name, reader] of Object.entries(readers)) {
      const { how, bytes } = await reader.rest();
      expect({ how, bytes }, `a body of 16 MB whose route ended ${name} the shutdown`).toEqual({
        how: 'complete',
        bytes: largeTimes * seven.length,
      });
    }
    if (isContained) await finish(service, held, 'held', one, one);
    expect(await service.end(), 'the process, after both have arrived').toBe('exit code 0');
  });

  test('An unhandled rejection must reach logError and cause the same shutdown with code 1; further ones must only be logged.', async ({
    open,
  }) => {
    const service = await open();
    const [begun, held] = [await service.hold('chunked', 'begun'), await service.hold('end', 'held')];

    service.order({ kind: 'reject', message: five });
    await service.told('logError was not called with the reason; that', 'error', five);
    expectThat(await service.refuses(), 'new connections were still accepted after an unhandled rejection');
    await finish(service, held, 'held', one, one);
    service.order({ kind: 'reject', message: six });
    await service.told('logError was not called for the second rejection; that', 'error', six);
    expectThat(await service.lives(), 'a second rejection ended the process with a request in flight');
    await finish(service, begun, 'begun', two, `begun, ${two}`);

    expect(await service.end(), 'the process, after the last answer').toBe('exit code 1');
    expect(service.details('error'), 'what logError was called with').toEqual([five, six]);
    expect(service.details('readiness'), 'what onReadiness was called with').toEqual(['false']);
    expect(service.count('end'), 'calls of pool.end()').toBe(1);

    const second = await open();
    const asked = await second.hold('end', 'asked');
    second.order({ kind: 'reject', message: null });
    await second.told('logError was not called for a rejection without a reason; that', 'error');
    await finish(second, asked, 'asked', one, one);
    expect(await second.end(), 'the process, after an unhandled rejection without a reason').toBe('exit code 1');
  });
});

type Waits = 'goAway' | 'end' | 'readiness';

/** Lets a held request go on, and sees its answer. */
async function finish(service: Service, caller: Caller, name: string, value: string, body: string): Promise<void> {
  service.answer('query', name, { value });
  expect(await service.answerOn(caller), `the answer of a request in flight`).toMatchObject({ status: 200, body });
}

/** Sends the head and so many bytes of the body, and waits until the route is at it. */
async function beginUpload(service: Service, name: string, body: string, bytes: number): Promise<Caller> {
  const caller = await service.connect();
  caller.send(
    `POST /upload/${name} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, bytes)}`,
  );
  await service.told(`the request /upload/${name}`, 'upload', name);
  return caller;
}

/** Sends a part of a head, and waits until the service has taken that connection. */
async function sendHalfOfHead(service: Service): Promise<void> {
  (await service.connect()).send('GET /end/never HTTP/1.1\r\nHost: serv');
  await service.tries();
}

async function upgrade(service: Service, name: string): Promise<Caller> {
  const caller = await service.connect();
  caller.send(`GET /socket/${name} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n`);
  expectThat(await service.hears(caller, 'hello'), `the client ${name} was not welcomed`);
  return caller;
}
