import fc from 'fast-check';
import type { RowDataPacket } from 'mysql2/promise';
import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/connection-pool/connection-pool.ts';
import { Bench } from './bench.ts';
import type { Acquire, Report, Sizes } from './inside.ts';

const drawn = drawOne(
  fc.record({
    many: fc.integer({ min: 3, max: 5 }),
    idleTimeoutMs: fc.integer({ min: 20_000, max: 60_000 }),
    acquireTimeoutMs: fc.integer({ min: 2_000, max: 9_000 }),
    pieces: fc.integer({ min: 10, max: 9_999 }),
    histories: fc.array(fc.array(fc.nat(999), { minLength: 14, maxLength: 24 }), { minLength: 10, maxLength: 10 }),
  }),
);
const { many, idleTimeoutMs, acquireTimeoutMs, pieces, histories } = drawn;
/** The sizes of pools that most promises are tried with. */
const sizes = [1, 2, many];
/** How many microtasks may lie between two events: more than any pool needs to notice. */
const gaps = Array.from({ length: 14 }, (_, gap) => gap);

/** Longer than any caller waits, for promises that are not about the moment. */
const longMs = acquireTimeoutMs + 500;

/** Makes a pool; see `Bench.play` for what can be done with it. */
type OpenPool = (own?: Partial<Sizes>) => Promise<Bench>;

const test = judge<typeof Kata>('connection-pool')
  .extend(
    'openPool',
    ({ subject, database }): OpenPool =>
      (own) =>
        Bench.open(subject, database, { min: 0, max: many, idleTimeoutMs, acquireTimeoutMs, ...own }),
  )
  .extend('played', { scope: 'file' }, ({ subjects, database }) =>
    once(async () => await playHistories(await subjects.running(), database)),
  );

/** A history and what was seen at its end. */
interface Played {
  readonly max: number;
  readonly what: string;
  readonly report: Report;
}

async function playHistories(subject: Subject<typeof Kata>, database: TestDatabase): Promise<Played[]> {
  const seen: Played[] = [];
  for (const [index, choices] of histories.entries()) {
    const max = 1 + (index % 4);
    const pool = await Bench.open(subject, database, { min: 0, max, idleTimeoutMs, acquireTimeoutMs });
    seen.push({ max, what: `history ${index + 1} with max ${max}`, report: await pool.playHistory(choices) });
  }
  return seen;
}

