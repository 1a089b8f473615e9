import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { waitingThreads } from '../../helpers/instruments/mysql/lock-waits.ts';
import { type Session, explore } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import type { TestDatabase } from '../../helpers/instruments/mysql/test-database.ts';
import { useTestDatabase } from '../../helpers/instruments/mysql/use-test-database.ts';
import { chart } from '../../helpers/judging/verdict/chart.ts';
import { prepareSubjects, showPrinted, startSubject } from '../../helpers/judging/subject/start-subject.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import type * as Kata from '../../katas/race-condition/race-condition.ts';

/** Both counters' value before each schedule. */
const start = 100;
/** A pool smaller than the number of calls at once: more than one call meets on a connection. */
const connectionLimit = 3;
/** Lock wait timeout, deadlock, and what NOWAIT meets. */
const lockErrors = [1205, 1213, 3572];

prepareSubjects('race-condition');
/** For what takes its time and must not be in the way of the rest. */
const aside = await newDatabase();
/** A call whose row is locked until the server ends its wait: a second at least, so it is begun before all else. */
const waitedInVain = beginLockWaitTimeout();
await settles(waitedInVain.begun);
const database = await newDatabase();
const { admin } = database;

describe('core', () => {
  test('No increment is lost when five calls run at once in one process.', async () => {
    for (const { step, calls, value, timeline } of await fiveCallsAtOnce()) {
      const answered = answers(calls).length;
      const what = `five calls at once, one of them stopped for a while after its statement ${step}; ${answered} were answered${refusals(calls)}\n${timeline}\n`;
      expect(answered, `${what}calls answered of five`).toBeGreaterThan(0);
      expect(value, `${what}value in the table, from ${start}`).toBe(start + answered);
    }
  });

  test('Each of five calls at once is answered with the value that it made: one more each time, no value twice.', async () => {
    for (const { step, calls, timeline } of await fiveCallsAtOnce()) {
      const what = `five calls at once, one of them stopped for a while after its statement ${step}${refusals(calls)}\n${timeline}\n`;
      expect(answers(calls), `${what}answers, from ${start}`).toEqual([101, 102, 103, 104, 105]);
    }
  });
});

describe('robust', () => {
  test('Nothing is lost and no value given twice between two processes, whatever statement the other one is at.', async () => {
    const { drawn } = chartOfIncrements();
    const [a, b] = await services('A', 'B');

    const schedules = explore({
      first: { ...a, call: () => increment(a, 'a') },
      others: { ...b, call: () => increment(b, 'a') },
      admin,
      reset,
    });

    for await (const { step, first, others, timeline } of schedules) {
      drawn(step, answers([first]).length, answers([others]).length, (await valueOf('a'))! - start);
      const what = `process A stopped for a while after its statement ${step}, and B ran${refusals([first, others])}\n${timeline}\n`;
      await expectNothingLost([first, others], what);
    }

    const strays = async () => await sessionsAround([a, b]);
    await until(async () => (await strays()).length === 0);
    expect(await strays(), 'sessions of the module that reached the server around the way that it was given').toEqual(
      [],
    );

    await reset();
    const crowd = await Promise.all([incrementAtOnce(a, 'a', 8), incrementAtOnce(b, 'a', 8)]);
    await expectNothingLost(crowd.flat(), 'two processes with eight calls each, all at once\n');
  });

  test('A statement that fails leaves no lock and no connection behind.', async () => {
    onTestFinished(allowWrites);
    const [a, b] = await services('A', 'B');

    await refuseWrites('disk full');
    const failed = [];
    for (let call = 0; call <= connectionLimit; call++) failed.push(await increment(a, 'a'));
    const freed = await until(rowIsFree);
    expect(
      failed,
      `${connectionLimit + 1} calls with a pool of ${connectionLimit} connections while every write fails`,
    ).toEqual(failed.map(() => ({ error: expect.stringContaining('disk full') })));
    expect(freed, `the row is free again after ${connectionLimit + 1} calls failed`).toBe(true);

    await allowWrites();
    expect(await increment(b, 'a'), `after the failed calls, one of another process, from ${start}`).toEqual({
      value: start + 1,
    });
    expect(await increment(a, 'a'), `and one of the same process`).toEqual({ value: start + 2 });
  });

  test('An unknown id is refused with an error that names it, and no counter is made.', async () => {
    const [a] = await services('A');

    const refused = [];
    for (let call = 0; call <= connectionLimit; call++) refused.push(await increment(a, 'no-such-counter'));
    const next = await increment(a, 'a');

    expect(
      refused,
      `${connectionLimit + 1} calls for the unknown id no-such-counter, with a pool of ${connectionLimit} connections`,
    ).toEqual(refused.map(() => ({ error: expect.stringContaining('no-such-counter') })));
    expect(await valueOf('no-such-counter'), 'value of the unknown counter in the table').toBeUndefined();
    expect(next, `the next call, for a known id, from ${start}`).toEqual({ value: start + 1 });
  });

  test('close() leaves no connection open.', async () => {
    // A new one, whose first calls come all at once.
    await using a = await open('A');

    const calls = await incrementAtOnce(a, 'a', 4);
    expect(answers(calls).length, `four calls at once${refusals(calls)}; answered`).toBeGreaterThan(0);
    const before = a.proxy.threadIds.length;
    await a.subject.evaluate((_kata, _args, kept) => kept.counter.close());
    await until(() => a.proxy.threadIds.length === 0);

    expect(a.proxy.threadIds.length, `four calls at once opened ${before} connections; still open after close()`).toBe(
      0,
    );
  });
});

