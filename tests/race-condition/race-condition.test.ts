import { describe, expect } from 'vitest';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { waitingThreads } from '../../helpers/instruments/mysql/lock-waits.ts';
import {
  type Schedule,
  explore,
  heldCommand,
  standstillOf,
  standstillPastShortWaits,
} from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/race-condition/race-condition.ts';
import { type Outcome, closeCounter, incrementAtOnce } from './inside.ts';
import { type Service, Services, drawn, failuresOf, increment, valuesFromStart, valuesOf } from './service.ts';

const {
  ids: [id, otherId, unknownId],
  start,
  others: fewCalls,
  crowd,
} = drawn;
/** Deadlock, lock wait timeout, and the answer to NOWAIT. */
const lockErrors = [1205, 1213, 3572];
const points = ['after', 'before'] as const;

/** More than a pool has connections, also one that the module makes as large as mysql2 does by itself: 10. */
const manyCalls = 12;
/** As many as a pool of the judge's size has connections, each of which may have to notice a loss. */
const someCalls = 3;

const test = judge<typeof Kata>('race-condition', { spares: 1 })
  .extend('servicesOfFile', { scope: 'file' }, async ({ database, subjects }, { onCleanup }) => {
    await database.admin.query('INSERT INTO counters VALUES (?, ?), (?, ?)', [id, start, otherId, start]);
    const services = new Services(database, subjects);
    onCleanup(() => services.end());
    return services;
  })
  .extend('atOnce', { scope: 'file' }, ({ servicesOfFile }) => once(() => callsAtOnce(servicesOfFile)))
  // After a promise that fails, the next test gets new processes.
  .extend('services', async ({ servicesOfFile, task }, { onCleanup }) => {
    onCleanup(async () => {
      if (task.result?.state === 'fail') await servicesOfFile.end();
    });
    return servicesOfFile;
  });

describe('core', () => {
  test('When several calls run at once, each one that returns must have committed exactly one increment.', async ({
    atOnce,
  }) => {
    for (const schedule of await atOnce()) {
      const { outcomes, value, what } = schedule;
      expectNotEarly(schedule, what);
      const answered = valuesOf(outcomes).length;
      expectThat(answered > 0, `${what}no call returned a value`);
      expect(value, `${what}value in the table, from ${start}, after ${answered} calls returned`).toBe(
        start + answered,
      );
    }
  });

  test('Several calls at once must all succeed and return consecutive values, each value once.', async ({ atOnce }) => {
    for (const { outcomes, what } of await atOnce())
      expect(valuesOf(outcomes), `${what}values returned, from ${start}`).toEqual(valuesFromStart(outcomes.length));
  });
});