describe('core', () => {
  test('Never more than max connections must be open; those that are being opened or closed count, too.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      const play = async (steps: string, what: string) => expectFew(await pool.play(steps), max, what);
      await play(`hold create, acquire ${max + 2}`, `${max + 2} callers while create runs`);
      const full = await play('flow create', `${max + 2} callers when create has ended`);
      expect(states(full), `of ${max + 2} callers, with max ${max}`).toEqual([...got(max), 'waiting', 'waiting']);
      await pool.expectAtServer(max, `${max + 2} callers`);
      await pool.play('release all');

      // Each round begins with none open, and a newcomer comes at another moment after the first creation.
      for (const gap of max === 1 ? gaps : []) {
        const opening = await pool.play(`clock ${2 * idleTimeoutMs}; hold create, acquire ${max}`);
        const what = `a caller came ${gap} microtasks after a creation`;
        await pool.play(`pass create, microtasks ${gap}, acquire`);
        const report = await play('flow create', what);
        expect(states(report).slice(opening.acquires.length - max), what).toEqual([...got(max), 'waiting']);
        await pool.play('release all');
      }
      await pool.expectAtServer(max, 'when all have released');

      const what = `${max} callers came while ${max} idle connections were being closed`;
      await play(`hold destroy, clock ${2 * idleTimeoutMs}, acquire ${max}`, what);
      const closed = await play('flow destroy', `${what}; in the end`);
      expect(states(closed).slice(-max), `${what}; in the end`).toEqual(got(max));
    }

    for (const part of ['reset', 'validate']) {
      const pool = await openPool({ max: 1 });
      const what = `${part} failed, and destroy is running`;
      await pool.play(`acquire; hold ${part}, hold destroy, release 0; acquire`);
      expectFew(await pool.play(`fail ${part}, flow ${part}, acquire`), 1, what);
      const closed = expectFew(await pool.play('flow destroy'), 1, `${what}; in the end`);
      expect(countGot(closed), `${what}; of three callers, who have got a connection in the end`).toBe(2);
    }

    const failing = await openPool();
    await failing.play(`hold create, acquire ${many + 3}; fail create`);
    expectFew(await failing.play('fail create; flow create'), many, 'create failed twice');

    const pool = await openPool();
    await pool.play(`hold create, acquire ${many}; clock ${longMs}, acquire ${many}`);
    expectFew(await pool.play('flow create'), many, 'callers timed out while create ran');
    for (const { max, report, what } of await played()) expectFew(report, max, what);
  });

  test('A connection must never have two holders, and an idle one must be used before another is opened.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      for (const times of [1, 2]) {
        const what = `${max} callers, with max ${max}, ${times === 1 ? 'once' : 'twice'}`;
        const all = expectUsed(await pool.play(`acquire ${max}`), what);
        expect(states(all), what).toEqual(got(times * max));
        expect(all.calls.create, `${what}; calls of create`).toBe(max);
        await pool.play(releases(max));
      }
    }

    const pool = await openPool();
    for (let round = 0; round < 5; round++) {
      const { calls, acquires: made } = await pool.play(`acquire; release ${round}`);
      expect(calls.create, `calls of create when ${made.length} callers came one after the other`).toBe(1);
    }

    for (const max of [1, 2]) {
      const two = await openPool({ max });
      const what = `two callers came during one validate, with max ${max}`;
      await two.play(`acquire ${max}; ${releases(max)}, hold validate; acquire; acquire`);
      const report = expectUsed(await two.play('flow validate'), what);
      expect(states(report).slice(max), what).toEqual(max === 1 ? ['got', 'waiting'] : got(2));
      expect(report.calls.create, `${what}: calls of create`).toBe(max);
    }

    // The pool has room for more, and asks one after the other, or all at once.
    for (const [callers, dead] of [
      [1, 1],
      [1, 2],
      [2, 1],
    ] as const) {
      const idle = await openPool({ max: 4 });
      const what = `${callers} callers came to 3 idle connections, and the first ${dead} that the pool asked were dead`;
      await idle.play(`acquire 3; release 0 1 2; hold validate, acquire ${callers}`);
      for (let asked = 0; asked < dead; asked++) await idle.play('fail validate');
      const report = expectUsed(await idle.play('flow validate'), what);
      expect(states(report).slice(3), what).toEqual(got(callers));
      expect(report.calls.create, `${what}: calls of create`).toBe(3);
    }

    const one = await openPool({ max: 1 });
    await one.play('acquire 4');
    for (let holder = 0; holder < 3; holder++) {
      const report = expectUsed(await one.play(`release ${holder}`), 'a release with several waiters');
      expect(states(report), 'a release with several waiters').toEqual([...got(holder + 2), ...waiting(2 - holder)]);
    }
    for (const { report, what } of await played()) expectUsed(report, what);
  });

  test('Waiters must get connections in the order in which acquire was called, however creations overlap.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      await pool.play(`acquire ${max}; acquire ${max + 4}`);
      for (let holder = 0; holder < max; holder++) await pool.play(`release ${holder}`);
      const atOnce = expectInOrder(await pool.play(releases(max, max)), `${max + 4} waiters, with max ${max}`);
      expect(countGot(atOnce), `callers served after ${2 * max} releases`).toBe(Math.min(3 * max, 2 * max + 4));
    }

    for (const part of ['create', 'validate']) {
      const reverse = await openPool();
      if (part === 'validate') await reverse.play(`acquire ${many}; ${releases(many)}`);
      await reverse.play(`hold ${part}, acquire ${many}`);
      for (let ended = 1; ended <= many; ended++)
        expectInOrder(await reverse.play(`pass ${part} last`), `${part} ${ended} of ${many} in reverse`);
      const all = states(await reverse.play()).slice(-many);
      expect(all, `callers, when all calls of ${part} have ended`).toEqual(got(many));
    }

    const overlap = await openPool({ max: 2 });
    const what = 'a connection came back while another was being opened for a waiter; then a third caller came';
    await overlap.play('acquire; hold create, acquire; release 0');
    expectInOrder(await overlap.play('acquire'), what);
    expect(states(expectInOrder(await overlap.play('flow create'), what)), what).toEqual(got(3));

    for (const part of ['reset', 'validate'])
      for (const how of ['pass', 'fail']) {
        const pool = await openPool({ max: 1 });
        const then = `another caller came while ${part} ran for a waiter, which then ${how}ed`;
        if (part === 'validate') await pool.play('acquire; release 0; hold validate, acquire');
        else await pool.play('acquire; hold reset, acquire, release 0');
        await pool.play('acquire');
        const served = expectInOrder(await pool.play(`${how} ${part}, flow ${part}`), then);
        expect(countGot(served), `${then}; of three callers, who have got a connection`).toBe(2);
        expectInOrder(await pool.play('release 1'), then);
      }

    const gap = await openPool({ max: 1 });
    await gap.play('acquire 2');
    for (const microtasks of gaps) {
      const holder = 2 * microtasks;
      const report = await gap.play(`release ${holder}, microtasks ${microtasks}, acquire`);
      const came = `a caller came ${microtasks} microtasks after release, when another one waited`;
      expect(states(report).slice(holder + 1), came).toEqual(['got', 'waiting']);
      await gap.play(`release ${holder + 1}; acquire`);
    }
    for (const { report, what: history } of await played()) expectInOrder(report, history);
  });

  test('using must release its connection once fn has returned, thrown or rejected, and must pass that on.', async ({
    openPool,
  }) => {
    const pool = await openPool({ max: 1 });
    const faults = await pool.useInEveryWay();
    expectThat(faults.length === 0, `${faults[0]} (${faults.length} faults like this)`);

    const atWork = await pool.play('using; acquire, using');
    expect(atWork.usings, 'two calls of using, with max 1').toEqual([
      { state: 'at work', connection: 0 },
      { state: 'waiting' },
    ]);
    expect(states(atWork), 'a caller who came while fn was at work').toEqual(['waiting']);
    const returned = await pool.play('end 0 returns');
    expect(returned.usings[0]!.state, 'using, when fn has resolved').toBe('returned a value');
    expect(states(returned), 'the caller, when fn has resolved').toEqual(['got']);
    await pool.play('release 0; acquire');
    const rejected = await pool.play('end 1 rejects');
    expect(rejected.usings[1]!.state, 'using, when fn has rejected').toBe('rejected: thrown: no error');
    expect(states(rejected), 'the next caller, when fn has rejected').toEqual(got(2));
    expectUnshared(rejected, 'using and acquire');
  });
});

