import fc from 'fast-check';
import type { Play, Seen, Step } from './inside.ts';

type Fault = (seen: readonly Seen[], play: Play) => string | undefined;

const starts = fc.oneof(fc.constant(0), fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }));
const limits = fc.integer({ min: 1, max: 5 });
const windows = fc.integer({ min: 500, max: 100_000 });

/** The times of the allowed calls of that key that count just before and just after this step. */
function countingAround(seen: readonly Seen[], { windowMs }: Play, step: Seen) {
  const before = seen
    .slice(0, seen.indexOf(step))
    .filter(({ key }) => key === step.key)
    .flatMap(({ at, verdicts }) => verdicts.filter(({ allowed }) => allowed).map(() => at))
    .filter((at) => at > step.at - windowMs);
  return { before, after: [...before, ...step.verdicts.filter(({ allowed }) => allowed).map(() => step.at)] };
}

/** Whether too many calls count at the same time. */
export const overLimit: Fault = (seen, play) => {
  if (!seen.some(({ verdicts }) => verdicts.some(({ allowed }) => allowed))) return 'no call was allowed';
  for (const step of seen) {
    const { after } = countingAround(seen, play, step);
    if (after.length > play.limit)
      return `at ${step.at} ms ${after.length} calls of ${JSON.stringify(step.key)} counted, allowed at ${after.join(', ')} ms`;
  }
  return undefined;
};

/** Whether a call was refused although fewer than `limit` counted. */
export const refusedTooMany: Fault = (seen, play) => {
  if (seen.every(({ verdicts }) => verdicts.every(({ allowed }) => allowed))) return 'no call was refused';
  for (const step of seen) {
    const { before, after } = countingAround(seen, play, step);
    const [calls, allowed] = [step.verdicts.length, after.length - before.length];
    if (allowed < Math.min(calls, play.limit - before.length))
      return `at ${step.at} ms ${allowed} of ${calls} calls of ${JSON.stringify(step.key)} were allowed, although only ${before.length} counted`;
  }
  return undefined;
};

/** Whether `remaining` or `resetMs` do not fit the calls that were allowed. */
export const wrongFigures: Fault = (seen, play) => {
  for (const step of seen) {
    const { after } = countingAround(seen, play, step);
    if (after.length === 0) return `at ${step.at} ms a call was refused, although none counted`;
    const right = { remaining: play.limit - after.length, resetMs: after[0]! + play.windowMs - step.at };
    const { allowed, remaining, resetMs } = step.verdicts[0]!;
    if (remaining !== right.remaining || resetMs !== right.resetMs)
      return `at ${step.at} ms a call was ${allowed ? 'allowed' : 'refused'} with remaining ${remaining} and resetMs ${resetMs}; expected ${right.remaining} and ${right.resetMs}, as the calls at ${after.join(', ')} ms count`;
  }
  return undefined;
};

/** Fills the limit, and makes a few more calls, so that there is something to allow and something to refuse. */
const fill = (limit: number, key: string, more = 1): Step[] =>
  Array.from({ length: limit + more }, () => ['call', key, 1]);

/** Histories of one busy key and another one, with or without several calls at once. */
export function histories(mostAtOnce: number): fc.Arbitrary<Play> {
  return fc.record({ limit: limits, windowMs: windows, startMs: starts }).chain((options) => {
    const key = fc.constantFrom('ann', 'ann', 'ann', 'bob');
    const steps: fc.Arbitrary<Step> = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('call' as const), key, fc.integer({ min: 1, max: mostAtOnce })) },
      { weight: 3, arbitrary: fc.integer({ min: 1, max: options.windowMs }).map((ms): Step => ['wait', ms]) },
      {
        weight: 3,
        arbitrary: fc
          .integer({ min: 1, max: Math.ceil(options.windowMs / options.limit) })
          .map((ms): Step => ['wait', ms]),
      },
      { weight: 3, arbitrary: fc.constantFrom(-1, 0, 1).map((ms): Step => ['edge', 'ann', ms]) },
    );
    const more = fc.array(steps, { minLength: 1, maxLength: 40, size: 'max' });
    return more.map((drawn): Play => ({ ...options, steps: [...fill(options.limit, 'ann', 3), ...drawn] }));
  });
}

