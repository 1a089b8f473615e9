import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { growthPerVisit } from '../../helpers/instruments/heap/churn.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { ask } from '../../helpers/instruments/readers/ask.ts';
import { drawOne, expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/rate-limiter/rate-limiter.ts';
import {
  type Play,
  type Seen,
  callOften,
  makeLimiter,
  outliveErrors,
  pass,
  playAll,
  readHandled,
  releaseClock,
  startServer,
  useKeys,
} from './inside.ts';
import { type Checks, Pair, shared } from './pair.ts';
import {
  bareHistory,
  buckets,
  crowds,
  histories,
  inWords,
  jumps,
  multitudes,
  overLimit,
  refusedTooMany,
  wrongAfterJump,
  wrongBucket,
  wrongFigures,
  wrongKey,
} from './plays.ts';

/** What a key that is idle may leave, in bytes: less than half of the shortest key. */
const keyLimit = 100;
/** What a call may leave, in bytes: less than half of a number. */
const callLimit = 3;

const test = judge<typeof Kata>('rate-limiter', { spares: 2 })
  .extend('pair', { scope: 'file' }, ({ database, subjects }, { onCleanup }) => {
    const open = once(() => Pair.open(database, subjects));
    let isOpen = false;
    onCleanup(async () => {
      if (isOpen) await (await open())[Symbol.asyncDispose]();
    });
    return async () => {
      isOpen = true;
      return await open();
    };
  })
  .extend('scheduled', { scope: 'file' }, ({ pair }) => once(async () => await (await pair()).schedules()));

describe('core', () => {
  test('A key must never have more than limit calls that count.', async ({ subject }) => {
    await expectOfPlays(subject, histories(4), overLimit);
  });

  test('A call must be allowed whenever fewer than limit calls of its key count.', async ({ subject }) => {
    await expectOfPlays(subject, histories(2), refusedTooMany);
    await expectOfPlays(subject, bareHistory, refusedTooMany, 5);
  });

  test('Keys must not affect each other, whatever they are called.', async ({ subject }) => {
    await expectOfPlays(subject, crowds, wrongKey, 15);
    await expectOfPlays(subject, multitudes, wrongKey, 1);
  });

  test('check must return the right remaining and resetMs, to the millisecond.', async ({ subject }) => {
    await expectOfPlays(subject, histories(1), wrongFigures);
  });
});

describe('robust', () => {
  test('The middleware must call next once for an allowed request, and answer a refused one with 429 itself.', async ({
    subject,
    fresh,
  }) => {
    const { limit, windowMs } = drawOptions();
    const server = await Server.start(subject, { limit, windowMs });
    const inTurn = await server.request('ann', limit + 2);
    const atOnce = await server.requestAtOnce('bob', limit + 4);
    await server.pass(2 * windowMs);
    const later = await server.request('ann', 1);

    const [served, refused] = ['200 served', '429'];
    const times = (text: string, count: number) => Array.from({ length: count }, () => text);
    expect(inTurn, `limit ${limit}; ${limit + 2} requests of a user in turn`).toEqual({
      answers: [...times(served, limit), ...times(refused, 2)],
      next: limit,
      args: [],
    });
    expect(
      { ...atOnce, answers: atOnce.answers.toSorted() },
      `limit ${limit}; ${limit + 4} requests of another user at once`,
    ).toEqual({ answers: [...times(served, limit), ...times(refused, 4)], next: limit, args: [] });
    expect(later, 'one more request of the first user, two windows later').toEqual({
      answers: [served],
      next: 1,
      args: [],
    });

    const lasting = await fresh();
    await lasting.run(outliveErrors);
    const { next } = await (await Server.start(lasting, { limit, windowMs })).request('eve', 1);
    expect(next, 'a request whose handler throws an error; how often the middleware called next for it').toBe(1);
  });

  test('The RateLimit headers and Retry-After must be true to the second.', async ({ subject }) => {
    const { limit, windowMs, waits } = drawOptions();
    const server = await Server.start(subject, { limit, windowMs });
    let [now, isRefused] = [0, false];
    let counting: number[] = [];
    for (const [number, wait] of waits.entries()) {
      await server.pass(wait);
      now += wait;
      const { status, headers } = await ask(server.port, '/', { headers: { 'x-user': 'ann' } });
      counting = counting.filter((at) => at > now - windowMs);
      if (status === 200) counting.push(now);
      isRefused ||= status !== 200;
      expectThat(counting.length > 0, `request ${number + 1}, at ${now} ms, got ${status}, although no call counted`);
      const resetMs = counting[0]! + windowMs - now;
      const seconds = String(Math.ceil(resetMs / 1000));
      const what = `limit ${limit}, windowMs ${windowMs}; request ${number + 1}, at ${now} ms, got ${status}; allowed calls that count: ${counting.join(', ')} ms, so resetMs is ${resetMs}; its headers`;
      expect(headers, what).toMatchObject({
        'ratelimit-limit': String(limit),
        'ratelimit-remaining': String(limit - counting.length),
        'ratelimit-reset': seconds,
        ...(status !== 200 && { 'retry-after': seconds }),
      });
    }
    expectThat(isRefused, `no request of ${waits.length} was refused, with limit ${limit}`);
  });

  test('Idle keys must leave no memory, and no timer must keep the process alive.', async ({
    subject,
    onTestFinished,
  }) => {
    onTestFinished(async () => {
      if (subject.alive) await subject.run(releaseClock);
    });
    const windowMs = 60_000;
    const timers = await subject.run(makeLimiter, { limit: 3, windowMs });
    expect(timers, 'timers that keep the process alive, after three calls').toBe(0);

    const [keys, checks] = [500, 1000];
    let [round, allowed] = [0, 0];
    const growth = await growthPerVisit({
      subject,
      perCycle: keys,
      cycle: async () => {
        allowed = await subject.run(useKeys, { prefix: `round ${round++}`, keys, windowMs, windows: 3, checks });
      },
    });

    expect(allowed, `of ${keys} new keys with one call each, how many were allowed`).toBe(keys);
    const what = `${keys} keys called and became idle while an older one went on, and others made ${checks} calls, ${round} times; each idle key left`;
    expectAtMost(growth, keyLimit, what);
  });

  test('A key must cost bounded memory, however often it calls.', async ({ subject, onTestFinished }) => {
    onTestFinished(async () => {
      if (subject.alive) await subject.run(releaseClock);
    });
    const [limit, windowMs, calls] = [4, 60_000, 1000];
    for (const { how, everyMs, least } of [
      { how: 'all allowed', everyMs: windowMs / limit + 1000, least: calls },
      { how: 'mostly refused', everyMs: 1, least: 0 },
    ]) {
      await subject.run(makeLimiter, { limit, windowMs });
      let allowed = 0;
      const growth = await growthPerVisit({
        subject,
        perCycle: calls,
        cycles: 6,
        cycle: async () => (allowed = await subject.run(callOften, { calls, everyMs })),
      });

      expectThat(allowed >= least, `only ${allowed} of ${calls} calls, one every ${everyMs} ms, were allowed`);
      expectAtMost(growth, callLimit, `one key made ${calls} calls again and again, ${how}; each call left`);
    }
  });

  test('When the clock jumps back, calls must go on counting, for windowMs at most.', async ({ subject }) => {
    await expectForDrawn({
      examples: jumps,
      count: 60,
      ask: (plays: readonly Play[]) => subject.run(playAll, plays),
      fault: wrongAfterJump,
      inWords,
    });
  });
});

describe('stretch', () => {
  test('With burst, a call must be allowed exactly when a whole token is left.', async ({ subject }) => {
    await expectOfPlays(subject, buckets, wrongBucket);
  });

  test('Two processes that share a store must together keep the limit, wherever either one is stopped.', async ({
    pair,
    scheduled,
  }) => {
    const all = await scheduled();
    expectThat(
      all.some((checks) => countOf(checks).allowed > 0),
      `${all[0]!.what}no check was allowed, here and in ${all.length - 1} other schedules${countOf(all[0]!).failed}`,
    );
    for (const checks of all) expectNotOver(checks);
    expectNotOver(await (await pair()).crowd());
  });

  test('Through a store, no check must fail, and a call must be allowed exactly when fewer than limit count.', async ({
    pair,
    scheduled,
  }) => {
    for (const checks of await scheduled()) {
      const { what, places, isUpperLimit = false } = checks;
      const { allowed, failed } = countOf(checks);
      expectThat(failed === '', `${what}a check failed${failed}`);
      expectThat(isUpperLimit || allowed === places, `${what}${allowed} checks were allowed; expected ${places}`);
    }
    await expectHistoryInStore(await pair());
  });
});

/** Requests that one user sent, and what became of them. */
interface Requests {
  readonly answers: readonly string[];
  readonly next: number;
  readonly args: readonly string[];
}

/** A server in the module's process. Its requests go through the middleware before they come to the handler. */
class Server {
  readonly #subject: Subject<typeof Kata>;
  readonly port: number;

  private constructor(subject: Subject<typeof Kata>, port: number) {
    this.#subject = subject;
    this.port = port;
  }

  static async start(subject: Subject<typeof Kata>, options: { limit: number; windowMs: number }): Promise<Server> {
    return new Server(subject, await subject.portOutside(await subject.run(startServer, options)));
  }

  async pass(ms: number): Promise<void> {
    await this.#subject.run(pass, ms);
  }

  async request(user: string, count: number): Promise<Requests> {
    await this.pass(0);
    const answers: string[] = [];
    for (let number = 0; number < count; number++) answers.push(await this.#answer(user));
    return await this.#requests(answers);
  }

  async requestAtOnce(user: string, count: number): Promise<Requests> {
    await this.pass(0);
    return await this.#requests(await Promise.all(Array.from({ length: count }, () => this.#answer(user))));
  }

  async #requests(answers: readonly string[]): Promise<Requests> {
    const { calls, args } = await this.#subject.run(readHandled);
    return { answers, next: calls, args };
  }

  async #answer(user: string): Promise<string> {
    const { status, body } = await ask(this.port, '/', { headers: { 'x-user': user } });
    if (status === 0) return 'no answer';
    return status === 200 ? `200 ${body.toString().slice(0, 50)}` : String(status);
  }
}

