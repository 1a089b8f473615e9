import fc from 'fast-check';
import type { RowDataPacket } from 'mysql2/promise';
import { describe, expect } from 'vitest';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/connection-pool/connection-pool.ts';
import { Bench } from './bench.ts';
import type { Acquire, Report, Sizes, Step } from './inside.ts';

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

const test = judge<typeof Kata>('connection-pool')
  .extend('openPool', ({ subject, database }) => {
    return (own: Partial<Sizes> = {}) =>
      Bench.open(subject, database, { min: 0, max: many, idleTimeoutMs, acquireTimeoutMs, ...own });
  })
  // The first promise that needs the histories plays them.
  .extend('memo', { scope: 'file' }, (): { played?: Promise<Played[]> } => ({}))
  .extend(
    'played',
    ({ subject, database, memo }) =>
      () =>
        (memo.played ??= playHistories(subject, database)),
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
      const fewer = (report: Report, what: string) =>
        expectThat(report.most <= max, `${what}: ${report.most} connections were open at once, with max ${max}`);

      fewer(await pool.play(['hold', 'create'], ...acquires(max + 2)), `${max + 2} callers while create runs`);
      const full = await pool.play(['flow', 'create']);
      fewer(full, `${max + 2} callers when create has ended`);
      expect(states(full), `of ${max + 2} callers, with max ${max}`).toEqual([...got(max), 'waiting', 'waiting']);
      await pool.expectAtServer(max, `${max + 2} callers`);
      await pool.play(['release all']);

      // Each round begins with none open, and a newcomer comes at another moment after the first creation.
      for (const gap of max === 1 ? gaps : []) {
        const opening = await pool.play(['clock', 2 * idleTimeoutMs], ['rest'], ['hold', 'create'], ...acquires(max));
        const before = opening.acquires.length - max;
        const what = `a caller came ${gap} microtasks after a creation`;
        await pool.play(['let go', 'create'], ['microtasks', gap], ['acquire']);
        const report = await pool.play(['flow', 'create']);
        fewer(report, what);
        expect(states(report).slice(before), what).toEqual([...got(max), 'waiting']);
        await pool.play(['release all']);
      }
      await pool.expectAtServer(max, 'when all have released');

      const closing = await pool.play(['hold', 'destroy'], ['clock', 2 * idleTimeoutMs], ...acquires(max));
      fewer(closing, `${max} callers came while ${max} idle connections were being closed`);
      const closed = await pool.play(['flow', 'destroy']);
      fewer(closed, `${max} idle connections were closed while ${max} callers waited`);
      expect(states(closed).slice(-max), 'callers who waited for the closing').toEqual(got(max));
    }

    for (const part of ['reset', 'validate'] as const) {
      const pool = await openPool({ max: 1 });
      const what = `${part} failed, and destroy is running`;
      await pool.play(['acquire'], ['rest'], ['hold', part], ['hold', 'destroy'], ['release', 0]);
      const closing = await pool.play(['acquire'], ['rest'], ['let go', part, 'fails'], ['flow', part], ['acquire']);
      expectThat(closing.most === 1, `${what}: ${closing.most} connections were open at once, with max 1`);
      const closed = await pool.play(['flow', 'destroy']);
      expectThat(closed.most === 1, `${what}: ${closed.most} connections were open in the end, with max 1`);
      expect(countGot(closed), `${what}; of three callers, who have got a connection in the end`).toBe(2);
    }

    const failing = await openPool();
    await failing.play(['hold', 'create'], ...acquires(many + 3), ['rest'], ['let go', 'create', 'fails']);
    const failed = await failing.play(['let go', 'create', 'fails'], ['rest'], ['flow', 'create']);
    expectThat(failed.most <= many, `create failed twice: ${failed.most} were open at once, with max ${many}`);

    const pool = await openPool();
    await pool.play(['hold', 'create'], ...acquires(many), ['rest'], ['clock', longMs], ...acquires(many));
    const late = await pool.play(['flow', 'create']);
    expectThat(late.most <= many, `callers timed out while create ran: ${late.most} were open, with max ${many}`);
    for (const { max, report, what } of await played())
      expectThat(report.most <= max, `${what}: ${report.most} connections were open at once`);
  });

  test('A connection must never have two holders, and an idle one must be used before another is opened.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      const all = await pool.play(...acquires(max));
      expect(states(all), `${max} callers, with max ${max}`).toEqual(got(max));
      expectUnshared(all, `${max} callers`);
      const again = await pool.play(...releases(range(max)), ['rest'], ...acquires(max));
      expect(states(again), `${max} callers again`).toEqual(got(2 * max));
      expectUnshared(again, `${max} callers again`);
      expect(again.calls.create, `calls of create when ${max} callers got connections, twice`).toBe(max);
    }

    const pool = await openPool();
    for (let round = 0; round < 5; round++) {
      const { calls, acquires: made } = await pool.play(['acquire'], ['rest'], ['release', round]);
      expect(calls.create, `calls of create when ${made.length} callers came one after the other`).toBe(1);
    }

    for (const max of [1, 2]) {
      const two = await openPool({ max });
      await two.play(...acquires(max), ['rest'], ...range(max).map((at): Step => ['release', at]), [
        'hold',
        'validate',
      ]);
      const what = `two callers came during one validate, with max ${max}`;
      await two.play(['rest'], ['acquire'], ['rest'], ['acquire']);
      const report = await two.play(['flow', 'validate']);
      expectUnshared(report, what);
      expect(states(report).slice(max), what).toEqual(max === 1 ? ['got', 'waiting'] : got(2));
      expect(report.calls.create, `${what}: calls of create`).toBe(max);
    }

    const one = await openPool({ max: 1 });
    await one.play(...acquires(4), ['rest']);
    for (let holder = 0; holder < 3; holder++) {
      const report = await one.play(['release', holder]);
      expectUnshared(report, 'a release with several waiters');
      expect(states(report), 'a release with several waiters').toEqual([...got(holder + 2), ...waiting(2 - holder)]);
    }
    for (const { report, what } of await played()) expectUnshared(report, what);
  });

  test('Waiters must get connections in the order in which acquire was called, however creations overlap.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      const waiters = max + 4;
      await pool.play(...acquires(max), ['rest'], ...acquires(waiters));
      for (let holder = 0; holder < max; holder++) await pool.play(['release', holder]);
      const atOnce = await pool.play(...range(max).map((at): Step => ['release', max + at]));
      expectInOrder(atOnce, `${waiters} waiters, with max ${max}`);
      expect(countGot(atOnce), `callers served after ${2 * max} releases`).toBe(Math.min(3 * max, max + waiters));
    }

    const reverse = await openPool();
    await reverse.play(['hold', 'create'], ...acquires(many));
    for (let creation = 1; creation <= many; creation++)
      expectInOrder(
        await reverse.play(['let go', 'create', 'ok', 'last']),
        `creation ${creation} of ${many} in reverse`,
      );
    expect(states(await reverse.play()), 'callers, when all creations have ended').toEqual(got(many));

    const overlap = await openPool({ max: 2 });
    const what = 'a connection came back while another was being opened for a waiter; then a third caller came';
    await overlap.play(['acquire'], ['rest'], ['hold', 'create'], ['acquire'], ['rest'], ['release', 0]);
    expectInOrder(await overlap.play(['acquire']), what);
    const overlapped = await overlap.play(['flow', 'create']);
    expectInOrder(overlapped, what);
    expect(states(overlapped), what).toEqual(got(3));

    for (const part of ['reset', 'validate'] as const) {
      for (const how of ['ok', 'fails'] as const) {
        const pool = await openPool({ max: 1 });
        const then = `another caller came while ${part} ran for a waiter; it ${how === 'ok' ? 'succeeds' : 'fails'}`;
        if (part === 'validate')
          await pool.play(['acquire'], ['rest'], ['release', 0], ['rest'], ['hold', part], ['acquire']);
        else await pool.play(['acquire'], ['rest'], ['hold', part], ['acquire'], ['release', 0]);
        await pool.play(['acquire']);
        const served = await pool.play(['let go', part, how], ['flow', part]);
        expectInOrder(served, then);
        expect(countGot(served), `${then}; of three callers, who have got a connection`).toBe(2);
        const last = await pool.play(['release', 1]);
        expectInOrder(last, then);
      }
    }

    const gap = await openPool({ max: 1 });
    await gap.play(...acquires(2));
    for (const microtasks of gaps) {
      const holder = 2 * microtasks;
      const report = await gap.play(['release', holder], ['microtasks', microtasks], ['acquire']);
      const came = `a caller came ${microtasks} microtasks after release, when another one waited`;
      expect(states(report).slice(holder + 1), came).toEqual(['got', 'waiting']);
      await gap.play(['release', holder + 1], ['rest'], ['acquire']);
    }
    for (const { report, what: history } of await played()) expectInOrder(report, history);
  });

  test('using must release its connection once fn has returned, thrown or rejected, and must pass that on.', async ({
    openPool,
  }) => {
    const pool = await openPool({ max: 1 });
    const faults = await pool.useInEveryWay();
    expectThat(faults.length === 0, `${faults[0]} (${faults.length} faults like this)`);

    const atWork = await pool.play(['using'], ['rest'], ['acquire'], ['using']);
    expect(atWork.usings, 'two calls of using, with max 1').toEqual([
      { state: 'at work', connection: 0 },
      { state: 'waiting' },
    ]);
    expect(states(atWork), 'a caller who came while fn was at work').toEqual(['waiting']);
    const returned = await pool.play(['end', 0, 'returns']);
    expect(returned.usings[0]!.state, 'using, when fn has resolved').toBe('returned a value');
    expect(states(returned), 'the caller, when fn has resolved').toEqual(['got']);
    await pool.play(['release', 0], ['rest'], ['acquire'], ['rest']);
    const rejected = await pool.play(['end', 1, 'rejects']);
    expect(rejected.usings[1]!.state, 'using, when fn has rejected').toBe('rejected: thrown: no error');
    expect(states(rejected), 'the next caller, when fn has rejected').toEqual(got(2));
    expectUnshared(rejected, 'using and acquire');
  });
});