/** The limiter without `now`: it is filled, waits for almost a window, and then for the rest of it. */
export const bareHistory: fc.Arbitrary<Play> = fc.record({ limit: limits, windowMs: windows }).map((options) => ({
  ...options,
  startMs: 0,
  isBare: true,
  steps: [
    ...fill(options.limit, 'ann'),
    ['wait', options.windowMs - 1],
    ['call', 'ann', 1],
    ['wait', 1],
    ...fill(options.limit, 'ann'),
  ],
}));

const long = 'k'.repeat(300);
const names = [
  'a',
  'A',
  ' a',
  'a ',
  'b',
  '',
  '0',
  '00',
  '-0',
  'é',
  'e\u0301',
  'a\u0000b',
  `${long}1`,
  `${long}2`,
].concat(['undefined', 'null', 'constructor', 'toString', 'hasOwnProperty', '__proto__']);

/** Keys that take turns at one instant until each has made one call too many. */
export const crowds: fc.Arbitrary<Play> = fc
  .record({ limit: limits, windowMs: windows, startMs: starts, others: fc.array(fc.string({ unit: 'grapheme' })) })
  .map(({ others, ...options }) => {
    const keys = [...new Set([...names, ...others])];
    const round = keys.map((key): Step => ['call', key, 1]);
    return { ...options, steps: Array.from({ length: options.limit + 1 }, () => round).flat() };
  });

/**
 * More keys than caches usually keep, with one call each at one instant, and then one call too many of some: first of the oldest.
 * Not more of them, since a limiter may look at all its keys in each check.
 */
export const multitudes: fc.Arbitrary<Play> = fc.record({ windowMs: windows, startMs: starts }).map((options) => {
  const round = Array.from({ length: 2010 }, (_, number): Step => ['call', `user ${number}`, 1]);
  return { ...options, limit: 1, steps: [...round, ...round.filter((_, number) => number < 10 || number % 50 === 0)] };
});

/** The first key that did not get `limit` calls and then a refusal. */
export const wrongKey: Fault = (seen, { limit }) => {
  for (const [key, steps] of Map.groupBy(seen, (step) => step.key)) {
    const allowed = steps.map(({ verdicts }) => verdicts[0]!.allowed);
    if (allowed.some((one, at) => one !== at < limit))
      return `calls of ${JSON.stringify(key.slice(0, 20))} in turn with those of ${Map.groupBy(seen, (step) => step.key).size - 1} other keys: ${inTurn(allowed)}; expected ${limit} allowed and 1 refused`;
  }
  return undefined;
};

export interface Jump extends Play {
  readonly used: number;
}

/** Some calls, one or two jumps of the clock with calls after each, and the end of the window that begins with the last jump. */
export const jumps: fc.Arbitrary<Jump> = fc
  .record({
    limit: limits,
    windowMs: windows.filter((ms) => ms >= 1000),
    startMs: fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
    used: fc.integer({ min: 1, max: 5 }),
    gap: fc.double({ min: 0, max: 1, noNaN: true }),
    backs: fc.array(
      fc.constantFrom<((windowMs: number) => number)[]>(
        () => 1,
        (ms) => Math.floor(ms / 3),
        (ms) => ms,
        (ms) => 2 * ms + 1,
        (ms) => 1000 * ms,
        () => 50_000_000_000,
      ),
      { minLength: 1, maxLength: 2 },
    ),
  })
  .map(({ used: drawn, gap, backs, ...options }) => {
    const used = Math.min(drawn, options.limit);
    const gapMs = Math.floor((gap * options.windowMs) / 2 / used);
    const calls = Array.from({ length: used }, (_, at): Step[] => [
      ...(at > 0 ? [['wait', gapMs] as const] : []),
      ['call', 'ann', 1],
    ]);
    const rest = Array.from({ length: options.limit - used + 2 }, (): Step => ['call', 'ann', 1]);
    return {
      ...options,
      used,
      steps: [
        ...calls.flat(),
        ...backs.flatMap((back): Step[] => [['back', back(options.windowMs)], ...rest]),
        ['wait', options.windowMs],
        ...fill(options.limit, 'ann'),
      ],
    };
  });

