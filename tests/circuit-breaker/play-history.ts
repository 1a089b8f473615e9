import type { SteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/circuit-breaker/circuit-breaker.ts';
import { type Outcome, outcomeOf } from './outcome.ts';

/** How a call of `call` ends; `excuse` is an error that `isFailure` calls none. */
export type Ending = 'succeed' | 'fail' | 'excuse';

/**
 * What happens to a breaker. `fire` may end at once the call that it made, if it made one. An ending by itself ends one of the calls that
 * are under way, timed out or not: 0 is the latest, 1 the one before, and so on, modulo how many there are. `wait` moves the injected
 * clock, and `time out` the timers, by `timeoutMs`.
 */
export type Step =
  | readonly ['fire', ending?: Ending]
  | readonly ['fire, and call throws' | 'time out']
  | readonly [Ending, fromTheLatest: number]
  | readonly ['wait', ms: number];

export interface History {
  readonly failureThreshold: number;
  readonly successThreshold: number;
  readonly steps: readonly Step[];
}

/** A history, and after which of its steps the judge looks at `state`. */
export interface Play extends History {
  readonly looks: readonly boolean[];
  readonly listenerThrows?: boolean;
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
  { failureThreshold, successThreshold, steps, looks, listenerThrows }: Play,
  { clock, turns }: { readonly clock: SteppedClock; readonly turns: (count: number) => Promise<void> },
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
      onStateChange: (to, from) => {
        changes.push(`${from} → ${to}`);
        if (listenerThrows) throw new Error('the listener throws');
      },
    },
  );

  function fire(callThrows: boolean) {
    const number = ++fired;
    const note = (outcome: Outcome) => void ended.push(`call ${number} ${outcome}`);
    throws = callThrows;
    void outcomeOf({ CircuitOpenError, CallTimeoutError }, () => breaker.fire('request'), ownErrors).then(note);
  }

  function end(ending: Ending, fromTheLatest: number) {
    const [call] = underWay.splice(-1 - (fromTheLatest % Math.max(1, underWay.length)), 1);
    if (ending === 'succeed') call?.resolve('well');
    else call?.reject(ending === 'fail' ? failure : excuse);
  }

  async function take(step: Step) {
    switch (step[0]) {
      case 'fire': {
        const callsBefore = calls;
        fire(false);
        await turns(stepTurns);
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
        await clock.step(timing.timeoutMs);
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