describe('robust', () => {
  test('After acquireTimeoutMs, a waiter must reject with an AcquireTimeoutError; its place and its connection go to others.', async ({
    openPool,
  }) => {
    const late = 'AcquireTimeoutError';
    for (const max of sizes) {
      const pool = await openPool({ max });
      const at = async (...steps: Step[]) => states(await pool.play(...steps)).slice(max);
      const apartMs = 700;
      await pool.play(...acquires(max), ['rest'], ['acquire']);
      await pool.play(['clock', apartMs], ['acquire'], ['acquire', 'signal']);
      const before = await at(['clock', acquireTimeoutMs - apartMs - 1]);
      expect(before, `waiters 1 ms before acquireTimeoutMs`).toEqual(waiting(3));
      expect(await at(['clock', 1]), 'waiters at acquireTimeoutMs of the first').toEqual([late, ...waiting(2)]);
      expect(await at(['release', 0]), 'a release after the first has timed out').toEqual([late, 'got', 'waiting']);
      await pool.play(['clock', apartMs]);
      const over = await pool.play(['rest'], ...range(max - 1).map((more): Step => ['release', more + 1]), [
        'release',
        max + 1,
      ]);
      expect(states(over).slice(max), 'acquireTimeoutMs after the other calls').toEqual([late, 'got', late]);
      const again = await pool.play(...acquires(max));
      expect(states(again).slice(max + 3), `${max} callers after that, with max ${max}`).toEqual(got(max));
      expect(again.calls.create, `calls of create, with max ${max}`).toBe(max);
    }

    const full = await openPool({ max: 1 });
    const { usings } = await full.play(['acquire'], ['using'], ['rest'], ['clock', acquireTimeoutMs]);
    expect(usings, 'a call of using after acquireTimeoutMs').toEqual([{ state: `rejected: ${late}` }]);

    for (const part of ['create', 'validate'] as const) {
      for (const isAwaited of [true, false]) {
        const pool = await openPool({ max: 1 });
        if (part === 'validate') await pool.play(['acquire'], ['rest'], ['release', 0]);
        const what = `a waiter timed out while ${part} ran for it`;
        const first = part === 'validate' ? ['got'] : [];
        const timedOut = await pool.play(['hold', part], ['acquire'], ['rest'], ['clock', acquireTimeoutMs]);
        expect(states(timedOut), what).toEqual([...first, late]);
        const next = isAwaited
          ? await pool.play(['acquire'], ['rest'], ['flow', part])
          : await pool.play(['flow', part], ['rest'], ['acquire']);
        expect(states(next), `${what}; what the next caller got`).toEqual([...first, late, 'got']);
        expect(next.calls.create, `${what}; calls of create in the end`).toBe(1);
      }
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
      const opened = await pool.play(['destroy rejects'], ...acquires(max), ['rest']);
      await pool.play(...releases(range(max)));
      const dead = killed.map((number) => opened.threadIds[number]!);
      await pool.kill(dead);
      const what = `the server has closed ${killed.length} of ${max} idle connections`;
      const report = await pool.play(['acquire'], ['rest'], ...acquires(max - 1));
      expect(states(report).slice(max), `${max} callers, when ${what}`).toEqual(got(max));
      await expectAlive(pool, report, max, what);
      await pool.expectAtServer(max, what);
    }

    for (const isAwaited of [true, false]) {
      const pool = await openPool({ max: 1 });
      const held = await pool.play(['acquire']);
      await pool.kill(held.threadIds);
      const what = 'the server closed a connection while somebody held it';
      if (isAwaited) await pool.play(['acquire'], ['rest'], ['release', 0]);
      else await pool.play(['release', 0], ['rest'], ['acquire']);
      const next = await pool.play();
      expect(states(next), `${what}; what the next caller got`).toEqual(got(2));
      await expectAlive(pool, next, 1, what);
      await pool.expectAtServer(1, what);
    }
  });

  test('When create fails, one waiter must reject with its error, and the place must be free again.', async ({
    openPool,
    played,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      const callers = max + 3;
      await pool.play(['hold', 'create'], ...acquires(callers));
      for (let refused = 1; refused <= max + 1; refused++) {
        const { acquires: made, refusals } = await pool.play([
          'let go',
          'create',
          'fails',
          refused % 2 ? 'first' : 'last',
        ]);
        const rejected = made.flatMap(({ error }) => error ?? []);
        expect(
          rejected.toSorted(),
          `of ${callers} callers with max ${max}, when create has failed ${refused} times`,
        ).toEqual(range(refused).map((number) => `refusal ${number}`));
        expect(refusals.length, 'calls of create that have failed').toBe(refused);
      }
      const rest = await pool.play(['flow', 'create'], ['rest'], ...acquires(max));
      const open = Math.min(max, countGot(rest));
      expect(countGot(rest), `callers with a connection in the end, of max ${max}`).toBe(max);
      await pool.expectAtServer(open, 'in the end');
    }

    for (const { report, what } of await played())
      expectThat(!states(report).includes('waiting'), `${what}: a caller still waits when all have released`);

    const unwanted = await openPool({ max: 2 });
    const what = 'create failed when its waiter had got another connection';
    await unwanted.play(['acquire'], ['rest'], ['hold', 'create'], ['acquire'], ['rest'], ['release', 0]);
    await unwanted.play(['let go', 'create', 'fails'], ['rest'], ['flow', 'create']);
    expect(states(await unwanted.play(['acquire'])), `${what}; then a third caller came`).toEqual(got(3));

    const pool = await openPool({ max: 1 });
    await pool.play(
      ['acquire'],
      ['rest'],
      ['release', 0],
      ['rest'],
      ['hold', 'validate'],
      ['hold', 'create'],
      ['acquire'],
    );
    const replaced = await pool.play(['let go', 'validate', 'fails'], ['rest'], ['let go', 'create', 'fails']);
    expect(states(replaced), 'an idle connection was dead, and its replacement failed').toEqual(['got', 'refusal 0']);
    expect(states(await pool.play(['flow', 'create'], ['flow', 'validate'], ['acquire'])), 'the next caller').toEqual([
      'got',
      'refusal 0',
      'got',
    ]);
  });

  test('release must throw a NotHeldError for a connection that nobody holds or another pool’s, and change nothing.', async ({
    openPool,
  }) => {
    const refused = 'NotHeldError';
    for (const max of [1, 2, many]) {
      const pool = await openPool({ max });
      const expectIntact = async (report: Report, errors: (string | undefined)[], what: string) => {
        expect(report.releases, `${what}; what each release threw`).toEqual(errors);
        const before = report.acquires.length;
        const next = await pool.play(...acquires(max + 1));
        expectUnshared(next, what);
        expect(states(next).slice(before), `${what}; then ${max + 1} callers with max ${max}`).toEqual([
          ...got(max),
          'waiting',
        ]);
        const rightOnes = errors.filter((error) => error === undefined).length;
        expectThat(next.calls.reset <= rightOnes, `${what}: reset was called ${next.calls.reset} times`);
        expect(next.calls.destroy, `${what}; calls of destroy`).toBe(0);
      };
      await pool.play(['acquire'], ['rest']);
      const twice = await pool.play(['release', 0], ['release', 0], ['rest'], ['release', 0]);
      await expectIntact(
        twice,
        [undefined, refused, refused],
        'a connection was released twice at once, and once more',
      );
    }

    const resetting = await openPool({ max: 1 });
    const { held } = await resetting.play(...acquires(3), ['rest'], ['hold', 'reset'], ['release', 0]);
    const during = await resetting.play(...(held.reset === 1 ? releases([0]) : []), ['rest'], ['flow', 'reset']);
    const what = 'a second release during reset';
    expect(during.releases, what).toEqual([undefined, ...(held.reset === 1 ? [refused] : [])]);
    expect(countGot(during), `${what}; how many of three callers have got the connection`).toBe(2);
    expectUnshared(during, what);

    const closing = await openPool({ max: 1 });
    await closing.play(['acquire'], ['rest'], ['hold', 'reset'], ['hold', 'destroy'], ['release', 0]);
    await closing.play(['let go', 'reset', 'fails'], ['rest'], ['release', 0], ['flow', 'destroy'], ['flow', 'reset']);
    const closed = await closing.play(['release', 0], ['acquire']);
    expect(closed.releases, 'two releases of a connection that was closed').toEqual([undefined, refused, refused]);
    expect(states(closed), 'the next caller').toEqual(got(2));

    const pool = await openPool({ max: 1 });
    await pool.play(['acquire']);
    await pool.openOtherPool();
    for (const stranger of ['an empty object', 'a copy', 'one of another pool'] as const) {
      const { releases: thrown, calls } = await pool.play(['release stranger', stranger]);
      expect(thrown.at(-1), `release of ${stranger}`).toBe(refused);
      expect(calls.reset + calls.destroy, `calls of reset and destroy after the release of ${stranger}`).toBe(0);
    }
    expect(states(await pool.play(['acquire'])), 'another caller, with max 1').toEqual(['got', 'waiting']);
    expect(states(await pool.play(['release', 0])), 'the same, after the right release').toEqual(got(2));
  });

  test('release must reset a connection at once, before anybody gets it; when reset fails, it must be replaced.', async ({
    openPool,
    database,
  }) => {
    await database.admin.query('REPLACE INTO stock VALUES (1, ?)', [pieces]);
    const take = 'UPDATE stock SET pieces = pieces - 1 WHERE id = 1';
    const read = 'SELECT pieces FROM stock WHERE id = 1';
    const pool = await openPool({ max: 1 });
    const left = await pool.play(
      ['acquire'],
      ['rest'],
      ['query', 0, 'START TRANSACTION'],
      ['query', 0, take],
      ['release', 0],
    );
    expect(left.answers, 'statements of a holder').toEqual(['done', 'done']);
    expectThat(await isFree(database), 'the row is still locked after a holder released with an open transaction');
    const { answers } = await pool.play(['acquire'], ['rest'], ['query', 1, read], ['query', 1, 'COMMIT']);
    expect(answers[2], `what the next holder reads, of ${pieces}`).toBe(pieces);
    expect(await piecesOf(database), `what is in the table after the next holder’s COMMIT, of ${pieces}`).toBe(pieces);

    for (const max of [1, 2]) {
      for (const how of ['ok', 'fails'] as const) {
        const held = await openPool({ max });
        await held.play(...acquires(max), ['rest'], ['hold', 'reset'], ['acquire'], ['rest'], ['release', 0]);
        const during = await held.play(['acquire']);
        const what = `with max ${max}, while reset runs`;
        expect(during.held.reset, `calls of reset ${what}`).toBe(1);
        expect(states(during).slice(max), `two waiters ${what}`).toEqual(waiting(2));
        const after = await held.play(['let go', 'reset', how]);
        const ended = how === 'ok' ? 'has succeeded' : 'has failed';
        expect(countGot(after), `with max ${max}, callers with a connection when reset ${ended}`).toBe(max + 1);
        expect(after.calls.destroy, `calls of destroy when reset ${ended}`).toBe(how === 'ok' ? 0 : 1);
        const next = after.acquires.slice(max).find(({ state }) => state === 'got');
        const isTheSame = next?.connection === after.acquires[0]!.connection;
        expect(isTheSame, `a waiter has got the connection that was released, when reset ${ended}`).toBe(how === 'ok');
        await held.expectAtServer(max, `when reset ${ended}`);
      }
    }

    const unwanted = await openPool({ max: 1 });
    const alone = await unwanted.play(['acquire'], ['rest'], ['hold', 'reset'], ['release', 0]);
    expect(alone.held.reset, 'calls of reset that run after a release when nobody waits').toBe(1);
    const failed = await unwanted.play(['let go', 'reset', 'fails'], ['flow', 'reset'], ['rest'], ['acquire']);
    expect(failed.acquires[1]!.connection, 'the next holder’s connection when reset has failed').toBe(1);
    await unwanted.expectAtServer(1, 'when reset has failed');
  });
});