describe('robust', () => {
  test('After acquireTimeoutMs, a waiter must reject with an AcquireTimeoutError; its place in line and its connection go to others.', async ({
    openPool,
  }) => {
    const late = 'AcquireTimeoutError';
    for (const max of sizes) {
      const pool = await openPool({ max });
      const at = async (steps: string) => states(await pool.play(steps)).slice(max);
      const apartMs = 700;
      await pool.play(`acquire ${max}; acquire; clock ${apartMs}, acquire, acquire signal`);
      const before = await at(`clock ${acquireTimeoutMs - apartMs - 1}`);
      expect(before, `waiters 1 ms before acquireTimeoutMs`).toEqual(waiting(3));
      expect(await at('clock 1'), 'waiters at acquireTimeoutMs of the first').toEqual([late, ...waiting(2)]);
      expect(await at('release 0'), 'a release after the first has timed out').toEqual([late, 'got', 'waiting']);
      const over = await at(`clock ${apartMs}; ${releases(max - 1, 1)}, release ${max + 1}`);
      expect(over, 'acquireTimeoutMs after the other calls').toEqual([late, 'got', late]);
      const again = await pool.play(`acquire ${max}`);
      expect(states(again).slice(max + 3), `${max} callers after that, with max ${max}`).toEqual(got(max));
      expect(again.calls.create, `calls of create, with max ${max}`).toBe(max);
    }

    const full = await openPool({ max: 1 });
    const { usings } = await full.play(`acquire, using; clock ${acquireTimeoutMs}`);
    expect(usings, 'a call of using after acquireTimeoutMs').toEqual([{ state: `rejected: ${late}` }]);

    for await (const { over, next, what } of endedWaits(openPool, 'times out', ['early', 'late'])) {
      expect(states(over).at(-1), what).toBe(late);
      expect(states(next).slice(-2), `${what}; what the next caller got`).toEqual([late, 'got']);
      expect(next.calls.create, `${what}; calls of create in the end`).toBe(1);
    }
  });

  test('A connection that the server has closed must be replaced, and must never be handed out.', async ({
    openPool,
  }) => {
    for (const [max, killed] of [
      [1, [0]],
      [many, [0]],
      [many, [many - 1]],
      [many, range(many)],
    ] as const) {
      const pool = await openPool({ max });
      const opened = await pool.play(`destroy rejects, acquire ${max}; ${releases(max)}`);
      await pool.kill(killed.map((number) => opened.threadIds[number]!));
      const what = `the server has closed ${killed.length} of ${max} idle connections`;
      const report = await pool.play(`acquire; acquire ${max - 1}`);
      expect(states(report).slice(max), `${max} callers, when ${what}`).toEqual(got(max));
      await expectAlive(pool, report, max, what);
      await pool.expectAtServer(max, what);
    }

    for (const steps of ['acquire; release 0', 'release 0; acquire']) {
      const pool = await openPool({ max: 1 });
      const held = await pool.play('acquire');
      await pool.kill(held.threadIds);
      const what = `the server closed a connection while somebody held it, then ${steps.replace('; ', ' and ')}`;
      const next = await pool.play(steps);
      expect(states(next), `${what}; what the next caller got`).toEqual(got(2));
      await expectAlive(pool, next, 1, what);
      await pool.expectAtServer(1, what);
    }

    for await (const { pool, next, what } of endedWaits(openPool, 'is served by another', ['none'])) {
      // A pool may close what nobody waits for any more.
      if (next.open < 2) continue;
      await pool.kill(next.threadIds);
      const report = await pool.play('acquire');
      const then = `${what}; then the server has closed both connections, and another caller came`;
      expect(states(report).at(-1), then).toBe('got');
      await expectAlive(pool, report, 1, then);
    }
  });

  test('When create fails, one waiter must reject with its error, and the place must be free again.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      const callers = max + 3;
      await pool.play(`hold create, acquire ${callers}`);
      for (let refused = 1; refused <= max + 1; refused++) {
        const { acquires: made, refusals } = await pool.play(refused % 2 ? 'fail create' : 'fail create last');
        const rejected = made.flatMap(({ error }) => error ?? []);
        const what = `of ${callers} callers with max ${max}, when create has failed ${refused} times`;
        expect(rejected.toSorted(), what).toEqual(range(refused).map((number) => `refusal ${number}`));
        expect(refusals.length, 'calls of create that have failed').toBe(refused);
      }
      const rest = await pool.play(`flow create; acquire ${max}`);
      expect(countGot(rest), `callers with a connection in the end, of max ${max}`).toBe(max);
      await pool.expectAtServer(max, 'in the end');
    }

    for (const { report, what } of await played())
      expectThat(!states(report).includes('waiting'), `${what}: a caller still waits when all have released`);

    for (const value of ['undefined', 'null', 'false', '0']) {
      const silent = await openPool({ max: 1 });
      const refused = await silent.play(`hold create, acquire 2; silently-fail create ${value}`);
      const what = `of two callers with max 1, when create has rejected with ${value}`;
      expect(states(refused).toSorted(), what).toEqual([`thrown: ${value}`, 'waiting']);
      expect(countGot(await silent.play('flow create')), `${what}; how many have a connection in the end`).toBe(1);
      await silent.expectAtServer(1, what);
    }

    const unwanted = await openPool({ max: 2 });
    const what = 'create failed when its waiter had got another connection';
    await unwanted.play('acquire; hold create, acquire; release 0; fail create; flow create');
    expect(states(await unwanted.play('acquire')), `${what}; then a third caller came`).toEqual(got(3));

    for (const end of ['release 0', 'abort 1', `clock ${acquireTimeoutMs}`]) {
      const relied = await openPool({ max: 2 });
      const report = await relied.play(
        `acquire; hold create, acquire signal; ${end}; acquire; fail create; flow create`,
      );
      const stuck = `create failed for a waiter whose wait had ended (${end}); one that had come meanwhile still waits`;
      expectThat(states(report)[2] !== 'waiting', stuck);
    }

    const pool = await openPool({ max: 1 });
    await pool.play('acquire; release 0; hold validate, hold create, acquire');
    const replaced = await pool.play('fail validate; fail create');
    expect(states(replaced), 'an idle connection was dead, and its replacement failed').toEqual(['got', 'refusal 0']);
    const next = await pool.play('flow create, flow validate, acquire');
    expect(states(next), 'the same, and the next caller').toEqual(['got', 'refusal 0', 'got']);
  });

  test('release must throw a NotHeldError for a connection that nobody holds or another pool’s, and change nothing.', async ({
    openPool,
  }) => {
    const refused = 'NotHeldError';
    for (const max of sizes) {
      const pool = await openPool({ max });
      const what = 'a connection was released twice at once, and once more';
      const twice = await pool.play('acquire; release 0 0; release 0');
      expect(twice.releases, `${what}; what each release threw`).toEqual([undefined, refused, refused]);
      const next = await pool.play(`acquire ${max + 1}`);
      expectUnshared(next, what);
      expect(states(next).slice(1), `${what}; then ${max + 1} callers with max ${max}`).toEqual([
        ...got(max),
        'waiting',
      ]);
      expectThat(next.calls.reset <= 1, `${what}: reset was called ${next.calls.reset} times`);
      expect(next.calls.destroy, `${what}; calls of destroy`).toBe(0);
    }

    for (const [part, steps] of [
      ['reset', 'acquire 3; hold reset, release 0'],
      ['validate', 'acquire; release 0; hold validate, acquire 2'],
    ] as const) {
      const pool = await openPool({ max: 1 });
      const { held } = await pool.play(steps);
      const isHeld = held[part] === 1;
      const during = await pool.play(`${isHeld ? 'release 0' : ''}; flow ${part}`);
      const what = `a second release during ${part}`;
      expect(during.releases, `${what}; what each release threw`).toEqual([undefined, ...(isHeld ? [refused] : [])]);
      expect(countGot(during), `${what}; how many of three callers have got the connection`).toBe(2);
      expectUnshared(during, what);
    }

    const closing = await openPool({ max: 1 });
    await closing.play('acquire; hold reset, hold destroy, release 0; fail reset; release 0, flow destroy, flow reset');
    const closed = await closing.play('release 0, acquire');
    expect(closed.releases, 'two releases of a connection that was closed').toEqual([undefined, refused, refused]);
    expect(states(closed), 'the next caller').toEqual(got(2));

    const pool = await openPool({ max: 1 });
    await pool.play('acquire');
    await pool.openOtherPool();
    for (const stranger of ['an empty object', 'a copy', 'one of another pool']) {
      const { releases: thrown, calls } = await pool.play(`release ${stranger}`);
      expect(thrown.at(-1), `release of ${stranger}`).toBe(refused);
      expect(calls.reset + calls.destroy, `calls of reset and destroy after the release of ${stranger}`).toBe(0);
    }
    expect(states(await pool.play('acquire')), 'another caller, with max 1').toEqual(['got', 'waiting']);
    expect(states(await pool.play('release 0')), 'the same, after the right release').toEqual(got(2));
  });

  test('release must reset a connection at once, before anybody gets it; when reset fails, it must be replaced.', async ({
    openPool,
    database,
  }) => {
    await database.admin.query('REPLACE INTO stock VALUES (1, ?)', [pieces]);
    const take = 'UPDATE stock SET pieces = pieces - 1 WHERE id = 1';
    const read = 'SELECT pieces FROM stock WHERE id = 1';
    const pool = await openPool({ max: 1 });
    const left = await pool.play(`acquire; query 0 START TRANSACTION, query 0 ${take}, release 0`);
    expect(left.answers, 'statements of a holder').toEqual(['done', 'done']);
    expectThat(await isFree(database), 'the row is still locked after a holder released with an open transaction');
    const { answers } = await pool.play(`acquire; query 1 ${read}, query 1 COMMIT`);
    expect(answers[2], `what the next holder reads, of ${pieces}`).toBe(pieces);
    expect(await piecesOf(database), `what is in the table after the next holder’s COMMIT, of ${pieces}`).toBe(pieces);

    for (const max of [1, 2])
      for (const how of ['pass', 'fail']) {
        const held = await openPool({ max });
        const during = await held.play(`acquire ${max}; hold reset, acquire; release 0; acquire`);
        const what = `with max ${max}, while reset runs`;
        expect(during.held.reset, `calls of reset ${what}`).toBe(1);
        expect(states(during).slice(max), `two waiters ${what}`).toEqual(waiting(2));
        const after = await held.play(`${how} reset`);
        const ended = `when reset has ${how}ed`;
        expect(countGot(after), `with max ${max}, callers with a connection ${ended}`).toBe(max + 1);
        expect(after.calls.destroy, `calls of destroy ${ended}`).toBe(how === 'pass' ? 0 : 1);
        const next = after.acquires.slice(max).find(({ state }) => state === 'got');
        const isTheSame = next?.connection === after.acquires[0]!.connection;
        expect(isTheSame, `a waiter has got the connection that was released, ${ended}`).toBe(how === 'pass');
        await held.expectAtServer(max, ended);
      }

    for (const how of ['fail', 'silently-fail']) {
      const unwanted = await openPool({ max: 1 });
      const alone = await unwanted.play('acquire; hold reset, release 0');
      expect(alone.held.reset, 'calls of reset that run after a release when nobody waits').toBe(1);
      const failed = await unwanted.play(`${how} reset, flow reset; acquire`);
      const when = `when reset has rejected with ${how === 'fail' ? 'an error' : 'undefined'}`;
      expect(failed.acquires[1]!.connection, `the next holder’s connection ${when}`).toBe(1);
      await unwanted.expectAtServer(1, when);
    }
  });
});

