import { describe, expect } from 'vitest';
import { openHttpPeer } from '../../helpers/instruments/http-peer/http-peer.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type * as Kata from '../../katas/retry/retry.ts';
import {
  type Abort,
  type Phase,
  type Play,
  obey,
  playAll,
  playErrors,
  playTogether,
  playTwice,
  playValues,
  spendBudget,
  spend,
} from './inside.ts';

const test = judge<typeof Kata>('retry');

describe('core', () => {
  test('While fn fails, retry must call it retries + 1 times in all, one call after the other.', async ({
    subject,
  }) => {
    const plays = [0, 1, 2, 5].map((retries): Play => ({ options: { retries } }));

    const reports = await subject.run(playTwice, plays);
    const together = await subject.run(playTogether, plays);
    const kinds = await subject.run(playErrors, 2);

    for (const [at, { calls, overlaps, outcome }] of reports.entries()) {
      const { retries } = plays[at]!.options;
      expect(calls, `retries ${retries}; calls of fn, of two retry with the same options`).toBe(2 * (retries! + 1));
      expect(overlaps, `retries ${retries}; calls of fn that began before the last one had ended`).toBe(0);
      expect(outcome, `retries ${retries}; how the second retry ended`).not.toBe('not settled');
      expect(together[at]!.calls, `retries ${retries}; calls of fn, beside other calls of retry`).toBe(retries! + 1);
    }
    for (const { what, report } of kinds)
      expect(report.calls, `retries 2, no shouldRetry; fn throws ${what} each time; calls of fn`).toBe(3);
  });

  test('retry must return the first value of fn, or give up with the last error as cause.', async ({ subject }) => {
    for (const calls of [1, 2, 4]) {
      for (const { what, report } of await subject.run(playValues, { calls, succeeds: true }))
        expect({ outcome: report.outcome, calls: report.calls }, what).toEqual({
          outcome: 'returned the value of fn',
          calls,
        });
      for (const { what, report } of await subject.run(playValues, { calls, succeeds: false }))
        expect({ outcome: report.outcome, cause: report.cause }, what).toEqual({
          outcome: 'gave up',
          cause: report.thrown.at(-1),
        });
    }
  });

  test('Waits must grow as baseMs, 2 × baseMs, 4 × baseMs, … up to maxMs; none may follow the last call.', async ({
    subject,
  }) => {
    const plays: Play[] = [
      { options: { retries: 6, baseMs: 100, maxMs: 1000 } },
      { options: { retries: 3, baseMs: 7, maxMs: 1000, jitter: 'none' } },
      { options: { retries: 2, baseMs: 500, maxMs: 300 } },
      { options: { retries: 40, baseMs: 1, maxMs: 4_000_000 } },
      { options: { retries: 5, baseMs: 100, maxMs: 300 }, failures: 4 },
      { options: { retries: 3 }, failures: 0 },
      { options: { retries: 0 } },
    ];

    const reports = await subject.run(playAll, plays);

    for (const [at, { waits, early }] of reports.entries()) {
      const { options, failures = Infinity } = plays[at]!;
      expect(waits, `${inWords(options)}; ms before the first call and after each call`).toEqual([
        '0',
        ...backoff(options).slice(0, failures).map(String),
        '0',
      ]);
      expect(early, `${inWords(options)}; calls that began during a wait`).toBe(0);
    }
  });
});