describe('robust', () => {
  test('Two processes must not lose an increment or return a value twice, wherever either one is stopped.', async ({
    services,
  }) => {
    const drawPoint = chartOfIncrements();
    const [a, b] = [await services.running('A'), await services.running('B')];
    await services.reset();

    for await (const schedule of explore({
      first: { ...a.session, call: () => increment(a) },
      others: { ...b.session, call: () => increment(b) },
      admin: services.database.admin,
      reset: services.reset,
      points,
      whenAnswered: () => services.committedValue(),
      standstill: standstillPastShortWaits,
    })) {
      const { first, others, at, step } = schedule;
      const value = await services.settledValue();
      if (at === 'after') drawPoint(step, first, others, value!);
      const what = `process A was stopped ${at} its statement ${step} while B ran${failuresOf([first, others])}\n${schedule.timeline}\n`;
      expectNotEarly(schedule, what);
      expectNothingLost([first, others], value, what);
    }

    await until(async () => (await services.sessionsBesideProxies()).length === 0);
    expect(
      await services.sessionsBesideProxies(),
      'sessions of the module that reached the server around the way that it was given',
    ).toEqual([]);

    await services.reset();
    const calls = { id, calls: crowd };
    const outcomes = await Promise.all([a, b].map(({ subject }) => subject.run(incrementAtOnce, calls)));
    expectNothingLost(
      outcomes.flat(),
      await services.settledValue(),
      `two processes with ${crowd} calls each, all at once\n`,
    );
  });

  test('A statement that fails must leave no lock and no connection behind.', async ({ services, onTestFinished }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];
    await services.reset();
    onTestFinished(services.allowWrites);

    await services.refuseWrites('disk full');
    const failed = [];
    for (let call = 1; call <= manyCalls; call++) failed.push(await increment(a));
    const isFree = await until(services.rowIsFree);
    expect(failed, `${manyCalls} calls, one after the other, while every write fails`).toEqual(
      failed.map(() => ({ error: expect.stringContaining('disk full') })),
    );
    expectThat(isFree, `the row was still locked after ${manyCalls} calls had failed`);

    await services.allowWrites();
    expect(await increment(b), `after that, a call of another process, from ${start}`).toEqual({ value: start + 1 });
    expect(await increment(a), 'and a call of the same process').toEqual({ value: start + 2 });
  });

  test('An unknown id must be rejected with an error that names it, and must not create a counter.', async ({
    services,
  }) => {
    const a = await services.running('A');
    await services.reset();

    const rejected = [];
    for (let call = 1; call <= manyCalls; call++) rejected.push(await increment(a, unknownId));
    const next = await increment(a);
    await services.database.admin.query('UPDATE counters SET value = 0 WHERE id = ?', [otherId]);
    const ofZero = await increment(a, otherId);

    expect(rejected, `${manyCalls} calls, one after the other, for the unknown id ${unknownId}`).toEqual(
      rejected.map(() => ({ error: expect.stringContaining(unknownId) })),
    );
    expect(await services.committedValue(unknownId), 'value of the unknown counter in the table').toBeUndefined();
    expect(next, `the next call, for a known id, from ${start}`).toEqual({ value: start + 1 });
    expect(ofZero, 'a call for a known id whose value is 0').toEqual({ value: 1 });
  });

  test('close() must leave no connection open.', async ({ services }) => {
    await using a = await services.open('A');

    const outcomes = await a.subject.run(incrementAtOnce, { id, calls: 4 });
    expectThat(valuesOf(outcomes).length > 0, `none of four calls at once returned a value${failuresOf(outcomes)}`);
    const opened = a.proxy.threadIds.length;
    await a.subject.run(closeCounter);
    await until(() => a.proxy.threadIds.length === 0);

    expect(a.proxy.threadIds.length, `of ${opened} connections still open after close()`).toBe(0);
  });
});

describe('stretch', () => {
  test('An increment must not wait for an increment of another id.', async ({ services }) => {
    const [a, b] = [await services.running('A'), await services.running('B')];

    for (const other of [b, a]) {
      for await (const { step, others, standstill, timeline } of explore({
        first: { ...a.session, call: () => increment(a) },
        others: { ...other.session, call: () => increment(other, otherId) },
        admin: services.database.admin,
        reset: services.reset,
        standstill: async (call) => ((await settles(call)) ? 'done' : 'not done'),
      })) {
        const where = other === a ? 'the same' : 'another';
        const what = `a call for ${id} was stopped after its statement ${step}; meanwhile a call for ${otherId} in ${where} process\n${timeline}\n`;
        expect(standstill, `${what}the call for ${otherId} was`).toBe('done');
        expect(others, `${what}its outcome`).toEqual({ value: expect.any(Number) });
      }
    }
  });

  test('When its connection is lost, a call must fail or count exactly once, and the next call must work.', async ({
    services,
  }) => {
    await using a = await services.open('A');
    const b = await services.running('B');
    const { admin } = services.database;

    const ends = [
      { at: 'before', how: 'lost its connection' },
      { at: 'after', how: 'lost its connection' },
      { at: 'after', how: 'got a reset of its connection' },
    ] as const;
    for (const { at, how } of ends) {
      for (let step = 1; step <= 12; step++) {
        await services.reset();
        const hold = a.proxy.holdCommand(step, at);
        const call = increment(a);
        const command = await heldCommand(hold, call, a.subject);
        if (!command) {
          hold.release();
          expect(await services.settledValue(), `value in the table, from ${start}, after an undisturbed call`).toBe(
            start + 1,
          );
          break;
        }
        // Whatever A asks next waits until B has called, so what A knew before is out of date.
        const comeback = a.proxy.holdCommand(1, 'before');
        if (how === 'got a reset of its connection') hold.drop({ byReset: true });
        else if (at === 'after') await admin.query(`KILL ${command.threadId}`);
        else hold.drop();
        await until(
          async () => !a.proxy.threadIds.concat(await services.database.sessions()).includes(command.threadId),
        );
        hold.release();
        await heldCommand(comeback, call, a.subject);
        const meanwhile = increment(b);
        await standstillOf(meanwhile, b.session, admin);
        comeback.release();
        const outcomes = await Promise.all([call, meanwhile]);
        const counted = (await services.settledValue())! - start;
        const next = await increment(a);

        const [outcome, other] = outcomes;
        const values = valuesOf(outcomes);
        const what = `A ${how} ${at} the server ran statement ${step}, ${command.sql}; B made a call before A went on\n`;
        if ('error' in outcome)
          expect([0, 1], `${what}increments of A's call, which failed: ${outcome.error}`).toContain(
            counted - valuesOf([other]).length,
          );
        else
          expect({ values, counted }, `${what}values returned, from ${start}, and increments in the table`).toEqual({
            values: valuesFromStart(values.length),
            counted: values.length,
          });
        expect(next, `${what}the next call of A, from ${start + counted}`).toEqual({ value: start + counted + 1 });
      }
    }
    await expectToConnectAgain(a, services);
  });

  test('A deadlock or a lock wait timeout must be retried and must not reach the caller.', async ({ services }) => {
    // The other session's increment comes first, so a value that was read before the refusal is out of date.
    const counted = { outcome: { value: start + 2 }, inTable: start + 2 };
    expect(
      await callThatTimesOut(services),
      `another session held the row until the server ended this call's wait, and then incremented it; the call, from ${start}`,
    ).toEqual(counted);
    for (const [at, seen] of (await callsInDeadlock(services)).entries())
      expect(
        seen,
        `the server ended this call's deadlock with another session, which then incremented the row; call ${at + 1} of ${manyCalls}, from ${start}`,
      ).toEqual(counted);
  });
});