describe('stretch', () => {
  test('Connections idle for idleTimeoutMs must be closed, down to min, by timers that do not hold the process.', async ({
    openPool,
    played,
  }) => {
    const twice = 2 * idleTimeoutMs;
    for (const [min, max] of [
      [0, 1],
      [0, many],
      [1, many],
      [2, many],
      [2, 2],
    ] as const) {
      const what = `${max} idle connections, with min ${min}`;
      const pool = await openPool({ min, max });
      const opened = await pool.play(`acquire ${max}`);
      const idle = await pool.play(releases(max));
      expectThat(idle.timers <= opened.timers, `${what}: ${idle.timers - opened.timers} more timers hold the process`);
      const before = await pool.play(`clock ${idleTimeoutMs - 1}, hold destroy`);
      expect(before.calls.destroy, `${what}: closed 1 ms before idleTimeoutMs`).toBe(0);
      await pool.expectAtServer(max, `${what}, 1 ms before idleTimeoutMs`);
      const { calls } = await pool.play(`clock ${idleTimeoutMs + 1}; clock ${idleTimeoutMs}`);
      expectThat(calls.destroy <= max - min, `${what}: ${calls.destroy} were closed when idleTimeoutMs was over`);
      const over = await pool.play(`flow destroy; clock ${3 * idleTimeoutMs}`);
      expect(over.calls.destroy, `${what}: calls of destroy in the end`).toBe(max - min);
      await pool.expectAtServer(min, what);
      const again = await pool.play(`acquire ${max}`);
      expect(states(again).slice(max), `${max} callers after that`).toEqual(got(max));
      expect(again.calls.create, `${what}: calls of create in the end`).toBe(2 * max - min);
      await expectAlive(pool, again, max, `${what}, after that`);
    }

    const partMs = Math.ceil(0.7 * idleTimeoutMs);
    const pool = await openPool({ max: 1 });
    const idleForAPart = `clock ${partMs}, acquire`;
    await pool.play(`acquire; release 0; ${idleForAPart}; clock ${partMs}`);
    const held = await pool.play(`clock ${3 * idleTimeoutMs}, query 1 SELECT 7`);
    expect(held.answers, 'an answer through a connection that was held for longer than idleTimeoutMs').toEqual([7]);
    const used = await pool.play(`release 1; ${idleForAPart}; release 2; ${idleForAPart}; release 3`);
    expect(used.calls.create, 'calls of create for a connection that was never idle for idleTimeoutMs').toBe(1);
    await pool.play(`clock ${idleTimeoutMs - 1}`);
    await pool.expectAtServer(1, '1 ms before idleTimeoutMs after the last release');

    // Its time is over during validate.
    const asked = await pool.play('hold validate, acquire; clock 2; flow validate; query 4 SELECT 7');
    expect(asked.answers[1], 'an answer through a connection whose idleTimeoutMs ended during validate').toBe(7);
    expect(asked.calls.destroy, 'calls of destroy when idleTimeoutMs ended during validate').toBe(0);
    await pool.play(`release 4; clock ${twice}`);
    await pool.expectAtServer(0, 'idleTimeoutMs after the last release');

    const unused = await openPool({ max: 1 });
    await unused.play(`acquire; release 0; clock ${idleTimeoutMs - 1}; hold validate, acquire signal; clock 2`);
    await unused.play(`abort 1; flow validate; release all; clock ${twice}`);
    await unused.expectAtServer(
      0,
      'idleTimeoutMs ended during validate, then its waiter was aborted; after twice the idleTimeoutMs',
    );

    const two = await openPool();
    await two.play(`acquire 2; release 0; clock ${partMs}, release 1`);
    const { calls } = await two.play(`clock ${idleTimeoutMs - 1}`);
    expectThat(calls.destroy <= 1, 'a connection was closed 1 ms before idleTimeoutMs, when an older one was closed');
    await two.play(`clock ${idleTimeoutMs + 1}`);
    await two.expectAtServer(0, 'when both were idle for idleTimeoutMs');

    for (const how of ['times out', 'is aborted', 'is served by another'] as const)
      for await (const { pool: left, what } of endedWaits(openPool, how, ['none'])) {
        await left.play(`release all; clock ${twice}`);
        await left.expectAtServer(0, `${what}; after twice the idleTimeoutMs`);
      }
    for (const { report, what } of await played())
      expect(report.open, `${what}; connections at twice the idleTimeoutMs after the last release`).toBe(0);
  });

  test('An aborted waiter must reject with its signal’s reason and leave no place, listener or timer behind.', async ({
    openPool,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      const aborted = await pool.play(`acquire ${max}; acquire 4 signal; abort ${max + 2}, abort ${max}`);
      const reasons = [`reason ${max}`, 'waiting', `reason ${max + 2}`, 'waiting'];
      expect(states(aborted).slice(max), 'the first and third of four waiters were aborted').toEqual(reasons);
      const served = await pool.play(`release 0; release ${max + 1}`);
      expect(states(served).slice(max), 'the four, after two releases').toEqual([reasons[0], 'got', reasons[2], 'got']);
      const late = await pool.play(`abort ${max + 3}, acquire aborted, acquire signal`);
      expect(states(late).slice(max + 3), 'one aborted later, one before its call, and the next').toEqual([
        'got',
        `reason ${max + 4}`,
        'waiting',
      ]);
      const { reset } = late.calls;
      expectThat(reset <= 2, `two connections were released, and reset was called ${reset} times`);
      const last = await pool.play(`clock ${longMs}`);
      const isOver = last.acquires.at(-1)!.state === 'rejected';
      expectThat(isOver, 'a waiter with a signal did not reject after acquireTimeoutMs');
      expectNothingBehind(last, 'when all have ended');
    }

    for await (const { over, next, what } of endedWaits(openPool, 'is aborted', ['early', 'late'])) {
      const reason = `reason ${over.acquires.length - 1}`;
      expect(states(over).at(-1), what).toBe(reason);
      expectNothingBehind(over, what);
      expect(states(next).slice(-2), `${what}; what the next caller got`).toEqual([reason, 'got']);
      expect(next.calls.create, `${what}; calls of create in the end`).toBe(1);
    }

    const pool = await openPool({ max: 1 });
    const early = await pool.play('acquire aborted; hold create, acquire signal');
    expect(states(early), 'a caller with an aborted signal, and the next').toEqual(['reason 0', 'waiting']);
    const failed = await pool.play('fail create');
    expect(states(failed), 'the same, when create has failed').toEqual(['reason 0', 'refusal 0']);
    expect(failed.calls.create, 'calls of create for the two').toBe(1);
    expectNothingBehind(failed, 'when create has failed for a caller with a signal');

    const moment = await openPool({ max: 1 });
    for (const microtasks of gaps) {
      const at = 2 * microtasks;
      await moment.play(`clock ${2 * idleTimeoutMs}; hold create, acquire signal`);
      const aborted = await moment.play(`pass create, microtasks ${microtasks}, abort ${at}`);
      const what = `a caller was aborted ${microtasks} microtasks after create had resolved`;
      const isServed = states(aborted)[at] === 'got';
      const next = await moment.play(`flow create${isServed ? `, release ${at}` : ''}; acquire`);
      expect(states(next).at(-1), `${what}, and ${states(aborted)[at]}; the next caller, with max 1`).toBe('got');
      expectNothingBehind(next, what);
      await moment.play(`release ${at + 1}`);
    }

    const free = await openPool({ max: 1 });
    const { usings } = await free.play('using aborted');
    expect(usings, 'a call of using with an aborted signal').toEqual([{ state: 'rejected: reason' }]);
    const next = await free.play('acquire signal; release 0; acquire aborted; acquire');
    const what = 'a caller with an aborted signal came when a connection was idle, and then another caller';
    expect(states(next), what).toEqual(['got', 'reason 1', 'got']);
  });

  test('drain() must refuse newcomers with a PoolDrainedError, serve waiters, and resolve when no connection or timer is left.', async ({
    openPool,
  }) => {
    const refused = 'PoolDrainedError';
    const expectDrained = async (pool: Bench, report: Report, what: string) => {
      expect(report.drains, `${what}: drain()`).toEqual(report.drains.map(() => 'resolved with 0 open'));
      expectThat(report.timers === 0, `${what}: ${report.timers} timers hold the process after drain()`);
      await pool.expectAtServer(0, what);
    };
    for (const max of sizes) {
      const pool = await openPool({ max });
      const draining = await pool.play(`acquire ${max}; acquire 2; drain, acquire, using; acquire, drain`);
      expect(draining.drains, 'drain() with holders and waiters').toEqual(['pending', 'pending']);
      const newcomers = [refused, refused];
      expect(states(draining).slice(max), 'two waiters and two newcomers').toEqual([...waiting(2), ...newcomers]);
      expect(draining.usings, 'using, called after drain()').toEqual([{ state: `rejected: ${refused}` }]);
      const served = await pool.play(`release 0; release ${max}`);
      expect(states(served).slice(max), 'the same, after two releases').toEqual([...got(2), ...newcomers]);
      for (let holder = 1; holder < max; holder++) await pool.play(`release ${holder}`);
      const before = await pool.play(`hold destroy, release ${max + 1}`);
      expect(before.drains, 'drain(), when the last connection is being closed').toEqual(['pending', 'pending']);
      await expectDrained(pool, await pool.play('flow destroy; drain'), `${max} holders`);
    }

    const idle = await openPool();
    const closing = await idle.play(
      `acquire ${many}; destroy rejects, hold destroy, ${releases(many)}; drain; acquire`,
    );
    expect(closing.drains, 'drain(), while idle connections are being closed').toEqual(['pending']);
    expect(states(closing).at(-1), 'a newcomer meanwhile').toBe(refused);
    await expectDrained(idle, await idle.play('flow destroy'), `${many} idle connections, when destroy rejects`);

    for (const how of ['pass', 'fail']) {
      for (const part of ['create', 'validate'])
        for (const isAborted of [true, false]) {
          const pool = await openPool({ max: 1 });
          const at = part === 'create' ? 0 : 1;
          const ends = isAborted ? `drain; abort ${at}` : `clock ${longMs}; drain`;
          await pool.play(`${at === 0 ? '' : 'acquire; release 0;'} hold ${part}, acquire signal`);
          const when = isAborted ? 'was aborted after drain()' : 'had timed out before drain()';
          const what = `${part} ran for a waiter who ${when}, then it ${how}ed`;
          const pending = await pool.play(ends);
          expect(pending.drains, `${what}; drain() before that`).toEqual(['pending']);
          await expectDrained(pool, await pool.play(`${how} ${part}`), what);
        }

      const wanted = await openPool({ max: 1 });
      const opened = await wanted.play(`hold create, acquire; drain; ${how} create; flow create`);
      const state = how === 'pass' ? 'got' : 'refusal 0';
      expect(states(opened), 'a waiter for whom a connection was opened during drain()').toEqual([state]);
      await expectDrained(wanted, how === 'pass' ? await wanted.play('release 0') : opened, 'a creation');

      const checking = await openPool({ max: 1 });
      await checking.play('acquire; release 0; hold validate, acquire');
      const checked = await checking.play(`drain; ${how} validate, flow validate`);
      expect(states(checked), 'a waiter whose connection was validated during drain()').toEqual(got(2));
      await expectDrained(checking, await checking.play('release 1'), 'a validation');

      const resetting = await openPool({ max: 1 });
      await resetting.play('acquire; hold reset, release 0; drain');
      await expectDrained(resetting, await resetting.play(`${how} reset`), 'a connection during reset');
    }

    const late = await openPool({ max: 1 });
    await expectDrained(
      late,
      await late.play('acquire; acquire; drain, release 0; release 1'),
      'a waiter who was served',
    );
    const gone = await openPool({ max: 1 });
    const left = await gone.play('acquire, acquire signal; drain; abort 1; release 0');
    await expectDrained(gone, left, 'a waiter who was aborted during drain()');
    const empty = await openPool();
    await expectDrained(empty, await empty.play('drain, drain; drain'), 'no connection');
  });
});