/** Whether calls were forgotten at a jump, or counted longer than a window after it. */
export function wrongAfterJump(seen: readonly Seen[], { limit, used, windowMs }: Jump): string | undefined {
  const allowed = seen.map(({ verdicts }) => verdicts[0]!.allowed);
  const end = seen.length - limit - 1;
  const first = allowed.slice(0, end);
  if (first.some((one, at) => one !== at < limit)) {
    const jump = seen.findIndex(({ at }, index) => index > 0 && at < seen[index - 1]!.at);
    return `before and after the jump to ${seen[jump]!.at} ms (call ${jump + 1} is the first after it) the calls were ${inTurn(first)}; expected ${limit} allowed in all, for ${used} counted before the jump`;
  }
  const last = allowed.slice(end);
  if (last.some((one, at) => one !== at < limit))
    return `${windowMs} ms after the last jump the calls were ${inTurn(last)}; expected ${limit} allowed and 1 refused`;
  return undefined;
}

/** Histories of a token bucket. No call comes at the instant that completes a token: fractions may be rounded there. */
export const buckets: fc.Arbitrary<Play> = fc
  .record({
    limit: limits,
    intervalMs: fc.integer({ min: 7, max: 900 }),
    burst: fc.integer({ min: 1, max: 8 }),
    startMs: starts,
  })
  .chain(({ limit, intervalMs, burst, startMs }) => {
    const options = { limit, windowMs: limit * intervalMs, burst, startMs };
    const wait = (most: number) => fc.integer({ min: 1, max: most }).map((ms): Step => ['wait', ms]);
    const steps = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 3 }).map((calls): Step => ['call', 'ann', calls]) },
      { weight: 1, arbitrary: fc.constant<Step>(['call', 'bob', 1]) },
      { weight: 4, arbitrary: wait(2 * intervalMs) },
      { weight: 2, arbitrary: wait(Math.ceil(intervalMs / 3)) },
      { weight: 1, arbitrary: wait((burst + 2) * intervalMs) },
    );
    const more = fc.array(steps, { minLength: 4, maxLength: 40, size: 'max' });
    return more.map((drawn): Play => {
      const play = { ...options, steps: [['call', 'ann', burst + 1] as const, ...drawn] };
      return { ...play, steps: bucketOf(play).steps };
    });
  });

/** How many calls of each step are right, and the steps with 1 ms more before a call at the instant that completes a token. */
function bucketOf({ limit, windowMs, burst = 1, steps }: Play): { right: number[]; steps: Step[] } {
  // A token is `windowMs` drops; `limit` drops come each ms.
  const full = burst * windowMs;
  const keys = new Map<string, { drops: number; at: number; isWhole: boolean }>();
  const right: number[] = [];
  const apart: Step[] = [];
  let now = 0;
  for (const step of steps) {
    if (step[0] === 'wait') now += step[1];
    if (step[0] === 'call') {
      const bucket = keys.get(step[1]) ?? { drops: full, at: now, isWhole: true };
      const gained = () => bucket.drops + (now - bucket.at) * limit;
      const isWhole = () => (now === bucket.at ? bucket.isWhole : gained() > full);
      if (!isWhole() && gained() % windowMs === 0) {
        now += 1;
        apart.push(['wait', 1]);
      }
      const [drops, whole] = [Math.min(full, gained()), isWhole()];
      const allowed = Math.min(step[2], Math.floor(drops / windowMs));
      right.push(allowed);
      keys.set(step[1], { drops: drops - allowed * windowMs, at: now, isWhole: whole });
    }
    apart.push(step);
  }
  return { right, steps: apart };
}

/** The first step at which the bucket allowed more or fewer calls than there were tokens. */
export const wrongBucket: Fault = (seen, play) => {
  const { right } = bucketOf(play);
  for (const [at, step] of seen.entries()) {
    const allowed = step.verdicts.filter((verdict) => verdict.allowed).length;
    if (allowed !== right[at])
      return `at ${step.at} ms ${allowed} of ${step.verdicts.length} calls of ${JSON.stringify(step.key)} were allowed; expected ${right[at]}`;
  }
  return undefined;
};

export function inWords({ limit, windowMs, startMs, burst, isBare, steps }: Play): string {
  const told = steps.map(([what, ...rest]) => `${what} ${rest.map((one) => String(one).slice(0, 12)).join(' ')}`);
  const options = `limit ${limit}, windowMs ${windowMs}${burst === undefined ? '' : `, burst ${burst}`}`;
  const more = told.length > 60 ? `; and ${told.length - 60} steps more` : '';
  return `${options}, ${isBare ? 'without now' : `from ${startMs} ms`}; ${told.slice(0, 60).join('; ')}${more}`;
}

function inTurn(allowed: readonly boolean[]): string {
  return allowed.map((one) => (one ? 'allowed' : 'refused')).join(', ');
}