describe('robust', () => {
  test('When shouldRetry returns false for an error, retry must give up.', async ({ subject }) => {
    const plays = [1, 2, 3].map((refused): Play => ({ options: { retries: 4 }, refused }));

    const reports = await subject.run(playAll, plays);

    for (const [at, { calls, waits, outcome }] of reports.entries()) {
      const { refused } = plays[at]!;
      const seen = { calls, 'waits after the refused error': waits.slice(refused), outcome };
      expect(seen, `shouldRetry refuses the error of call ${refused}`).toEqual({
        calls: refused,
        'waits after the refused error': ['0'],
        outcome: 'gave up',
      });
    }
  });

  test('With full jitter, each wait must be a new random() times the wait without jitter.', async ({ subject }) => {
    const randoms = [0.75, 0.25, 0.999_999, 0, 0.5];
    const plays = [
      { retries: 5, baseMs: 1000, maxMs: 60_000 },
      { retries: 5, baseMs: 1000, maxMs: 3000 },
      { retries: 3, baseMs: 5000, maxMs: 2000 },
    ].map((options): Play => ({ options: { ...options, jitter: 'full' }, randoms }));

    const reports = await subject.run(playAll, plays);

    for (const [at, { waits }] of reports.entries()) {
      const { options } = plays[at]!;
      const exact = backoff(options).map((ms, retry) => ms * randoms[retry]!);
      const seen = waits.slice(1, exact.length + 1).map(Number);
      const isRight = seen.length === exact.length && exact.every((ms, retry) => Math.abs(seen[retry]! - ms) <= 1);
      expectThat(
        isRight,
        `${inWords(options)}; random() returned ${randoms.join(', ')}; expected waits of ${exact.join(', ')} ms, saw ${seen.join(', ')} ms`,
      );
    }
  });

  test('Retry-After, in seconds or as a date, must replace the wait and its jitter, up to maxMs.', async ({
    subject,
  }) => {
    const nowMs = Date.UTC(2031, 4, 6, 7, 8, 9);
    const inSeconds = (seconds: number) => new Date(nowMs + seconds * 1000).toUTCString();
    const usual = { retries: 1, baseMs: 2000, maxMs: 60_000 };
    const cases: { options: Play['options']; callMs?: number; headers: (string | undefined)[]; waits: number[] }[] = [
      { options: usual, headers: ['7'], waits: [7000] },
      { options: usual, headers: ['1'], waits: [1000] },
      { options: { ...usual, jitter: 'full' }, headers: ['7'], waits: [7000] },
      { options: usual, headers: ['3600'], waits: [60_000] },
      { options: usual, headers: ['0'], waits: [0] },
      { options: usual, headers: [inSeconds(9)], waits: [9000] },
      { options: { ...usual, jitter: 'full' }, headers: [inSeconds(1)], waits: [1000] },
      { options: usual, headers: [inSeconds(3600)], waits: [60_000] },
      { options: usual, headers: [inSeconds(0)], waits: [0] },
      { options: usual, headers: [inSeconds(-86_400)], waits: [0] },
      { options: usual, headers: [undefined], waits: [2000] },
      { options: usual, headers: [''], waits: [2000] },
      { options: usual, headers: ['soon'], waits: [2000] },
      { options: { ...usual, retries: 2 }, callMs: 20_000, headers: [undefined, inSeconds(45)], waits: [2000, 5000] },
      {
        options: { ...usual, retries: 4 },
        headers: [undefined, '1', undefined, 'soon'],
        waits: [2000, 1000, 8000, 16_000],
      },
    ];
    await using peer = await openHttpPeer(({ path }) => {
      const [, at, call] = path.split('/').map(Number);
      const header = cases[at!]?.headers[call! - 1];
      return { status: 503, headers: header === undefined ? {} : { 'retry-after': header } };
    });

    const reports = await subject.run(obey, {
      origin: await originOf(peer, subject),
      nowMs,
      plays: cases.map(({ options, callMs = 0 }) => ({ options, callMs })),
    });

    for (const [at, { options, callMs, headers, waits }] of cases.entries()) {
      const shown = headers.map((header) => (header === undefined ? 'none' : JSON.stringify(header))).join(', ');
      const what = `${inWords(options)}; Retry-After: ${shown}; now: ${inSeconds(0)}${callMs ? `, and ${callMs} ms later after each call` : ''}; ms after each call but the last`;
      expect(reports[at]!.waits.slice(1, waits.length + 1), what).toEqual(waits.map(String));
    }
  });

  test('An abort during a wait must reject with the signal’s reason at once.', async ({ subject }) => {
    await expectOfAborts(
      subject,
      [
        { when: 'during wait', call: 1, isHeld: true },
        { when: 'during wait', call: 1, reason: 'the server shuts down', isHeld: true },
        { when: 'during wait', call: 3, isHeld: true },
      ],
      (_, { outcome }, what) => expect(outcome, `${what}; how retry ended`).toBe('rejected with the reason'),
    );
  });

  test('After an abort, retry must not call fn; if fn fails after an abort, retry must reject with the signal’s reason.', async ({
    subject,
  }) => {
    const aborts: Abort[] = [
      { when: 'before', call: 0 },
      { when: 'before', call: 0, reason: 'the server shuts down' },
      { when: 'during call', call: 1 },
      { when: 'during call', call: 2, reason: 'the server shuts down' },
      { when: 'during call', call: 4 },
      { when: 'as wait ends', call: 1 },
      { when: 'as wait ends', call: 3 },
    ];
    for (const refused of [undefined, 1]) {
      await expectOfAborts(
        subject,
        refused === undefined ? aborts : [{ when: 'during call', call: 1 }],
        ({ call }, { calls, outcome }, what) =>
          expect({ calls, outcome }, what).toEqual({ calls: call, outcome: 'rejected with the reason' }),
        refused,
      );
    }
  });

  test('The errors of a RetryError must be what all calls threw, in order.', async ({ subject }) => {
    const refusing: Play[] = [1, 2, 3].map((refused) => ({ options: { retries: 4 }, refused }));
    const played = (await subject.run(playAll, refusing)).map((report, at) => ({
      what: `shouldRetry refuses the error of call ${at + 1}`,
      report,
    }));
    for (const calls of [1, 4]) played.push(...(await subject.run(playValues, { calls, succeeds: false })));

    const counts = [1, 3];
    for (const [at, report] of (await subject.run(spendBudget, counts)).entries())
      played.push({ what: `a budget refuses the retry after ${counts[at]} calls`, report });

    for (const { what, report } of played) expect(report.errors, `${what}; errors`).toEqual(report.thrown);
  });

  test('When retry has settled, no sleep may be pending and no listener may be left on the signal.', async ({
    subject,
  }) => {
    const options = { retries: 3 };
    const ways: [how: string, play: Play][] = [
      ['the first call succeeded', { options, failures: 0 }],
      ['the third call succeeded', { options, failures: 2 }],
      ['all calls failed', { options }],
      ['shouldRetry refused the second error', { options, refused: 2 }],
      ['an abort during the first wait', { options, abort: { when: 'during wait', call: 1 } }],
      ['an abort during the third wait', { options, abort: { when: 'during wait', call: 3 } }],
      ['an abort during the second call', { options, abort: { when: 'during call', call: 2 } }],
      ['an abort before retry', { options, abort: { when: 'before', call: 0 } }],
    ];

    const reports = await subject.run(
      playAll,
      ways.map(([, play]) => play),
    );

    for (const [at, { sleeping, listeners, outcome }] of reports.entries()) {
      const [how] = ways[at]!;
      expect(outcome, `${how}; how retry ended`).not.toBe('not settled');
      expect({ 'pending sleeps': sleeping, listeners }, how).toEqual({ 'pending sleeps': 0, listeners: 0 });
    }
  });
});

