import fc from 'fast-check';
import { type Schedule, type Session, explore } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import type * as Kata from '../../katas/rate-limiter/rate-limiter.ts';
import { type Outcome, checkInStore, openStore } from './inside.ts';

interface Service extends Session {
  readonly subject: Subject<typeof Kata>;
}

/** The limit that both processes have, and when it all begins. */
export const shared = drawOne(
  fc.record({
    limit: fc.integer({ min: 2, max: 3 }),
    windowMs: fc.integer({ min: 1_000, max: 60_000 }),
    startMs: fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
    word: fc.stringMatching(/^[a-z]{6}$/),
  }),
);
const { limit, windowMs, word } = shared;
const letters = 'abcdefghijklmnopqrstuvwxyz';

/** Checks of one key, and how many of them the limit allows. */
export interface Checks {
  readonly what: string;
  readonly outcomes: readonly Outcome[];
  readonly places: number;
}

/** What a key has behind it when a schedule begins, and how many calls it has left then. */
const pasts = [
  { name: 'a new key', used: 0, thenMs: 0, places: limit },
  { name: 'a key with one call left', used: limit - 1, thenMs: 1, places: 1 },
  { name: 'a key whose calls no longer count', used: limit, thenMs: windowMs, places: limit },
];

/** Two processes with limiters before one store, each behind a proxy of its own. */
export class Pair {
  readonly a: Service;
  readonly b: Service;
  readonly #database: TestDatabase;
  #keys = 0;
  #atMs = shared.startMs;

  private constructor(database: TestDatabase, a: Service, b: Service) {
    this.#database = database;
    [this.a, this.b] = [a, b];
  }

  static async open(database: TestDatabase, subjects: SubjectsOfFile<typeof Kata>): Promise<Pair> {
    const open = async (name: string): Promise<Service> => {
      const [proxy, subject] = await Promise.all([database.proxy(name), subjects.fresh()]);
      const account = await subject.addressInside(database.accountOptions(proxy, 5));
      await subject.run(openStore, { limit, windowMs, account });
      return { proxy, subject };
    };
    const [a, b] = await Promise.all([open('A'), open('B')]);
    const pair = new Pair(database, a, b);
    // Opens connections, before a schedule counts statements.
    for (const service of [a, b]) await pair.check(service, { key: 'warm', inTurn: 0, atOnce: 3 });
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { subject, proxy } of [this.a, this.b]) {
      await subject[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    }
  }

  check({ subject }: Service, checks: { key: string; inTurn?: number; atOnce?: number }): Promise<Outcome[]> {
    return subject.run(checkInStore, { ...checks, atMs: this.#atMs });
  }

  /** A key that nobody has used: a word. */
  newKey(): string {
    const number = this.#keys++;
    return word + [676, 26, 1].map((of) => letters[Math.floor(number / of) % letters.length]!).join('');
  }

  pass(ms: number): void {
    this.#atMs += ms;
  }

  /** One check of A is stopped before and after each of its statements while B, or A too, makes as many as the limit allows. */
  async schedules(): Promise<Checks[]> {
    const seen: Checks[] = [];
    for (const { name, used, thenMs, places } of pasts)
      for (const others of [this.b, this.a]) {
        let key = '';
        for await (const schedule of explore({
          first: { ...this.a, call: () => this.check(this.a, { key }) },
          others: { ...others, call: () => this.check(others, { key, inTurn: places }) },
          admin: this.#database.admin,
          reset: async () => {
            key = this.newKey();
            if (used > 0) await this.check(this.b, { key, inTurn: used });
            this.pass(thenMs);
          },
          points: others === this.b ? ['after', 'before'] : ['after'],
        }))
          seen.push({ ...told(schedule, name, others === this.a), places });
      }
    return seen;
  }

  /** Both processes check at once. */
  async crowd(): Promise<Checks> {
    const key = this.newKey();
    const atOnce = limit + 2;
    const outcomes = await Promise.all([this.a, this.b].map((one) => this.check(one, { key, inTurn: 0, atOnce })));
    return {
      what: `${atOnce} checks in each of two processes, all at once\n`,
      outcomes: outcomes.flat(),
      places: limit,
    };
  }
}

function told({ first, others, step, at, timeline }: Schedule<Outcome[], Outcome[]>, past: string, isSame: boolean) {
  const outcomes = [...first, ...others];
  const who = isSame ? 'the same process' : 'process B';
  return {
    what: `${past}; a check of process A was stopped ${at} its statement ${step} while ${who} made ${others.length}\n${timeline}\n`,
    outcomes,
  };
}