/** How a wait ends while `create` or `validate` runs for it. */
type End = 'times out' | 'is aborted' | 'is served by another';

/** Waits that end while `create` or `validate` runs for them. The next caller, if there is one, comes before that has ended, or after. */
async function* endedWaits(openPool: OpenPool, how: End, callers: readonly ('early' | 'late' | 'none')[]) {
  for (const part of ['create', 'validate'])
    for (const caller of callers) {
      const isServed = how === 'is served by another';
      const pool = await openPool({ max: isServed ? 2 : 1 });
      // The last of those who come before leaves an idle connection; the other one, if any, serves the waiter in the end.
      const before = (isServed ? 1 : 0) + (part === 'validate' ? 1 : 0);
      await pool.play(`acquire ${before}; ${part === 'validate' ? `release ${before - 1}` : ''}`);
      const end = {
        'times out': `clock ${acquireTimeoutMs}`,
        'is aborted': `abort ${before}`,
        'is served by another': 'release 0',
      };
      const over = await pool.play(`hold ${part}, acquire signal; ${end[how]}`);
      const rest = { early: `acquire; flow ${part}`, late: `flow ${part}; acquire`, none: `flow ${part}` };
      const next = await pool.play(rest[caller]);
      yield { pool, over, next, what: `a waiter ${how} while ${part} runs for it` };
    }
}