describe('stretch', () => {
  test('An increment never waits for one of another id.', async () => {
    const [a, b] = await services('A', 'B');

    for (const other of [b, a]) {
      const schedules = explore({
        first: { ...a, call: () => increment(a, 'a') },
        others: { ...other, call: () => increment(other, 'b') },
        admin,
        reset,
        standstill: async (call) => ((await settles(call)) ? 'done' : 'not done'),
      });

      for await (const { step, others, standstill, timeline } of schedules) {
        const what = `a call for "a" stopped for a while after its statement ${step}; meanwhile one for "b" in ${other === a ? 'the same' : 'another'} process\n${timeline}\n`;
        expect(standstill, `${what}the call for "b" was`).toBe('done');
        expect(others, `${what}its outcome`).toEqual({ value: expect.any(Number) });
      }
    }
  });

  test('When its connection is killed, a call fails or counts exactly once, and the next call works.', async () => {
    await using a = await open('A');

    for (let step = 1; step <= 12; step++) {
      await reset();
      const hold = a.proxy.holdCommand(step);
      const call = increment(a, 'a');
      const command = await Promise.race([hold.reached, call.then(() => undefined)]);
      if (!command) {
        expect(await valueOf('a'), `a call whose connection was left alone, from ${start}; value in the table`).toBe(
          start + 1,
        );
        break;
      }
      await admin.query(`KILL ${command.threadId}`);
      await until(() => !a.proxy.threadIds.includes(command.threadId));
      hold.release();
      const outcome = await call;
      const counted = (await valueOf('a'))! - start;
      const next = await increment(a, 'a');

      const what = `its connection was killed after statement ${step}, ${command.sql}\nthe call ${'error' in outcome ? `failed: ${outcome.error}` : `was answered ${outcome.value}`}\n`;
      if ('error' in outcome) expect(counted, `${what}times that it counted`).toBeLessThanOrEqual(1);
      else
        expect({ ...outcome, counted }, `${what}its answer, from ${start}, and the times that it counted`).toEqual({
          value: start + 1,
          counted: 1,
        });
      expect(next, `${what}the next call, from ${start + counted}`).toEqual({ value: start + counted + 1 });
    }
  });

  test('A deadlock or a lock wait timeout is tried again and never surfaces.', async () => {
    // Not while the deadlock is made: with each new wait InnoDB puts off its look for those that are over, by half a second.
    expect(
      await waitedInVain.outcome,
      `another session held the row until this call's lock wait timeout, then let go; the call, from ${start}`,
    ).toEqual({ value: start + 1 });

    // Nobody's transaction may stand in the way of the new index.
    await endServices();
    await prepareDeadlock();
    await using a = await open('A');
    await reset();
    await using rival = await database.connect();
    // InnoDB ends the lighter of two transactions in a deadlock: the rival writes enough to be the heavier one.
    await rival.query('START TRANSACTION; INSERT INTO ballast SELECT n FROM gravel');
    await rival.query(`SELECT value FROM counters FORCE INDEX (by_value) WHERE value > ${start} FOR UPDATE`);
    const call = incrementUntilRefused(a, () => rival.query('ROLLBACK'));
    const met = await until(async () => (await waitingThreads(admin, a.proxy.threadIds)).size > 0);
    expect(met, 'the call came to wait for the rival, as this test needs it').toBe(true);
    await rival.query("SELECT value FROM counters WHERE id = 'a' FOR UPDATE");
    expect(await call, `this call was ended by a deadlock with another session; the call, from ${start}`).toEqual({
      value: start + 1,
    });
  });
});