describe('stretch', () => {
  test('All callers of a budget must share it: each retry() adds ratio, up to max, and each repeated call of fn takes 1.', async ({
    subject,
  }) => {
    const asked = new Set<string>();
    await using peer = await openHttpPeer(({ path }) => {
      const isRetry = asked.has(path);
      asked.add(path);
      const succeeds = path.startsWith('/succeeds') || (path.startsWith('/recovers') && isRetry);
      return { status: succeeds ? 200 : 503, body: 'an answer' };
    });
    const origin = await originOf(peer, subject);
    const budgets: { ratio: number; max: number; phases: Phase[]; limits: number[]; what: string }[] = [
      {
        what: 'everything succeeds',
        ratio: 0.5,
        max: 20,
        phases: [{ path: '/succeeds/a', calls: 40, isAtOnce: true }],
        limits: [0],
      },
      {
        what: 'everything fails, with a second budget',
        ratio: 0.1,
        max: 20,
        phases: [
          { path: '/fails/a', calls: 20, isAtOnce: true },
          { path: '/fails/b', calls: 20, isAtOnce: false },
          { path: '/fails/c', calls: 60, isAtOnce: true },
        ],
        limits: [2, 4, 10],
      },
      {
        what: 'everything fails, with a third budget',
        ratio: 0.5,
        max: 20,
        phases: [{ path: '/fails/d', calls: 20, isAtOnce: true }],
        limits: [10],
      },
      {
        what: 'everything fails, with whole numbers',
        ratio: 1,
        max: 1,
        phases: [{ path: '/fails/e', calls: 10, isAtOnce: false }],
        limits: [10],
      },
      {
        what: 'everything fails after 60 calls that succeeded',
        ratio: 0.25,
        max: 5,
        phases: [
          { path: '/succeeds/b', calls: 60, isAtOnce: true },
          { path: '/fails/f', calls: 8, isAtOnce: false },
        ],
        limits: [0, 7],
      },
      {
        what: 'each first call of fn fails and each retry succeeds, after 16 calls that succeeded',
        ratio: 0.25,
        max: 20,
        phases: [
          { path: '/succeeds/c', calls: 16, isAtOnce: true },
          { path: '/recovers/a', calls: 16, isAtOnce: false },
        ],
        limits: [0, 8],
      },
      {
        what: 'everything fails after 16 calls whose errors shouldRetry refuses',
        ratio: 0.5,
        max: 8,
        phases: [
          { path: '/refused/a', calls: 16, isAtOnce: false },
          { path: '/fails/g', calls: 4, isAtOnce: false },
        ],
        limits: [0, 9],
      },
      {
        what: 'everything fails after 16 calls that have no retries',
        ratio: 0.5,
        max: 8,
        phases: [
          { path: '/fails/h', calls: 16, isAtOnce: false, retries: 0 },
          { path: '/fails/i', calls: 4, isAtOnce: false },
        ],
        limits: [0, 9],
      },
    ];
    for (const { what, ratio, max, phases, limits } of budgets) {
      const accounts = await subject.run(spend, { origin, ratio, max, phases });

      let retries = 0;
      for (const [at, { path, calls, isAtOnce, retries: allowed }] of phases.entries()) {
        // Promise 3 is about calls that have no retries.
        if (allowed === 0) continue;
        const requests = peer.requests.filter((request) => request.path.startsWith(`${path}/`)).length;
        retries += requests - calls;
        const where = `${what}; ratio ${ratio}, max ${max}; ${calls} callers ${isAtOnce ? 'at once' : 'one by one'}`;
        const returned = path.startsWith('/succeeds') ? calls : path.startsWith('/recovers') ? requests - calls : 0;
        const account = `${returned} returned, ${calls - returned} gave up, 0 waits without a call`;
        expect(accounts[at], `${where}; what became of them`).toBe(account);
        expectThat(
          retries <= limits[at]! && retries >= limits[at]! / 2,
          `${where}; the server has counted ${retries} retries so far; expected ${limits[at]! / 2} to ${limits[at]!}`,
        );
      }
    }
  });

  test('A synchronous throw of fn must count as a failed call.', async ({ subject }) => {
    const plays = [
      { retries: 3, failures: 1 },
      { retries: 3, failures: 3 },
      { retries: 3, failures: Infinity },
      { retries: 0, failures: Infinity },
    ];

    const reports = await subject.run(
      playAll,
      plays.map(({ retries, failures }): Play => ({ options: { retries }, throwsAtOnce: failures, failures })),
    );

    for (const [at, { calls, waits, outcome }] of reports.entries()) {
      const { retries, failures } = plays[at]!;
      if (failures === Infinity) {
        expect(outcome, `retries ${retries}; all calls throw at once; how retry ended`).toBe('gave up');
      } else {
        const seen = { calls, waits: waits.slice(1).filter((ms) => ms !== '0').length, outcome };
        expect(seen, `retries ${retries}; the first ${failures} calls throw at once`).toEqual({
          calls: failures + 1,
          waits: failures,
          outcome: 'returned the value of fn',
        });
      }
    }
  });
});

