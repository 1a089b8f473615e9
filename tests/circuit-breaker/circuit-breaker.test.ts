import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/circuit-breaker/circuit-breaker.ts';
import { Bench, type BenchChoice, type HeldCall, type Treatment, timing } from './bench.ts';
import { type Report, playHistories } from './inside.ts';
import { differenceByThrowing, faultOf, histories, historyInWords, playOf } from './model.ts';
import type { Step } from './play-history.ts';

const { timeoutMs, resetTimeoutMs } = timing;
const test = judge<typeof Kata>('circuit-breaker').extend('open', async ({ subject }, { onCleanup }) => {
  const benches: Bench[] = [];
  onCleanup(async () => void (await Promise.all(benches.map((bench) => bench[Symbol.asyncDispose]()))));
  return async (choice: BenchChoice = {}): Promise<Bench> => {
    const bench = await Bench.open(subject, choice);
    benches.push(bench);
    return bench;
  };
});

describe('core', () => {
  test('failureThreshold failures in a row must open the breaker, and fewer must not.', async ({ open }) => {
    for (const failureThreshold of [1, 2, 5]) {
      const bench = await open({ failureThreshold });
      const fewer = Array.from({ length: failureThreshold - 1 }, (_, at): Treatment => (at === 1 ? 'breaks' : 503));
      const what = `failureThreshold ${failureThreshold}`;

      const outcomes = await bench.fire(200, 200, ...fewer);
      const { state } = bench.report;
      const last = await bench.fire(500);

      const failed = fewer.map((treatment) => (treatment === 'breaks' ? 'failed: no answer' : 'failed: 503'));
      expect(outcomes, `${what}; how the first calls ended`).toEqual(['answered call 1', 'answered call 2', ...failed]);
      expect(state, `${what}; state after two successes and ${fewer.length} failures`).toBe('closed');
      expect(last, `${what}; how the next call ended`).toEqual(['failed: 500']);
      expect(bench.report.state, `${what}; state after one failure more`).toBe('open');
    }
  });

  test('An open breaker must reject with CircuitOpenError at once, without calling.', async ({ open }) => {
    const bench = await open();
    await bench.fire(503, 503);

    const outcomes = await bench.fire(200, 200, 200);

    expect(outcomes, 'how three calls of an open breaker ended').toEqual(['refused', 'refused', 'refused']);
    expect(bench.requests, 'requests at the server, two of them before the breaker opened').toBe(2);
    expect(bench.report.state, 'state').toBe('open');
  });

  test('Once the clock `now` has moved by resetTimeoutMs, the next call must go through and make the breaker half-open.', async ({
    open,
  }) => {
    const bench = await open();
    await bench.fire(503, 503);

    await bench.pass({ timersMs: 2 * resetTimeoutMs });
    const atOnce = await bench.fire(200);
    await bench.pass({ nowMs: resetTimeoutMs - 1 });
    const early = await bench.fire(200);
    await bench.pass({ nowMs: 1 });
    const probe = await bench.hold();
    const { state } = bench.report;

    expect(atOnce, 'a call after time had passed for timers only').toEqual(['refused']);
    expect(early, 'a call 1 ms before the reset time').toEqual(['refused']);
    expect(state, 'state while the first call after the reset time is under way').toBe('half-open');
    expect(await bench.end(probe, 200), 'how that call ended').toBe('answered call 5');

    const bare = await open({ isBare: true });
    await bare.fire(503, 503);
    // The clock of Node counts in fractions, so 10,000 ms may be 9,999.999.
    await bare.pass({ timersMs: resetTimeoutMs - 5 });
    const earlyBare = await bare.fire(200);
    await bare.pass({ timersMs: 10 });
    const lateBare = await bare.fire(200);
    const outcomes = [...earlyBare, ...lateBare];
    expect(outcomes, 'without now, calls 5 ms before the reset time and 5 ms after it').toEqual([
      'refused',
      'answered call 4',
    ]);
    expect(bare.report.state, 'without now, isFailure and onStateChange; state after a success').toBe('closed');
  });

  test('In a half-open breaker, successThreshold successes must close it, and one failure must open it again.', async ({
    open,
  }) => {
    for (const successThreshold of [1, 3]) {
      const bench = await open({ successThreshold });
      const what = `successThreshold ${successThreshold}`;
      await bench.fire(503, 503);

      await bench.end(await bench.halfOpen(), 503);
      const afterFailure = bench.report.state;
      await bench.pass({ nowMs: resetTimeoutMs - 1 });
      const refused = await bench.fire(200);
      await bench.pass({ nowMs: 1 });
      const states: Report['state'][] = [];
      for (let success = 1; success <= successThreshold; success++) {
        await bench.fire(200);
        states.push(bench.report.state);
      }

      expect(afterFailure, `${what}; state after a failure while half-open`).toBe('open');
      expect(refused, `${what}; a call 1 ms before the second reset time`).toEqual(['refused']);
      const stillHalfOpen = Array.from({ length: successThreshold - 1 }, () => 'half-open');
      expect(states, `${what}; states after each success`).toEqual([...stillHalfOpen, 'closed']);
    }
  });
});