/** Increments by process, schedule by schedule: what was answered, against what the table holds. */
function chartOfIncrements() {
  const [byA, byBoth, counted] = [[], [], []] as [number, number][][];
  chart({
    title: 'Increments by process',
    unit: 'increments',
    xLabel: 'statement of A after which it stood still while B ran',
    series: [
      { name: 'answered by A', points: byA! },
      { name: 'answered by A and B', points: byBoth! },
      { name: 'counted in the table', points: counted! },
    ],
    limit: { label: 'one call of each', y: 2 },
  });
  return {
    drawn(step: number, a: number, b: number, inTable: number) {
      byA!.push([step, a]);
      byBoth!.push([step, a + b]);
      counted!.push([step, inTable]);
    },
  };
}

/** How a call went. */
type Outcome = { readonly value: number } | { readonly error: string };

interface Party extends Session, AsyncDisposable {
  readonly subject: Subject<typeof Kata, { counter: Kata.Counter }>;
}

interface FiveCalls {
  readonly step: number;
  readonly calls: readonly Outcome[];
  readonly value: number | undefined;
  readonly timeline: string;
}

/** Five calls at once in one process, under every schedule; both core promises are about them. */
const fiveCallsAtOnce = once(async (): Promise<FiveCalls[]> => {
  const [a] = await services('A');
  const seen: FiveCalls[] = [];
  for await (const { step, first, others, timeline } of explore({
    first: { ...a, call: () => increment(a, 'a') },
    others: { ...a, call: () => incrementAtOnce(a, 'a', 4) },
    admin,
    reset,
  })) {
    seen.push({ step, calls: [first, ...others], value: await valueOf('a'), timeline });
  }
  return seen;
});

/** What goes wrong here is told by the promise that waits for the outcome. */
function beginLockWaitTimeout(): { begun: Promise<void>; outcome: Promise<Outcome> } {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const attempt = async () => {
    await using a = await open('A', aside, 'SET SESSION innodb_lock_wait_timeout = 1');
    await using rival = await aside.connect();
    await rival.query("START TRANSACTION; SELECT value FROM counters WHERE id = 'a' FOR UPDATE");
    begin();
    return await incrementUntilRefused(a, () => rival.query('ROLLBACK'));
  };
  const outcome = attempt().finally(begin);
  outcome.catch(() => undefined);
  return { begun, outcome };
}

const serving = new Map<string, Party>();

async function newDatabase(): Promise<TestDatabase> {
  const made = await useTestDatabase('race-condition');
  await made.admin.query(`INSERT INTO counters VALUES ('a', ${start}), ('b', ${start})`);
  return made;
}