/** Plays aborts with 3 retries. */
async function expectOfAborts(
  subject: Subject<typeof Kata>,
  aborts: readonly Abort[],
  check: (abort: Abort, report: { calls: number; outcome: string }, what: string) => void,
  refused?: number,
): Promise<void> {
  const plays = aborts.map((abort): Play => ({
    options: { retries: 3 },
    abort,
    ...(refused !== undefined && { refused }),
  }));
  const reports = await subject.run(playAll, plays);
  for (const [at, report] of reports.entries()) {
    const { when, call, reason } = aborts[at]!;
    const where = {
      before: 'before retry',
      'during call': 'during call',
      'during wait': 'during the wait after call',
      'as wait ends': 'in the moment in which the wait ends after call',
    }[when];
    const what = `an abort ${where}${call > 0 ? ` ${call}` : ''}${reason === undefined ? '' : ', with a text as reason'}${refused === undefined ? '' : ', whose error shouldRetry refuses'}`;
    check(aborts[at]!, report, what);
  }
}

/** The waits without jitter. */
function backoff({ retries = 3, baseMs = 100, maxMs = 10_000 }: Play['options']): number[] {
  return Array.from({ length: retries }, (_, retry) => Math.min(baseMs * 2 ** retry, maxMs));
}

function inWords(options: Play['options']): string {
  return Object.entries(options)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

async function originOf(peer: { host: string; port: number }, subject: Subject<typeof Kata>): Promise<string> {
  const { host, port } = await subject.addressInside({ host: peer.host, port: peer.port });
  return `http://${host}:${port}`;
}