function range(length: number, from = 0): number[] {
  return Array.from({ length }, (_, index) => from + index);
}

/** The step that releases what so many acquires have got. */
function releases(count: number, from = 0): string {
  return `release ${range(count, from).join(' ')}`;
}

function got(count: number): string[] {
  return range(count).map(() => 'got');
}

function waiting(count: number): string[] {
  return range(count).map(() => 'waiting');
}

/** In the order of the calls: `got`, `waiting`, or the name of the error. */
function states({ acquires: made }: Report): string[] {
  return made.map(({ state, error }) => error ?? state);
}

function countGot(report: Report): number {
  return states(report).filter((state) => state === 'got').length;
}

function expectFew(report: Report, max: number, what: string): Report {
  expectThat(report.most <= max, `${what}: ${report.most} connections were open at once, with max ${max}`);
  return report;
}

/** One holder each, and no idle one left while another was opened. */
function expectUsed(report: Report, what: string): Report {
  expectUnshared(report, what);
  expectThat(report.passedOver.length === 0, `${what}: ${report.passedOver[0]}`);
  return report;
}

function expectUnshared({ shared }: Report, what: string): void {
  expectThat(shared.length === 0, `${what}: ${shared[0]}`);
}

function expectInOrder(report: Report, what: string): Report {
  const { acquires: made } = report;
  const inOrder = (call: Acquire) => call.state !== 'rejected';
  const served = made.flatMap((call, at) => (inOrder(call) ? [{ at, order: call.order ?? Infinity }] : []));
  const late = served.findIndex(({ order }, index) => index > 0 && order < served[index - 1]!.order);
  if (late === -1) return report;
  const [before, after] = [served[late - 1]!, served[late]!];
  expectThat(false, `${what}: call ${after.at + 1} got a connection before call ${before.at + 1}`);
  return report;
}