async function open(name: string, where = database, greeting?: string): Promise<Party> {
  const proxy = await where.proxy(name, greeting);
  const subject = await startSubject<typeof Kata, { counter: Kata.Counter }>('race-condition');
  await subject.evaluate(
    (kata, account, kept) => {
      kept.counter = kata.createCounter(account);
    },
    await subject.addressInside(where.accountOptions(proxy, connectionLimit)),
  );
  const party = {
    proxy,
    subject,
    async [Symbol.asyncDispose]() {
      await subject[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
  // Its first connection is open before anything is counted.
  await increment(party, 'b');
  return party;
}

/**
 * Processes that serve from promise to promise, as a service does, for as long as they keep them. After a promise that
 * one breaks, the next test gets new ones, so that no promise pays for another.
 *
 * The rows are set back when all of them are open and none is at work: else MariaDB may meet a transaction that read a
 * row and goes on to write it while the reset waits for it, and end the reset with a deadlock.
 */
async function services<const Names extends readonly string[]>(...names: Names) {
  const parties = await Promise.all(
    names.map(async (name) => {
      const known = serving.get(name);
      const party = known?.subject.alive ? known : await open(name);
      serving.set(name, party);
      showPrinted(party.subject);
      return party;
    }),
  );
  await reset();
  return parties as { [Name in keyof Names]: Party };
}

async function endServices(): Promise<void> {
  const ended = [...serving.values()];
  serving.clear();
  await Promise.all(ended.map((party) => party[Symbol.asyncDispose]()));
}

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await endServices();
});
afterAll(endServices);

/** Calls at once from one process; how each of them went. */
function incrementAtOnce({ subject }: Pick<Party, 'subject'>, id: string, calls: number): Promise<Outcome[]> {
  return subject.evaluate(
    async (_kata, args, { counter }) => {
      const all = Array.from({ length: args.calls }, async () => counter.increment(args.id));
      const settled = await Promise.allSettled(all);
      return settled.map((one) =>
        one.status === 'fulfilled' ? { value: one.value } : { error: String(one.reason?.message ?? one.reason) },
      );
    },
    { id, calls },
  );
}

async function increment(party: Pick<Party, 'subject'>, id: string): Promise<Outcome> {
  const [outcome] = await incrementAtOnce(party, id, 1);
  return outcome!;
}

/** Calls, and does `then` when the server has refused a statement of it for a lock; the refusal reaches the module after that. */
async function incrementUntilRefused(party: Party, then: () => Promise<unknown>): Promise<Outcome> {
  const refusal = party.proxy.holdError(lockErrors);
  const call = increment(party, 'a');
  await settles(Promise.race([refusal.reached, call]), 8000);
  await then();
  refusal.release();
  return await call;
}

async function expectNothingLost(calls: readonly Outcome[], what: string): Promise<void> {
  const given = answers(calls);
  expect(given.length, `${what}calls answered of ${calls.length}`).toBeGreaterThan(0);
  expect(await valueOf('a'), `${what}value in the table, from ${start}, with ${given.length} calls answered`).toBe(
    start + given.length,
  );
  expect(given, `${what}answers`).toEqual([...new Set(given)]);
}

/** Thread ids of the module's account that none of these processes' proxies has seen. */
async function sessionsAround(parties: readonly Party[]): Promise<number[]> {
  const [rows] = await admin.query<RowDataPacket[]>('SELECT id FROM information_schema.processlist WHERE user = ?', [
    database.name,
  ]);
  const seen = parties.flatMap(({ proxy }) => proxy.threadIds);
  return rows.map((row) => Number(row.id)).filter((id) => !seen.includes(id));
}

function answers(calls: readonly Outcome[]): number[] {
  return calls.flatMap((call) => ('value' in call ? [call.value] : [])).sort((one, other) => one - other);
}

function refusals(calls: readonly Outcome[]): string {
  const errors = calls.flatMap((call) => ('error' in call ? [call.error] : []));
  return errors.length === 0 ? '' : `; ${errors.length} failed: ${errors[0]}`;
}

async function reset(): Promise<void> {
  await admin.query('UPDATE counters SET value = ?', [start]);
}

async function valueOf(id: string): Promise<number | undefined> {
  const [rows] = await admin.query<RowDataPacket[]>('SELECT value FROM counters WHERE id = ?', [id]);
  return rows[0]?.value;
}

async function rowIsFree(): Promise<boolean> {
  try {
    await admin.query("SELECT value FROM counters WHERE id = 'a' FOR UPDATE NOWAIT");
    return true;
  } catch {
    return false;
  }
}

/** From now on every write to the row "a" fails. */
async function refuseWrites(reason: string): Promise<void> {
  for (const write of ['INSERT', 'UPDATE', 'DELETE']) {
    const row = write === 'DELETE' ? 'OLD' : 'NEW';
    await admin.query(
      `CREATE TRIGGER guard_${write} BEFORE ${write} ON counters FOR EACH ROW IF ${row}.id = 'a' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${reason}'; END IF`,
    );
  }
}

/**
 * An index on the value, so that even a single UPDATE takes two locks, of the row and of the place of its new value: who
 * holds one of them and wants the other makes a deadlock, whatever statements the module uses.
 */
async function prepareDeadlock(): Promise<void> {
  const rows = Array.from({ length: 200 }, (_, n) => `(${n})`).join();
  await admin.query(
    `CREATE TABLE gravel (n INT); INSERT INTO gravel VALUES ${rows}; CREATE TABLE ballast (n INT); CREATE INDEX by_value ON counters (value)`,
  );
}

async function allowWrites(): Promise<void> {
  for (const write of ['INSERT', 'UPDATE', 'DELETE']) await admin.query(`DROP TRIGGER IF EXISTS guard_${write}`);
}