describe('robust', () => {
  test('A half-open breaker must let one call through at a time and reject the others with CircuitOpenError.', async ({
    open,
  }) => {
    const bench = await open({ successThreshold: 2 });
    await bench.fire(503, 503);

    const first = await bench.halfOpen();
    const besideFirst = await bench.fire(200, 503);
    const firstEnd = await bench.end(first, 200);
    const second = await bench.hold();
    const besideSecond = await bench.fire(200);
    const secondEnd = await bench.end(second, 200);

    expect(besideFirst, 'how two calls beside the first one ended').toEqual(['refused', 'refused']);
    expect(firstEnd, 'how the first one ended').toBe('answered call 3');
    expect(besideSecond, 'how a call beside the second one ended').toEqual(['refused']);
    expect(secondEnd, 'how the second one ended').toBe('answered call 6');
    expect(bench.requests, 'requests at the server, two of them before the breaker opened').toBe(4);
  });

  test('A success must reset the count of failures, and every change of state must reset both counts.', async ({
    open,
  }) => {
    const bench = await open({ failureThreshold: 3, successThreshold: 2 });

    await bench.fire(503, 503, 200, 503, 503);
    const afterSuccess = bench.report.state;
    await bench.fire(503);
    await bench.end(await bench.halfOpen(), 200);
    await bench.fire(503);
    await bench.end(await bench.halfOpen(), 200);
    const inSecondPeriod = bench.report.state;
    await bench.fire(200, 503, 503);
    const closedAgain = bench.report.state;

    expect(afterSuccess, 'failureThreshold 3; state after 2 failures, a success, and 2 failures').toBe('closed');
    expect(inSecondPeriod, 'successThreshold 2; half-open: success, failure; half-open again: success; state').toBe(
      'half-open',
    );
    expect(closedAgain, 'failureThreshold 3; state after the breaker closed again, and 2 failures').toBe('closed');
  });

  test('The result of a call that began before the last change of state must change nothing.', async ({ open }) => {
    const bench = await open();
    const late: HeldCall[] = [];
    for (let call = 0; call < 6; call++) late.push(await bench.hold());
    const seen: Record<string, unknown> = {};
    const endLate = async (what: string, treatment: Treatment) => {
      const outcome = await bench.end(late.shift()!, treatment);
      seen[what] = `${outcome.replace(/ call.*/, '')}, ${bench.report.state}`;
    };
    await bench.fire(503, 503);
    await bench.pass({ nowMs: resetTimeoutMs / 2 });

    await endLate('a success while open', 200);
    await endLate('a failure while open', 503);
    await bench.pass({ nowMs: resetTimeoutMs / 2 });
    const probe = await bench.hold();
    seen['the first call after the reset time'] = bench.report.state;
    await endLate('a success while half-open', 200);
    await endLate('a failure while half-open', 503);
    seen['a call beside the one that is under way'] = (await bench.fire(200))[0];
    await bench.end(probe, 200);
    await bench.fire(503);
    await endLate('a success while closed again', 200);
    await bench.fire(503);
    seen['after a failure before and a failure behind it'] = bench.report.state;
    await bench.end(await bench.halfOpen(), 200);
    await bench.fire(503);
    await endLate('a failure while closed again, after another failure', 503);

    expect(seen, 'calls that began while the breaker was closed, and ended later').toEqual({
      'a success while open': 'answered, open',
      'a failure while open': 'failed: 503, open',
      'the first call after the reset time': 'half-open',
      'a success while half-open': 'answered, half-open',
      'a failure while half-open': 'failed: 503, half-open',
      'a call beside the one that is under way': 'refused',
      'a success while closed again': 'answered, closed',
      'after a failure before and a failure behind it': 'open',
      'a failure while closed again, after another failure': 'failed: 503, closed',
    });
    await expectNoWordFromTheLastHalfOpenPeriod(await open({ atAbort: 'goes on' }));

    const failureRate = { share: 0.5, minimumCalls: 4, windowMs: 4 * resetTimeoutMs };
    const rated = await open({ failureThreshold: 4, failureRate });
    const held = [await rated.hold(), await rated.hold(), await rated.hold()];
    await rated.fire(503, 503, 503, 503);
    await rated.end(await rated.halfOpen(), 200);
    await rated.pass({ nowMs: 2 * failureRate.windowMs });
    for (const call of held) await rated.end(call, 503);
    await rated.fire(200, 200, 503);
    expect(
      rated.report.state,
      'failureRate with share 0.5 and minimumCalls 4; three calls began, the breaker opened and closed again, two windows later they failed; then two successes and a failure; state',
    ).toBe('closed');
  });

  test('A call that takes timeoutMs must be aborted and rejected with CallTimeoutError; no call may leave a timer.', async ({
    open,
  }) => {
    for (const [what, atAbort] of [
      ['a request', 'ends'],
      ['a request that ignores its signal', 'goes on'],
      ['a call that rejects when its signal is aborted', 'rejects'],
    ] as const) {
      const bench = await open({ atAbort });
      const { timers } = bench.report;

      const held = await bench.hold();
      await bench.pass({ timersMs: timeoutMs - 1 });
      const before = bench.report;
      await bench.hold();
      await bench.pass({ timersMs: 1 });
      const after = bench.report;
      await bench.pass({ timersMs: timeoutMs - 2 });
      const beforeSecond = bench.report;
      await bench.pass({ timersMs: 1 });

      expect([before.outcomes, before.aborted], `${what}; 1 ms before timeoutMs`).toEqual([['pending'], [false]]);
      const younger = [
        ['timed out', 'pending'],
        [true, false],
      ];
      expect(
        [after.outcomes, after.aborted],
        `${what}; after timeoutMs, and a second one 1 ms after its begin`,
      ).toEqual(younger);
      expect(
        [beforeSecond.outcomes, beforeSecond.aborted],
        `${what}; a second one, 1 ms before its timeoutMs are over`,
      ).toEqual(younger);
      expect(after.state, `${what}; failureThreshold 2, state after one timeout`).toBe('closed');
      if (atAbort === 'ends') expect(await held.request?.isLeft(), 'the server saw the request closed').toBe(true);
      expect(bench.report.state, `${what}; failureThreshold 2, state after the second timeout`).toBe('open');
      expect(bench.report.timers - timers, `${what}; timers left by two timeouts`).toBe(0);
    }
    const bench = await open();
    const { timers } = bench.report;
    await bench.fire(200, 503);
    expect(await bench.fireThrowing(), 'how a call ended that throws before it returns a promise').toBe(
      'failed: thrown',
    );
    expect(bench.report.timers - timers, 'timers left by a success, a failure and a call that throws').toBe(0);
    await bench.fire('breaks', 200);
    expect(bench.report.timers - timers, 'timers left by a broken connection and a call while open, too').toBe(0);

    const opened = await open();
    await opened.hold();
    await opened.fire(503, 503);
    await opened.pass({ timersMs: timeoutMs });
    const { outcomes, aborted } = opened.report;
    expect(
      [outcomes[0], aborted[0]],
      'timeoutMs after a call began that was under way when the breaker opened',
    ).toEqual(['timed out', true]);
  });

  test('onStateChange must hear every change once, in order; a listener that throws must change nothing.', async ({
    open,
    subject,
  }) => {
    for (const listenerThrows of [false, true]) {
      const bench = await open({ listenerThrows });
      const what = listenerThrows ? 'a listener that throws' : 'a listener';

      const late = await bench.hold();
      const outcomes = await bench.fire(503, 503);
      outcomes.push(await bench.end(late, 503), ...(await bench.fire(200)));
      outcomes.push(await bench.end(await bench.halfOpen(), 503));
      outcomes.push(await bench.end(await bench.halfOpen(), 200), ...(await bench.fire(200)));

      expect(bench.report.changes, `${what}; what it heard`).toEqual([
        'closed → open',
        'open → half-open',
        'half-open → open',
        'open → half-open',
        'half-open → closed',
      ]);
      expect(outcomes, `${what}; how the calls ended`).toEqual([
        'failed: 503',
        'failed: 503',
        'failed: 503',
        'refused',
        'failed: 503',
        'answered call 6',
        'answered call 7',
      ]);
    }

    await expectForDrawn({
      // What a call leaves that throws is up to promise 8.
      examples: histories.map(({ steps, ...thresholds }) => ({
        ...thresholds,
        steps: steps.filter(([what]) => what !== 'fire, and call throws'),
      })),
      count: 100,
      ask: async (drawn) => {
        const plays = drawn.map(playOf).flatMap((play) => [play, { ...play, listenerThrows: true }]);
        const seen = await subject.run(playHistories, plays);
        return drawn.map((_, index) => seen.slice(2 * index, 2 * index + 2));
      },
      fault: differenceByThrowing,
      inWords: (history) => `the listener throws; ${historyInWords(history)}`,
    });
  });
});