describe('stretch', () => {
  test('Connections idle for idleTimeoutMs must be closed, down to min, by timers that do not hold the process.', async ({
    openPool,
  }) => {
    for (const [min, max] of [
      [0, 1],
      [0, many],
      [1, many],
      [2, many],
      [2, 2],
    ] as const) {
      const what = `${max} idle connections, with min ${min}`;
      const pool = await openPool({ min, max });
      const opened = await pool.play(...acquires(max));
      const idle = await pool.play(...releases(range(max)));
      expectThat(idle.timers <= opened.timers, `${what}: ${idle.timers - opened.timers} more timers hold the process`);
      const before = await pool.play(['clock', idleTimeoutMs - 1], ['hold', 'destroy']);
      expect(before.calls.destroy, `${what}: closed 1 ms before idleTimeoutMs`).toBe(0);
      await pool.expectAtServer(max, `${what}, 1 ms before idleTimeoutMs`);
      const closing = await pool.play(['clock', idleTimeoutMs + 1], ['rest'], ['clock', idleTimeoutMs]);
      const tooMany = `${what}: ${closing.calls.destroy} were closed when idleTimeoutMs was over`;
      expectThat(closing.calls.destroy <= max - min, tooMany);
      const over = await pool.play(['flow', 'destroy'], ['rest'], ['clock', 3 * idleTimeoutMs]);
      expect(over.calls.destroy, `${what}: calls of destroy in the end`).toBe(max - min);
      await pool.expectAtServer(min, what);
      const again = await pool.play(...acquires(max));
      expect(states(again).slice(max), `${max} callers after that`).toEqual(got(max));
      expect(again.calls.create, `${what}: calls of create in the end`).toBe(2 * max - min);
      await expectAlive(pool, again, max, `${what}, after that`);
    }

    const partMs = Math.ceil(0.7 * idleTimeoutMs);
    const pool = await openPool({ max: 1 });
    await pool.play(
      ['acquire'],
      ['rest'],
      ['release', 0],
      ['rest'],
      ['clock', partMs],
      ['acquire'],
      ['rest'],
      ['clock', partMs],
    );
    const held = await pool.play(['clock', 3 * idleTimeoutMs], ['query', 1, 'SELECT 7']);
    expect(held.answers, 'an answer through a connection that was held for longer than idleTimeoutMs').toEqual([7]);
    const round: Step[] = [['clock', partMs], ['acquire'], ['rest']];
    const used = await pool.play(['release', 1], ['rest'], ...round, ['release', 2], ['rest'], ...round, [
      'release',
      3,
    ]);
    expect(used.calls.create, 'calls of create for a connection that was never idle for idleTimeoutMs').toBe(1);
    await pool.play(['clock', idleTimeoutMs - 1]);
    await pool.expectAtServer(1, '1 ms before idleTimeoutMs after the last release');
    await pool.play(['clock', idleTimeoutMs + 1]);
    await pool.expectAtServer(0, 'idleTimeoutMs after the last release');

    const two = await openPool();
    await two.play(...acquires(2), ['rest'], ['release', 0], ['rest'], ['clock', partMs], ['release', 1], ['rest']);
    const { calls } = await two.play(['clock', idleTimeoutMs - 1]);
    expectThat(calls.destroy <= 1, 'a connection was closed 1 ms before idleTimeoutMs, when an older one was closed');
    await two.play(['clock', idleTimeoutMs + 1]);
    await two.expectAtServer(0, 'when both were idle for idleTimeoutMs');
  });

  test('An aborted waiter must reject with its signal’s reason and leave no place, listener or timer behind.', async ({
    openPool,
  }) => {
    for (const max of sizes) {
      const pool = await openPool({ max });
      await pool.play(...acquires(max), ['rest'], ...range(4).map((): Step => ['acquire', 'signal']));
      const aborted = await pool.play(['abort', max + 2], ['abort', max]);
      const reasons = [`reason ${max}`, 'waiting', `reason ${max + 2}`, 'waiting'];
      expect(states(aborted).slice(max), 'the first and third of four waiters were aborted').toEqual(reasons);
      const served = await pool.play(['release', 0], ['rest'], ['release', max + 1]);
      expect(states(served).slice(max), 'the four, after two releases').toEqual([reasons[0], 'got', reasons[2], 'got']);
      const late = await pool.play(['abort', max + 3], ['acquire', 'aborted signal'], ['acquire', 'signal']);
      expect(states(late).slice(max + 3), 'one aborted later, one before its call, and the next').toEqual([
        'got',
        `reason ${max + 4}`,
        'waiting',
      ]);
      expectThat(
        late.calls.reset <= 2,
        `two connections were released, and reset was called ${late.calls.reset} times`,
      );
      const last = await pool.play(['clock', longMs]);
      expectThat(
        last.acquires.at(-1)!.state === 'rejected',
        'a waiter with a signal did not reject after acquireTimeoutMs',
      );
      expectNothingBehind(last, 'when all have ended');
    }

    for (const part of ['create', 'validate'] as const) {
      for (const isAwaited of [true, false]) {
        const pool = await openPool({ max: 1 });
        if (part === 'validate') await pool.play(['acquire'], ['rest'], ['release', 0]);
        const first = part === 'validate' ? ['got'] : [];
        const at = first.length;
        const what = `a waiter was aborted while ${part} ran for it`;
        const aborted = await pool.play(['hold', part], ['acquire', 'signal'], ['rest'], ['abort', at]);
        expect(states(aborted), what).toEqual([...first, `reason ${at}`]);
        expectNothingBehind(aborted, what);
        const next = isAwaited
          ? await pool.play(['acquire'], ['rest'], ['flow', part])
          : await pool.play(['flow', part], ['rest'], ['acquire']);
        expect(states(next), `${what}; what the next caller got`).toEqual([...first, `reason ${at}`, 'got']);
        expect(next.calls.create, `${what}; calls of create in the end`).toBe(1);
      }
    }

    const pool = await openPool({ max: 1 });
    const early = await pool.play(['acquire', 'aborted signal'], ['rest'], ['hold', 'create'], ['acquire', 'signal']);
    expect(states(early), 'a caller with an aborted signal, and the next').toEqual(['reason 0', 'waiting']);
    const failed = await pool.play(['let go', 'create', 'fails']);
    expect(states(failed), 'the same, when create has failed').toEqual(['reason 0', 'refusal 0']);
    expect(failed.calls.create, 'calls of create for the two').toBe(1);

    const moment = await openPool({ max: 1 });
    for (const microtasks of gaps) {
      await moment.play(['clock', 2 * idleTimeoutMs], ['rest'], ['hold', 'create'], ['acquire', 'signal']);
      const at = 2 * microtasks;
      const aborted = await moment.play(['let go', 'create'], ['microtasks', microtasks], ['abort', at]);
      const what = `a caller was aborted ${microtasks} microtasks after create had resolved`;
      const isServed = states(aborted)[at] === 'got';
      const next = await moment.play(['flow', 'create'], ...(isServed ? releases([at]) : []), ['rest'], ['acquire']);
      expect(states(next).at(-1), `${what}, and ${states(aborted)[at]}; the next caller, with max 1`).toBe('got');
      expectNothingBehind(next, what);
      await moment.play(['release', at + 1]);
    }

    const free = await openPool({ max: 1 });
    const { usings } = await free.play(['using', 'aborted signal']);
    expect(usings, 'a call of using with an aborted signal').toEqual([{ state: 'rejected: reason' }]);
    await free.play(['acquire', 'signal'], ['rest'], ['release', 0], ['rest'], ['acquire', 'aborted signal']);
    const next = await free.play(['acquire']);
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
      await pool.play(...acquires(max), ['rest'], ...acquires(2), ['rest'], ['drain'], ['acquire'], ['using']);
      const draining = await pool.play(['acquire'], ['drain']);
      expect(draining.drains, 'drain() with holders and waiters').toEqual(['pending', 'pending']);
      const newcomers = [refused, refused];
      expect(states(draining).slice(max), 'two waiters and two newcomers').toEqual([...waiting(2), ...newcomers]);
      expect(draining.usings, 'using, called after drain()').toEqual([{ state: `rejected: ${refused}` }]);
      const served = await pool.play(['release', 0], ['rest'], ['release', max]);
      expect(states(served).slice(max), 'the same, after two releases').toEqual([...got(2), ...newcomers]);
      for (let holder = 1; holder < max; holder++) await pool.play(['release', holder]);
      const before = await pool.play(['hold', 'destroy'], ['release', max + 1]);
      expect(before.drains, 'drain(), when the last connection is being closed').toEqual(['pending', 'pending']);
      await expectDrained(pool, await pool.play(['flow', 'destroy'], ['rest'], ['drain']), `${max} holders`);
    }

    const idle = await openPool();
    await idle.play(...acquires(many));
    await idle.play(['destroy rejects'], ['hold', 'destroy'], ...releases(range(many)));
    const closing = await idle.play(['drain'], ['rest'], ['acquire']);
    expect(closing.drains, 'drain(), while idle connections are being closed').toEqual(['pending']);
    expect(states(closing).at(-1), 'a newcomer meanwhile').toBe(refused);
    await expectDrained(idle, await idle.play(['flow', 'destroy']), `${many} idle connections, when destroy rejects`);

    for (const how of ['ok', 'fails'] as const) {
      const pool = await openPool();
      const what = 'a creation that nobody waits for';
      await pool.play(['hold', 'create'], ['acquire'], ['rest'], ['clock', longMs]);
      expect((await pool.play(['drain'])).drains, `drain() during ${what}`).toEqual(['pending']);
      await expectDrained(pool, await pool.play(['let go', 'create', how]), what);

      const wanted = await openPool({ max: 1 });
      await wanted.play(['hold', 'create'], ['acquire'], ['rest'], ['drain'], ['rest'], ['let go', 'create', how]);
      const first = await wanted.play(['flow', 'create']);
      expect(states(first), 'a waiter for whom a connection was opened during drain()').toEqual(
        how === 'ok' ? ['got'] : ['refusal 0'],
      );
      await expectDrained(wanted, how === 'ok' ? await wanted.play(['release', 0]) : first, 'a creation');

      const checking = await openPool({ max: 1 });
      await checking.play(['acquire'], ['rest'], ['release', 0], ['rest'], ['hold', 'validate'], ['acquire'], ['rest']);
      const checked = await checking.play(['drain'], ['rest'], ['let go', 'validate', how], ['flow', 'validate']);
      expect(states(checked), 'a waiter whose connection was validated during drain()').toEqual(got(2));
      await expectDrained(checking, await checking.play(['release', 1]), 'a validation');

      const resetting = await openPool({ max: 1 });
      await resetting.play(['acquire'], ['rest'], ['hold', 'reset'], ['release', 0], ['rest'], ['drain']);
      await expectDrained(resetting, await resetting.play(['let go', 'reset', how]), 'a connection during reset');
    }

    const late = await openPool({ max: 1 });
    await late.play(['acquire'], ['rest'], ['acquire'], ['rest'], ['drain'], ['release', 0], ['rest'], ['release', 1]);
    await expectDrained(late, await late.play(), 'a waiter who was served');
    const empty = await openPool();
    await expectDrained(empty, await empty.play(['drain'], ['drain'], ['rest'], ['drain']), 'no connection');
  });
});

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}

function acquires(count: number): Step[] {
  return range(count).map(() => ['acquire']);
}

/** Releases what these acquires have got. */
function releases(which: readonly number[]): Step[] {
  return which.map((at) => ['release', at]);
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

function expectUnshared({ shared }: Report, what: string): void {
  expectThat(shared.length === 0, `${what}: ${shared[0]}`);
}

function expectInOrder({ acquires: made }: Report, what: string): void {
  const inOrder = (call: Acquire) => call.state !== 'rejected';
  const served = made.flatMap((call, at) => (inOrder(call) ? [{ at, order: call.order ?? Infinity }] : []));
  const late = served.findIndex(({ order }, index) => index > 0 && order < served[index - 1]!.order);
  if (late === -1) return;
  const [before, after] = [served[late - 1]!, served[late]!];
  expectThat(false, `${what}: call ${after.at + 1} got a connection before call ${before.at + 1}`);
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
  const { answers } = await pool.play(
    ...range(count).map((at): Step => ['query', made.length - count + at, 'SELECT CONNECTION_ID()']),
  );
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