/** The connections are lost, and so is the one that the module makes after that, before the server has let it in. */
async function expectToConnectAgain(a: Service, services: Services): Promise<void> {
  await services.reset();
  const stall = a.proxy.stallAfter(0);
  a.proxy.drop();
  await a.subject.turns(20);
  const calls: Promise<Outcome>[] = [];
  // A call may fail because the module has not noticed yet.
  for (let made = 0; made < someCalls && !a.proxy.pending.connecting; made++) {
    let isOver = false;
    calls.push(increment(a).finally(() => (isOver = true)));
    await until(() => a.proxy.pending.connecting || isOver);
  }
  a.proxy.drop();
  stall.release();
  await Promise.all(calls);

  const later: Outcome[] = [];
  let counted = 0;
  do {
    await a.subject.turns(20);
    counted = (await services.settledValue())! - start;
    later.push(await increment(a));
  } while ('error' in later.at(-1)! && later.length < someCalls);
  const what = `A lost its connections, and a new one before the server had let it in; then the server could be reached again, and A made ${later.length} more calls${failuresOf(later)}`;
  expect(later.at(-1), `${what}; the last one, from ${start + counted}`).toEqual({ value: start + counted + 1 });
}

interface CallsAtOnce extends Pick<Schedule<Outcome, Outcome[]>, 'first' | 'early'> {
  readonly outcomes: readonly Outcome[];
  readonly value: number | undefined;
  readonly what: string;
}

/** Three to five calls at once in one process, the first one stopped at each statement, with a small and a large pool. */
async function callsAtOnce(services: Services): Promise<CallsAtOnce[]> {
  const seen: CallsAtOnce[] = [];
  const settings = [
    { name: 'A', connections: 3, calls: fewCalls },
    { name: 'L', connections: 10, calls: 4 },
  ];
  for (const { name, connections, calls } of settings) {
    const a = await services.running(name, { connectionLimit: connections });
    await services.reset();
    for await (const schedule of explore({
      first: { ...a.session, call: () => increment(a) },
      others: { ...a.session, call: () => a.subject.run(incrementAtOnce, { id, calls }) },
      admin: services.database.admin,
      reset: services.reset,
      points,
      whenAnswered: () => services.committedValue(),
    })) {
      const { first, others, step, at, timeline } = schedule;
      const outcomes = [first, ...others];
      const what = `${outcomes.length} calls at once with a pool of ${connections}; one was stopped ${at} its statement ${step}${failuresOf(outcomes)}\n${timeline}\n`;
      seen.push({ ...schedule, outcomes, value: await services.settledValue(), what });
    }
  }
  return seen;
}