describe('stretch', () => {
  test('An error for which isFailure returns false must count as a success.', async ({ open }) => {
    const bench = await open({ excused: [404, 409], successThreshold: 2 });

    const outcomes = await bench.fire(404, 409, 404, 409);
    const afterErrors = bench.report.state;
    await bench.fire(503, 404, 503);
    const between = bench.report.state;
    await bench.fire(503);
    const states = [bench.report.state];
    await bench.end(await bench.halfOpen(), 404);
    states.push(bench.report.state);
    await bench.fire(409);
    states.push(bench.report.state);

    const failed = ['failed: 404', 'failed: 409', 'failed: 404', 'failed: 409'];
    const other = await open({ excused: [404], successThreshold: 2 });
    await other.fire(503, 503);
    await other.pass({ nowMs: resetTimeoutMs });
    const thrown = [await other.fireThrowing(404), await other.fireThrowing(404)];

    expect(outcomes, 'isFailure excuses 404 and 409; how such calls ended').toEqual(failed);
    expect(afterErrors, 'failureThreshold 2; state after four of them').toBe('closed');
    expect(between, 'failureThreshold 2; state after 503, 404, 503').toBe('closed');
    expect(states, 'successThreshold 2; states after 503, 503, and then two of them while half-open').toEqual([
      'open',
      'half-open',
      'closed',
    ]);
    expect(thrown, 'after the reset time, how two calls ended that throw such errors at once').toEqual([
      'failed: thrown',
      'failed: thrown',
    ]);
    expect(other.report.state, 'successThreshold 2; state after these two').toBe('closed');
  });

  test('With failureRate, a failure must open the breaker when enough of the calls within windowMs have failed.', async ({
    open,
  }) => {
    const windowMs = 4 * resetTimeoutMs;
    const rated = () => open({ failureThreshold: 1000, failureRate: { share: 0.5, minimumCalls: 4, windowMs } });
    /** The states after each group of calls; a number is the time before the next group. */
    const statesOf = async (bench: Bench, ...groups: (readonly Treatment[] | number)[]) => {
      const states: Report['state'][] = [];
      for (const group of groups) {
        if (typeof group === 'number') await bench.pass({ nowMs: group });
        else {
          await bench.fire(...group);
          states.push(bench.report.state);
        }
      }
      return states;
    };
    const what = 'share 0.5, minimumCalls 4; states after each group of calls';

    const minimum = await statesOf(await rated(), [503, 503, 503], [503]);
    expect(minimum, `${what}: 3 failures, 1 more`).toEqual(['closed', 'open']);
    const share = await statesOf(await rated(), [200, 200, 200, 503, 503], [503]);
    expect(share, `${what}: 2 failures of 5 calls, 1 more`).toEqual(['closed', 'open']);
    const oldSuccesses = await statesOf(
      await rated(),
      [200, 200, 200, 200, 200, 200],
      2 * windowMs,
      [503, 503, 503],
      [503],
    );
    expect(oldSuccesses, `${what}: 6 successes, 2 windows later 3 failures, 1 more`).toEqual([
      'closed',
      'closed',
      'open',
    ]);
    const oldFailures = await statesOf(await rated(), [503, 503, 503], 2 * windowMs, [503]);
    expect(oldFailures, `${what}: 3 failures, 1 more 2 windows later`).toEqual(['closed', 'closed']);
    const sliding = await statesOf(await rated(), [200], 0.8 * windowMs, [503, 503], 0.4 * windowMs, [503], [503]);
    expect(sliding, `${what}: 1 success, 0.8 windows later 2 failures, 0.4 windows later 1, 1 more`).toEqual([
      'closed',
      'closed',
      'closed',
      'open',
    ]);
    const long = await rated();
    const underWay = [await long.hold(), await long.hold(), await long.hold()];
    await long.pass({ nowMs: 2 * windowMs });
    for (const call of underWay) await long.end(call, 503);
    const ofLong = [long.report.state, ...(await statesOf(long, [503]))];
    expect(ofLong, `${what}: 3 calls that took 2 windows failed, 1 more failure`).toEqual(['closed', 'open']);
    const excusing = await open({
      excused: [404],
      failureThreshold: 1000,
      failureRate: { share: 0.5, minimumCalls: 4, windowMs },
    });
    const excused = await statesOf(excusing, [404, 404, 503], [503]);
    expect(excused, `${what}: 2 errors that isFailure excuses and 1 failure, 1 more`).toEqual(['closed', 'open']);
    const both = await open({ failureThreshold: 3, failureRate: { share: 0.5, minimumCalls: 100, windowMs } });
    const inARow = await statesOf(both, [503, 503], [503]);
    expect(inARow, 'minimumCalls 100, failureThreshold 3; states after 2 failures and 1 more').toEqual([
      'closed',
      'open',
    ]);
    const reopened = await rated();
    await reopened.fire(503, 503, 503, 503);
    await reopened.end(await reopened.halfOpen(), 503);
    const halfOpen = reopened.report.state;
    await reopened.end(await reopened.halfOpen(), 200);
    expect(halfOpen, `${what}: 4 failures, reset time, 1 failure`).toBe('open');
    expect(await statesOf(reopened, [503]), `${what}: reset time, 1 success, 1 failure`).toEqual(['closed']);

    const failureRate = { share: 0.25, minimumCalls: 4, windowMs };
    const probed = await open({ failureThreshold: 1000, successThreshold: 3, failureRate });
    await probed.fire(503, 503, 503, 503);
    await probed.end(await probed.halfOpen(), 200);
    const [afterProbes, afterFailure] = await statesOf(probed, [200, 200], [503]);
    // If it has not closed, promises 3 and 4 say so.
    if (afterProbes !== 'closed') return;
    expect(
      afterFailure,
      'share 0.25, minimumCalls 4, successThreshold 3; state after 4 failures, reset time, 3 successes and 1 failure',
    ).toBe('closed');
  });

  test('Any history of calls, results and time must lead to the results and states that these rules imply.', async ({
    subject,
  }) => {
    // A call that has timed out counts once, whatever comes of it later.
    for (const late of ['succeed', 'fail'] as const) {
      const steps: Step[] = [['fire', 'fail'], ['fire'], ['time out'], [late, 0], ['fire', 'fail']];
      const history = { failureThreshold: 3, successThreshold: 1, steps };
      const [seen] = await subject.run(playHistories, [playOf(history)]);
      const fault = faultOf(seen!, history);
      expectThat(fault === undefined, `${historyInWords(history)}: ${fault}`);
    }
    await expectForDrawn({
      examples: histories,
      count: 500,
      ask: (drawn) => subject.run(playHistories, drawn.map(playOf)),
      fault: faultOf,
      inWords: historyInWords,
    });
  });
});

/** A probe times out, the next one is under way, and only then the server answers the first. */
async function expectNoWordFromTheLastHalfOpenPeriod(bench: Bench) {
  await bench.fire(503, 503);
  const first = await bench.halfOpen();
  await bench.pass({ timersMs: timeoutMs });
  const second = await bench.halfOpen();

  const firstEnd = await bench.end(first, 200);
  const { state } = bench.report;
  const [beside] = await bench.fire(200);
  const secondEnd = await bench.end(second, 200);

  const what = 'half-open, a call timed out and was answered when the breaker was half-open again';
  expect([firstEnd, state], `${what}; how it ended, and the state`).toEqual(['timed out', 'half-open']);
  expect([beside, secondEnd], `${what}; a call after that, and the one under way`).toEqual([
    'refused',
    'answered call 4',
  ]);
}