function expectNothingBehind({ listeners, timers }: Report, what: string): void {
  expect({ listeners, timers }, `${what}: listeners on signals, and timers that hold the process`).toEqual({
    listeners: 0,
    timers: 0,
  });
}

/** Asks the server through what the last `count` acquires have got. */
async function expectAlive(
  pool: Bench,
  { acquires: made, threadIds }: Report,
  count: number,
  what: string,
): Promise<void> {
  const asked = range(count, made.length - count).map((at) => `query ${at} SELECT CONNECTION_ID()`);
  const { answers } = await pool.play(asked.join(', '));
  const expected = made.slice(-count).map(({ connection }) => threadIds[connection ?? -1]);
  expect(answers.slice(-count), `${what}: the server’s answers to the ${count} holders, their ids`).toEqual(expected);
}

async function isFree({ admin }: TestDatabase): Promise<boolean> {
  await admin.query('START TRANSACTION');
  const isLocked = await admin.query('SELECT pieces FROM stock WHERE id = 1 FOR UPDATE NOWAIT').then(
    () => false,
    () => true,
  );
  await admin.query('ROLLBACK');
  return !isLocked;
}

async function piecesOf({ admin }: TestDatabase): Promise<number> {
  const [[row]] = await admin.query<RowDataPacket[]>('SELECT pieces FROM stock WHERE id = 1');
  return Number(row?.['pieces']);
}
