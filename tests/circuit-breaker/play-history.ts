import type { Tools } from '../../helpers/judging/subject/subject.ts';
import type { SteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/circuit-breaker/circuit-breaker.ts';
import { type Outcome, outcomeOf } from './outcome.ts';

/**
 * What happens to a breaker. `succeed`, `fail` and `excuse` end one of the calls of `call` that are under way, timed out or not: 0 is the
 * latest, 1 the one before, and so on, modulo how many there are. `excuse` does so with an error that `isFailure` calls none. `wait`
 * moves the injected clock, and `time out` the timers, by `timeoutMs`.
 */
export type Step =
  | readonly ['fire' | 'fire, and call throws' | 'time out']
  | readonly ['succeed' | 'fail' | 'excuse', fromTheLatest: number]
  | readonly ['wait', ms: number];

export interface History {
  readonly failureThreshold: number;
  readonly successThreshold: number;
  readonly steps: readonly Step[];
}

/** A history, and after which of its steps the judge looks at `state`. */
export interface Play extends History {
  readonly looks: readonly boolean[];
}

/** What is seen after one step. */
export interface Moment {
  /** How many times `call` was called so far. */
  readonly calls: number;
  /** The fired calls that ended in this step, by their number. */
  readonly ended: readonly string[];
  /** The changes of state in this step. */
  readonly changes: readonly string[];
  /** Undefined where either of two states would be right. */
  readonly state: Kata.State | undefined;
}

export const timing = { timeoutMs: 500, resetTimeoutMs: 1000 };

/** How often the event loop turns after a step. */
const stepTurns = 3;

/** Plays one history on a new breaker, in front of promises that the history settles. */
export async function playHistory(
  kata: typeof Kata,
  { failureThreshold, successThreshold, steps, looks }: Play,
  { clock, turns }: { readonly clock: SteppedClock; readonly turns: Tools['turns'] },
): Promise<Moment[]> {
  const { CircuitOpenError, CallTimeoutError } = kata;
  const ownErrors = new Map<unknown, string>();
  const failure = ownError('a failure');
  const excuse = ownError('excused');
  const underWay: PromiseWithResolvers<string>[] = [];
  let [nowMs, calls, fired, throws] = [1000, 0, 0, false];
  let ended: string[] = [];
  let changes: string[] = [];

  function ownError(label: string): Error {
    const error = new Error(label);
    ownErrors.set(error, label);
    return error;
  }

  const breaker = kata.createBreaker<string, string>(
    () => {
      calls++;
      if (throws) throw failure;
      const result = Promise.withResolvers<string>();
      underWay.push(result);
      return result.promise;
    },
    {
      ...timing,
      failureThreshold,
      successThreshold,
      now: () => nowMs,
      isFailure: (error) => error !== excuse,
      onStateChange: (to, from) => void changes.push(`${from} → ${to}`),
    },
  );

  function fire(callThrows: boolean) {
    const number = ++fired;
    const note = (outcome: Outcome) => void ended.push(`call ${number} ${outcome}`);
    throws = callThrows;
    void outcomeOf({ CircuitOpenError, CallTimeoutError }, () => breaker.fire('request'), ownErrors).then(note);
  }

  function next(number: number): PromiseWithResolvers<string> | undefined {
    return underWay.splice(-1 - (number % Math.max(1, underWay.length)), 1)[0];
  }

  async function take(step: Step) {
    switch (step[0]) {
      case 'fire':
        return fire(false);
      case 'fire, and call throws':
        return fire(true);
      case 'succeed':
        return next(step[1])?.resolve('well');
      case 'fail':
        return next(step[1])?.reject(failure);
      case 'excuse':
        return next(step[1])?.reject(excuse);
      case 'wait':
        nowMs += step[1];
        return undefined;
      case 'time out':
        return await clock.step(timing.timeoutMs);
    }
  }

  const moments: Moment[] = [];
  for (const [at, step] of steps.entries()) {
    [ended, changes] = [[], []];
    await take(step);
    await turns(stepTurns);
    moments.push({ calls, ended: ended.toSorted(), changes, state: looks[at] ? breaker.state : undefined });
  }
  return moments;
}
