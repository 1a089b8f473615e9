import crypto from 'node:crypto';
import { inSubject } from '../../helpers/instruments/judge/in-subject.ts';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/jwt/jwt.ts';

/** What `verify` is asked. `now` is in seconds here. */
export interface Question {
  readonly token: string;
  readonly keys: Kata.Secret | Kata.Keys;
  readonly options?: Omit<Kata.VerifyOptions, 'now'>;
  readonly now?: number;
}

/** The payload or the token as JSON, or the error; "not an Error" for other thrown values. */
export interface Answer {
  readonly json?: string;
  readonly refused?: string;
}

/** What the module did with `node:crypto` while it verified one token. */
export interface Comparison extends Answer {
  /** What `timingSafeEqual` returned, or "threw", call by call. */
  readonly compared: readonly (boolean | 'threw')[];
  readonly hmacs: number;
}

let compared: (boolean | 'threw')[] = [];
let hmacs = 0;

const clock = installSteppedClock();
const { timingSafeEqual, createHmac } = crypto;
inSubject(() => {
  crypto.timingSafeEqual = (left, right) => {
    try {
      const isEqual = timingSafeEqual(left, right);
      compared.push(isEqual);
      return isEqual;
    } catch (error) {
      compared.push('threw');
      throw error;
    }
  };
  crypto.createHmac = (...args) => {
    hmacs++;
    return createHmac(...args);
  };
});

/** What `verify` answers to each question. */
export function verifyAll({ kata, args }: Inside<typeof Kata, readonly Question[]>): Answer[] {
  return args.map((question) => verifyOne(kata, question));
}

/** The same, after each token was verified once before, and the payload from that call changed all through. */
export function verifyAfterChanges({ kata, args }: Inside<typeof Kata, readonly Question[]>): Answer[] {
  return args.map((question) => {
    answerOf(() => changeAll(ask(kata, question)));
    return verifyOne(kata, question);
  });
}

/** Whether `verify` accepts each token, and whether it does after the time of the process has moved. */
export async function verifyAsTimePasses({
  kata,
  args: { questions, passingMs },
}: Inside<typeof Kata, { questions: readonly Question[]; passingMs: number }>) {
  const look = () => questions.map((question) => (verifyOne(kata, question).json ? 'accepted' : 'refused'));
  clock.hold();
  try {
    const before = look();
    await clock.step(passingMs);
    return { before, after: look() };
  } finally {
    clock.release();
  }
}

/** What `verify` answers to each question, and how the module compared. */
export function watchComparisons({ kata, args }: Inside<typeof Kata, readonly Question[]>): Comparison[] {
  return args.map((question) => {
    [compared, hmacs] = [[], 0];
    const answer = verifyOne(kata, question);
    return { ...answer, compared, hmacs };
  });
}

/** The token that `sign` makes of each payload. */
export function signAll({
  kata,
  args,
}: Inside<
  typeof Kata,
  readonly { payload: Kata.Payload; secret: Kata.Secret; options?: Kata.SignOptions }[]
>): Answer[] {
  return args.map(({ payload, secret, options }) =>
    answerOf(() => (options ? kata.sign(payload, secret, options) : kata.sign(payload, secret))),
  );
}

function verifyOne(kata: typeof Kata, question: Question): Answer {
  return answerOf(() => ask(kata, question));
}

function ask(kata: typeof Kata, { token, keys, options, now }: Question): Kata.Payload {
  return kata.verify(token, keys, { ...options, ...(now !== undefined && { now: () => now * 1000 }) });
}

/** Gives all that is in a payload another value, at every depth. What is frozen stays as it is. */
function changeAll(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    changeAll(inner);
    Reflect.set(value, name, 'changed by the caller');
  }
  Reflect.set(value, 'role', 'admin');
}

function answerOf(call: () => unknown): Answer {
  try {
    return { json: JSON.stringify(call()) };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : 'not an Error' };
  }
}
