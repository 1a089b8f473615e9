import fc from 'fast-check';
import type { State } from '../../katas/circuit-breaker/circuit-breaker.ts';
import { type Ending, type History, type Moment, type Play, type Step, timing } from './play-history.ts';

/** A fired call that `call` has not ended yet. */
interface UnderWay {
  readonly number: number;
  /** The number of changes of state before it began. */
  readonly period: number;
  hasTimedOut: boolean;
}

type Result = 'success' | 'failure';

const outcomes = { succeed: 'answered well', fail: 'failed: a failure', excuse: 'failed: excused' };

/** What a right breaker shows after each step of a history. */
function expectedMoments({ failureThreshold, successThreshold, steps }: History): Moment[] {
  let state: State = 'closed';
  let [nowMs, openedAtMs, period, calls, fired] = [0, 0, 0, 0, 0];
  let [failuresInARow, successes, isProbing] = [0, 0, false];
  let underWay: UnderWay[] = [];
  let ended: string[] = [];
  let changes: string[] = [];

  const isOver = () => state === 'open' && nowMs >= openedAtMs + timing.resetTimeoutMs;

  function change(to: State) {
    changes.push(`${state} → ${to}`);
    [state, failuresInARow, successes, isProbing] = [to, 0, 0, false];
    period++;
    if (to === 'open') openedAtMs = nowMs;
  }

  function count(call: UnderWay, result: Result) {
    if (call.period !== period) return;
    isProbing = false;
    failuresInARow = result === 'failure' ? failuresInARow + 1 : 0;
    if (result === 'success') successes++;
    if (state === 'half-open' && result === 'failure') change('open');
    else if (state === 'half-open' && successes === successThreshold) change('closed');
    else if (state === 'closed' && failuresInARow === failureThreshold) change('open');
  }

  function end(ending: Ending, fromTheLatest: number) {
    const [call] = underWay.splice(-1 - (fromTheLatest % Math.max(1, underWay.length)), 1);
    if (call === undefined || call.hasTimedOut) return;
    ended.push(`call ${call.number} ${outcomes[ending]}`);
    count(call, ending === 'fail' ? 'failure' : 'success');
  }

  function fire(callThrows: boolean) {
    const number = ++fired;
    if (isOver()) change('half-open');
    if (state === 'open' || isProbing) {
      ended.push(`call ${number} refused`);
      return;
    }
    calls++;
    isProbing = state === 'half-open';
    underWay.push({ number, period, hasTimedOut: false });
    if (callThrows) end('fail', 0);
  }

  function take(step: Step) {
    switch (step[0]) {
      case 'fire': {
        const callsBefore = calls;
        fire(false);
        if (step[1] !== undefined && calls > callsBefore) end(step[1], 0);
        return;
      }
      case 'fire, and call throws':
        return fire(true);
      case 'succeed':
      case 'fail':
      case 'excuse':
        return end(step[0], step[1]);
      case 'wait':
        nowMs += step[1];
        return;
      case 'time out':
        for (const call of underWay) {
          if (call.hasTimedOut) continue;
          call.hasTimedOut = true;
          ended.push(`call ${call.number} timed out`);
          count(call, 'failure');
        }
    }
  }

  return steps.map((step) => {
    [ended, changes] = [[], []];
    take(step);
    return { calls, ended: ended.toSorted(), changes, state: isOver() ? undefined : state };
  });
}

const endings = fc.constantFrom<Ending[]>('succeed', 'succeed', 'fail', 'fail', 'excuse');

/** Most calls end before the next one, and some are under way for long. */
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constant('fire' as const), endings) },
  { weight: 5, arbitrary: fc.constant(['fire'] as const) },
  { weight: 4, arbitrary: fc.tuple(endings, fc.nat({ max: 5 })) },
  { weight: 4, arbitrary: fc.constant(['wait', 1000] as const) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('wait' as const), fc.constantFrom(1, 999)) },
  { weight: 1, arbitrary: fc.constant(['fire, and call throws'] as const) },
  { weight: 1, arbitrary: fc.constant(['time out'] as const) },
);

export const histories: fc.Arbitrary<History> = fc.record({
  failureThreshold: fc.integer({ min: 1, max: 3 }),
  successThreshold: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(steps, { minLength: 1, maxLength: 60, size: 'max' }),
});

/** The history as it is played: nobody looks at `state` where two states would be right. */
export function playOf(history: History): Play {
  return { ...history, looks: expectedMoments(history).map(({ state }) => state !== undefined) };
}

/** The first step after which the judge saw something wrong; undefined when there is none. */
export function faultOf(seen: readonly Moment[], history: History): string | undefined {
  return differenceIn(seen, expectedMoments(history), history, 'but expected');
}

/** The first step after which a listener that throws has made a difference to the same history; undefined when there is none. */
export function differenceByThrowing(
  [quiet, throwing]: readonly (readonly Moment[])[],
  history: History,
): string | undefined {
  return differenceIn(throwing!, quiet!, history, 'and, when the listener does not throw,');
}

function differenceIn(
  seen: readonly Moment[],
  expected: readonly Moment[],
  { steps: taken }: History,
  but: string,
): string | undefined {
  for (const [at, right] of expected.entries()) {
    const moment = seen[at]!;
    if (inWords(moment) !== inWords(right))
      return `after step ${at + 1}, "${stepInWords(taken[at]!)}", the judge saw\n  ${inWords(moment)}\n${but}\n  ${inWords(right)}\n`;
  }
  return undefined;
}

export function historyInWords({ failureThreshold, successThreshold, steps: taken }: History): string {
  return `failureThreshold ${failureThreshold}, successThreshold ${successThreshold}; ${taken.map(stepInWords).join('; ')}`;
}

function stepInWords([what, value]: Step): string {
  if (value === undefined) return what;
  if (what === 'wait') return `wait ${value} ms`;
  return what === 'fire'
    ? `fire and ${value}`
    : `${what} the latest call under way${value === 0 ? '' : ` but ${value}`}`;
}

function inWords({ calls, ended, changes, state }: Moment): string {
  const parts = [`${calls} made`, ended.join(', ') || 'no call ended', changes.join(', ') || 'no change'];
  return [...parts, ...(state ? [`state ${state}`] : [])].join('; ');
}