/** A limit, a window that is no whole number of seconds, and waits between requests around whole seconds. */
function drawOptions() {
  return drawOne(
    fc.record({
      limit: fc.integer({ min: 2, max: 5 }),
      windowMs: fc.integer({ min: 8_001, max: 8_998 }),
      waits: fc
        .array(fc.constantFrom(0, 1, 499, 500, 501, 999, 1000, 1001), { minLength: 24, maxLength: 24 })
        .map((waits) => [0, 0, 0, 0, 0, 0, 1000, 1, 499, ...waits]),
    }),
  );
}

async function expectOfPlays(
  subject: Subject<typeof Kata>,
  examples: fc.Arbitrary<Play>,
  fault: (seen: readonly Seen[], play: Play) => string | undefined,
  count = 100,
): Promise<void> {
  await expectForDrawn({ examples, count, ask: (plays) => subject.run(playAll, plays), fault, inWords });
}

/** Checks in both processes, one after the other, around the end of each window. */
async function expectHistoryInStore(pair: Pair): Promise<void> {
  const { limit, windowMs } = shared;
  const key = await pair.newKey();
  const third = Math.floor(windowMs / 3);
  const waits = [
    0,
    third,
    ...Array.from({ length: limit }, () => 0),
    windowMs - third - 1,
    1,
    third - 1,
    1,
    0,
    windowMs,
  ];
  let now = 0;
  let counting: number[] = [];
  for (const [number, wait] of waits.entries()) {
    pair.pass(wait);
    now += wait;
    counting = counting.filter((at) => at > now - windowMs);
    const [outcome] = await pair.check(number % 2 === 0 ? pair.a : pair.b, { key });
    const what = `limit ${limit}, windowMs ${windowMs}, processes in turn; check ${number + 1}, at ${now} ms, when ${counting.length} calls counted`;
    expect(outcome, what).toEqual({ allowed: counting.length < limit });
    if (counting.length < limit) counting.push(now);
  }
}

function expectNotOver(checks: Checks): void {
  const { what, outcomes, places } = checks;
  const { allowed, failed } = countOf(checks);
  expectThat(
    allowed <= places,
    `${what}${allowed} of ${outcomes.length} were allowed; at most ${places} may be${failed}`,
  );
}

/** How many checks were allowed, and `; 2 failed: message` where some failed. */
function countOf({ outcomes }: Checks): { allowed: number; failed: string } {
  const allowed = outcomes.filter((one) => 'allowed' in one && one.allowed === true).length;
  const errors = outcomes.flatMap((one) => ('error' in one ? [one.error] : []));
  return { allowed, failed: errors.length === 0 ? '' : `; ${errors.length} failed: ${errors[0]}` };
}