/** A call that returns a value must have committed it, even while one of its statements is stopped. */
function expectNotEarly({ first, early }: Pick<Schedule<Outcome, unknown>, 'first' | 'early'>, what: string): void {
  if (early === undefined || !('value' in first)) return;
  expect(early, `${what}the stopped call had returned ${first.value}; value in the table at that moment`).toBe(
    first.value,
  );
}

/** A call may fail, but then it must not count. */
function expectNothingLost(outcomes: readonly Outcome[], value: number | undefined, what: string): void {
  const values = valuesOf(outcomes);
  expectThat(values.length > 0, `${what}no call returned a value${failuresOf(outcomes)}`);
  expect(values, `${what}values returned, from ${start}`).toEqual(valuesFromStart(values.length));
  expect(value, `${what}value in the table, from ${start}, after ${values.length} calls returned`).toBe(
    start + values.length,
  );
}

const incrementAndCommit = 'UPDATE counters SET value = value + 1 WHERE id = ?; COMMIT';

/** A rival holds the row until the server ends the call's wait, and increments it before the module hears of it. */
async function callThatTimesOut(services: Services) {
  await using a = await services.open('A', {
    connectionLimit: 1,
    greeting: 'SET SESSION innodb_lock_wait_timeout = 1',
  });
  await services.reset();
  await using rival = await services.database.connect();
  await rival.query('START TRANSACTION');
  await rival.query('SELECT value FROM counters WHERE id = ? FOR UPDATE', [id]);
  const outcome = await incrementUntilRefused(a, () => rival.query(incrementAndCommit, [id]));
  return { outcome, inTable: await services.settledValue() };
}

/**
 * A rival holds the place of the new value in an index, and then asks for the row. So even a single UPDATE, which needs
 * both, is in a deadlock. InnoDB ends the lighter transaction: the rival has written more. That happens to one call after the other,
 * up to the first that fails.
 */
async function callsInDeadlock(services: Services) {
  const { admin } = services.database;
  // An open transaction would keep the index from being made.
  await services.end();
  const rows = Array.from({ length: 200 }, (_, n) => `(${n})`).join();
  await admin.query(`CREATE TABLE gravel (n INT); INSERT INTO gravel VALUES ${rows}; CREATE TABLE ballast (n INT)`);
  await admin.query('CREATE INDEX by_value ON counters (value)');
  await using a = await services.open('A');
  await using rival = await services.database.connect();
  const seen: { outcome: Outcome; inTable: number | undefined }[] = [];
  while (seen.length < manyCalls) {
    await services.reset();
    await rival.query('START TRANSACTION; INSERT INTO ballast SELECT n FROM gravel');
    await rival.query('SELECT value FROM counters FORCE INDEX (by_value) WHERE value > ? FOR UPDATE', [start]);
    const call = incrementUntilRefused(a, () => rival.query(incrementAndCommit, [id]));
    const isWaiting = await until(async () => (await waitingThreads(admin, a.proxy.threadIds)).size > 0);
    expectThat(isWaiting, `call ${seen.length + 1} never waited for the row that another session held`);
    await rival.query('SELECT value FROM counters WHERE id = ? FOR UPDATE', [id]);
    seen.push({ outcome: await call, inTable: await services.settledValue() });
    if ('error' in seen.at(-1)!.outcome) break;
  }
  return seen;
}

/** Makes a call and runs `then` when the server refuses one of its statements for a lock, before the module hears of it. */
async function incrementUntilRefused(service: Service, then: () => Promise<unknown>): Promise<Outcome> {
  const refusal = service.proxy.holdError(lockErrors);
  const call = increment(service);
  await settles(Promise.race([refusal.reached, call]), 8000);
  await then();
  refusal.release();
  return await call;
}

/** Increments by process, schedule by schedule, beside what the table holds. */
function chartOfIncrements() {
  const [byA, byBoth, counted]: [number, number][][] = [[], [], []];
  chart({
    title: 'Increments by process',
    unit: 'increments',
    xLabel: 'statement of A after which it was stopped while B ran',
    series: [
      { name: 'returned by A', points: byA! },
      { name: 'returned by A and B', points: byBoth! },
      { name: 'counted in the table', points: counted! },
    ],
    limit: { label: 'one call of each', y: 2 },
  });
  return (step: number, a: Outcome, b: Outcome, value: number) => {
    byA!.push([step, valuesOf([a]).length]);
    byBoth!.push([step, valuesOf([a, b]).length]);
    counted!.push([step, value - start]);
  };
}
