import fc from 'fast-check';
import { inStep } from '../../helpers/instruments/mysql/in-step.ts';
import { type ModuleProcess, ModuleProcesses } from '../../helpers/instruments/mysql/module-process.ts';
import { explore } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { SubjectsOfFile } from '../../helpers/judging/subject/subjects-of-file.ts';
import type * as Kata from '../../katas/rate-limiter/rate-limiter.ts';
import { type Outcome, checkInStore, openStore, setClock } from './inside.ts';

type Service = ModuleProcess<typeof Kata>;

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
  /** Whether fewer may be allowed, too. */
  readonly isUpperLimit?: boolean;
}

/** What a key has behind it when a schedule begins, and how many calls it has left then. */
interface Past {
  readonly name: string;
  readonly used: number;
  readonly thenMs: number;
  readonly places: number;
}

const oneLeft: Past = { name: 'a key with one call left', used: limit - 1, thenMs: 1, places: 1 };
const twoLeft: Past = { name: 'a key with two calls left', used: limit - 2, thenMs: 1, places: 2 };
const pasts: Past[] = [
  { name: 'a new key', used: 0, thenMs: 0, places: limit },
  oneLeft,
  { name: 'a key whose calls no longer count', used: limit, thenMs: windowMs + 1, places: limit },
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
    const processes = new ModuleProcesses(database, subjects, {
      connectionLimit: 5,
      async furnish(service) {
        await service.subject.run(openStore, { limit, windowMs, account: service.account });
        return service;
      },
    });
    const [a, b] = await Promise.all([processes.open('A'), processes.open('B')]);
    const pair = new Pair(database, a, b);
    // Opens connections, before a schedule counts statements.
    for (const service of [a, b]) await pair.check(service, { key: 'warm', inTurn: 0, atOnce: 3 });
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of [this.a, this.b]) await service[Symbol.asyncDispose]();
  }

  check({ subject }: Service, checks: { key: string; inTurn?: number; atOnce?: number }): Promise<Outcome[]> {
    return subject.run(checkInStore, { ...checks, atMs: this.#atMs });
  }

  /** A key that nobody has used: a word. With a past, it has already called. */
  async newKey({ used, thenMs }: Pick<Past, 'used' | 'thenMs'> = { used: 0, thenMs: 0 }): Promise<string> {
    const number = this.#keys++;
    const key = word + [676, 26, 1].map((of) => letters[Math.floor(number / of) % letters.length]!).join('');
    if (used > 0) await this.check(this.b, { key, inTurn: used });
    this.pass(thenMs);
    return key;
  }

  pass(ms: number): void {
    this.#atMs += ms;
  }

  /** All schedules: see `#oneStopped` and `#inStep`. */
  async schedules(): Promise<Checks[]> {
    const seen: Checks[] = [];
    for (const past of pasts)
      for (const others of [this.b, this.a])
        for await (const checks of this.#oneStopped(past, others)) seen.push(checks);
    for await (const checks of this.#stoppedForHalfAWindow()) seen.push(checks);
    for (const past of [oneLeft, twoLeft]) seen.push(await this.#inStep(past));
    return seen;
  }

  /** One check of A is stopped before and after each of its statements, while B, or A too, makes as many as may be allowed. */
  async *#oneStopped(past: Past, others: Service): AsyncGenerator<Checks> {
    const { name, places } = past;
    const who = others === this.a ? 'the same process' : 'process B';
    let key = '';
    for await (const { first, others: rest, step, at, timeline } of explore({
      first: { ...this.a.session, call: () => this.check(this.a, { key }) },
      others: { ...others.session, call: () => this.check(others, { key, inTurn: places }) },
      admin: this.#database.admin,
      reset: async () => void (key = await this.newKey(past)),
      points: others === this.b ? ['after', 'before'] : ['after'],
    }))
      yield {
        what: `${name}; a check of process A was stopped ${at} its statement ${step} while ${who} made ${places}\n${timeline}\n`,
        outcomes: [...first, ...rest],
        places,
      };
  }

  /** A check of A is stopped at each of its statements for half a window. B's calls of that time still count when A goes on. */
  async *#stoppedForHalfAWindow(): AsyncGenerator<Checks> {
    const half = Math.floor(windowMs / 2);
    let key = '';
    for await (const { others, step, at, timeline } of explore({
      first: { ...this.a.session, call: () => this.check(this.a, { key }) },
      others: {
        ...this.b.session,
        call: async () => {
          this.pass(half);
          await this.a.subject.run(setClock, this.#atMs);
          return await this.check(this.b, { key, inTurn: limit });
        },
      },
      admin: this.#database.admin,
      reset: async () => void (key = await this.newKey()),
      points: ['after', 'before'],
    })) {
      this.pass(half + 1);
      const late = await this.check(this.b, { key, inTurn: limit });
      yield {
        what: `a check of process A was stopped ${at} its statement ${step} for half a window; then process B made ${limit}, and ${limit} more half a window and 1 ms later; those of B\n${timeline}\n`,
        outcomes: [...others, ...late],
        places: limit,
        isUpperLimit: true,
      };
    }
  }

  /** A check of A and one of B take turns, a statement each, as far as no lock keeps them from it. */
  async #inStep(past: Past): Promise<Checks> {
    const key = await this.newKey(past);
    const { outcomes, timeline } = await inStep({
      admin: this.#database.admin,
      calls: [this.a, this.b].map((service) => ({ proxy: service.proxy, call: () => this.check(service, { key }) })),
    });
    const what = `${past.name}; a check of process A and one of process B took turns, a statement each\n${timeline}\n`;
    return { what, outcomes: outcomes.flat(), places: past.places };
  }

  /** Both processes check at once. */
  async crowd(): Promise<Checks> {
    const key = await this.newKey();
    const atOnce = limit + 2;
    const outcomes = await Promise.all([this.a, this.b].map((one) => this.check(one, { key, inTurn: 0, atOnce })));
    return {
      what: `${atOnce} checks in each of two processes, all at once\n`,
      outcomes: outcomes.flat(),
      places: limit,
    };
  }
}
