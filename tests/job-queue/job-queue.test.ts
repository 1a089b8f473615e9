import { describe, expect } from 'vitest';
import type { RowDataPacket } from 'mysql2/promise';
import { settles, until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { waitingThreads } from '../../helpers/instruments/mysql/lock-waits.ts';
import { explore, heldCommand, standstillOf } from '../../helpers/instruments/mysql/schedule-explorer.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/job-queue/job-queue.ts';
import { drawn, newData } from './drawn.ts';
import {
  type ClaimOutcome,
  type Claimed,
  type Deed,
  type Outcome,
  beginOrder,
  claimAtOnce,
  closeQueue,
  endOrder,
  enqueueForOrder,
  failedJobs,
  leaveOrder,
  openQueue,
} from './inside.ts';
import { Pair, type QueueProcess, connectionLimit, failuresOf, idsOf, valueOf } from './pair.ts';

const { leaseMs, retryMs, maxAttempts, worker } = drawn;
const deeds = ['complete', 'fail', 'renew'] as const;
const points = ['after', 'before'] as const;
const deadlock = 1213;
/** Later than any lease or wait may end. */
const farMs = 4 * leaseMs + retryMs * 2 ** maxAttempts;

const test = judge<typeof Kata>('job-queue', { spares: 1 })
  .extend('pairOfFile', { scope: 'file' }, ({ database, subjects }, { onCleanup }) => {
    const pair = new Pair(database, subjects);
    onCleanup(() => pair.end());
    return pair;
  })
  // After a promise that fails, the next test gets new processes.
  .extend('pair', async ({ pairOfFile, task }, { onCleanup }) => {
    onCleanup(async () => {
      if (task.result?.state === 'fail') await pairOfFile.end();
    });
    return pairOfFile;
  });

describe('core', () => {
  test('A job that is due must be claimed once, wherever either of two processes pauses.', async ({ pair }) => {
    const [a, b] = await pair.begin();
    for (const other of [b, a]) {
      let ids: number[] = [];
      for await (const { step, at, first, others, timeline } of explore({
        first: { ...a.session, call: () => a.claim(worker) },
        others: { ...other.session, call: () => other.subject.run(claimAtOnce, [worker, worker]) },
        admin: pair.database.admin,
        reset: async () => {
          await pair.restart();
          ids = await pair.insert(4);
        },
        points,
      })) {
        const where = other === a ? 'the same' : 'another';
        const what = `a claim was stopped ${at} its statement ${step}; meanwhile 2 claims in ${where} process`;
        await expectEachOnce(b, ids, [first, ...others], `${what}\n${timeline}\n`);
      }
    }

    await pair.restart();
    const ids = await pair.insert(12);
    const outcomes = await Promise.all(
      [a, b].map(({ subject }) =>
        subject.run(
          claimAtOnce,
          Array.from({ length: 8 }, () => worker),
        ),
      ),
    );
    await expectEachOnce(b, ids, outcomes.flat(), '8 claims at once in each of two processes: ');
  });

  test('claim must return the due job with the earliest runAt, then the one enqueued first; undefined if none is due.', async ({
    pair,
  }) => {
    const processes = await pair.begin();
    const jobs = [];
    for (const [index, waitMs] of drawn.waitsMs.entries()) {
      const data = drawn.data[index];
      // A time of 0 is a time as well.
      const runAt = index === 7 ? 0 : waitMs === undefined ? undefined : pair.startMs + waitMs;
      const id = valueOf(await processes[index % 2]!.enqueue(data, runAt), 'enqueue');
      jobs.push({ id, data, runAt: runAt ?? pair.startMs, index });
    }
    expect(new Set(jobs.map(({ id }) => id)).size, `different ids of ${jobs.length} jobs`).toBe(jobs.length);

    jobs.sort((one, other) => one.runAt - other.runAt || one.index - other.index);
    for (const waitMs of [0, 1, 89, 90]) {
      await pair.at(waitMs);
      for (let claims = 0; ; claims++) {
        const job = valueOf(await processes[claims % 2]!.claim(), 'claim');
        const due = jobs[0] && jobs[0].runAt <= pair.startMs + waitMs ? jobs.shift() : undefined;
        const what = `${waitMs} ms after jobs were enqueued that are due 70 ms ago to in 90 ms, claim returned`;
        expect(job && { id: job.id, data: job.data, attempt: job.attempt }, what).toEqual(
          due && { id: due.id, data: due.data, attempt: 1 },
        );
        if (!due) break;
      }
    }
  });

  test('A completed job must never be claimed again.', async ({ pair }) => {
    const [a, b] = await pair.begin();
    await pair.insert(3);
    const jobs = [await a.claimOne('3 jobs'), await b.claimOne('3 jobs'), await a.claimOne('3 jobs')];
    expect(await b.act('complete', jobs[1]!), 'complete returned').toEqual({ value: true });
    expect(await a.act('complete', jobs[2]!), 'complete returned').toEqual({ value: true });
    await b.expectNone('2 of 3 jobs are completed, the third one is claimed');

    await pair.at(leaseMs + 5);
    const again = await b.claimOne('the lease of the third job has ended');
    expect(again.id, 'the job that was claimed again, when 2 of 3 were completed').toBe(jobs[0]!.id);
    expect(await b.act('complete', again), 'complete returned').toEqual({ value: true });
    await pair.at(farMs);
    await b.expectNone('all jobs are completed');
    expect(await a.subject.run(failedJobs), 'failedJobs, when all jobs are completed').toEqual([]);
  });
});

describe('robust', () => {
  test('A job must be due again when its lease ends, and no earlier; renew must prolong only that lease.', async ({
    pair,
  }) => {
    const [a, b] = await pair.begin();
    await pair.insert(3);
    const [lost, renewed, done] = [await a.claimOne('3 jobs'), await a.claimOne('3 jobs'), await a.claimOne('3 jobs')];
    const renewedMs = Math.floor(leaseMs / 3);
    await pair.at(renewedMs);
    for (const job of [renewed, done])
      expect(await a.act('renew', job), 'renew, after a third of the lease').toEqual({ value: true });
    await pair.at(leaseMs - 1);
    await b.expectNone(`${leaseMs - 1} ms after 3 jobs were claimed, with leaseMs ${leaseMs}`);
    await pair.at(leaseMs);
    const what = `${leaseMs} ms after one worker claimed 3 jobs, and renewed 2 of them`;
    expect(await b.claimOne(what), what).toMatchObject({ id: lost.id, data: lost.data, attempt: 2 });
    await b.expectNone(`${what}, and the first was claimed again`);
    expect(await a.act('complete', done), `${what}: complete for one of these 2`).toEqual({ value: true });

    const lastMs = renewedMs + leaseMs - 1;
    await pair.at(lastMs);
    await b.expectNone(`${leaseMs - 1} ms after renew`);
    expect(await a.act('renew', renewed), 'a second renew, in the last ms of the lease').toEqual({ value: true });
    await pair.at(lastMs + 1);
    await b.expectNone('1 ms after the second renew');
    await pair.at(lastMs + leaseMs);
    const seen = (await b.claimInTurn(4)).map((outcome) => valueOf(outcome, 'claim'));
    expect(
      seen.map((job) => ({ id: job?.id, attempt: job?.attempt })),
      `${leaseMs} ms after the second renew, jobs that were claimed, in any order`,
    ).toEqual(expect.arrayContaining([{ id: renewed.id, attempt: 2 }]));
    expect(
      seen.map((job) => job?.id).filter((id) => id === done.id),
      'claims of a completed job',
    ).toEqual([]);

    await pair.restart();
    await pair.insert(1);
    await failOften(pair, a, { from: 1, to: maxAttempts - 1 });
    const last = valueOf(await a.claim(), 'claim');
    // How many attempts there are is promise 7's business.
    if (last?.attempt !== maxAttempts) return;
    await pair.at(maxAttempts * farMs + renewedMs);
    expect(await a.act('renew', last), 'renew, in the last attempt').toEqual({ value: true });
    await pair.at(maxAttempts * farMs + leaseMs + 1);
    await b.expectNone('the last attempt was renewed');
    const late = `complete for the last attempt, ${leaseMs + 1} ms after its claim and ${leaseMs + 1 - renewedMs} ms after renew`;
    expect(await a.act('complete', last), late).toEqual({ value: true });
  });

  test('Once a claim has ended, complete, fail and renew must return false and change nothing.', async ({ pair }) => {
    const [a, b] = await pair.begin();
    for (const deed of deeds) {
      await expectNothingAfterComplete(pair, a, b, deed);
      await expectNothingAfterFail(pair, a, b, deed);
      for (const next of [worker, `another ${worker}`]) await expectNothingAfterNextClaim(pair, a, b, deed, next);
      await expectOneOfTwo(pair, a, b, deed);
      for (const end of ['complete', 'fail'] as const) if (deed !== end) await expectEndStays(pair, a, b, deed, end);
    }
    await expectFirstClaimsDiffer(pair);
  });

  test('When attempt n fails, the job must be due again after retryMs × 2^(n−1), and no earlier.', async ({ pair }) => {
    const processes = await pair.begin();
    const [id] = await pair.insert(1);
    let nowMs = 0;
    let job = await processes[0].claimOne('a new job');
    const { data } = job;
    for (let attempt = 1; attempt < maxAttempts; attempt++) {
      const [one, other] = attempt % 2 === 1 ? processes : processes.toReversed();
      nowMs += 7;
      await pair.at(nowMs);
      expect(await one!.act('fail', job), `fail, in attempt ${attempt} of ${maxAttempts}`).toEqual({ value: true });
      const delayMs = retryMs * 2 ** (attempt - 1);
      const what = `after attempt ${attempt} failed, with retryMs ${retryMs}`;
      await other!.expectNone(`at once ${what}`);
      await pair.at(nowMs + delayMs - 1);
      await other!.expectNone(`${delayMs - 1} ms ${what}`);
      nowMs += delayMs;
      await pair.at(nowMs);
      job = await other!.claimOne(`${delayMs} ms ${what}`);
      expect(job, `${delayMs} ms ${what}`).toMatchObject({ id, data, attempt: attempt + 1 });
    }

    const [a, b] = await pair.begin();
    await pair.insert(1);
    await a.claimOne('a new job');
    await pair.at(leaseMs + 5);
    const second = await b.claimOne('a lease has ended');
    expect(await b.act('fail', second), 'fail, in attempt 2').toEqual({ value: true });
    await pair.at(leaseMs + 5 + 2 * retryMs - 1);
    await a.expectNone(`attempt 1 lost its lease, attempt 2 failed ${2 * retryMs - 1} ms ago, with retryMs ${retryMs}`);

    await expectDelayHolds(pair, a, b);
    await expectLongDelays(pair);
  });

  test('A job whose last attempt failed must be set aside with its error; a lost lease counts, too.', async ({
    pair,
  }) => {
    const [a, b] = await pair.begin();
    const [poison] = await pair.insert(1);
    const data = await failOften(pair, a, { from: 1, to: maxAttempts - 1 });
    expect(await b.subject.run(failedJobs), `failedJobs, after ${maxAttempts - 1} of ${maxAttempts} attempts`).toEqual(
      [],
    );
    const last = await a.claimOne(`${maxAttempts - 1} of ${maxAttempts} attempts have failed`);
    expect(last.attempt, 'number of the last attempt').toBe(maxAttempts);
    const message = `mailbox of ${worker} is full`;
    expect(await a.act('fail', last, message), 'fail, in the last attempt').toEqual({ value: true });
    const setAside = { id: poison, data, error: expect.stringContaining(message) };
    expect(await b.subject.run(failedJobs), 'failedJobs, after the last attempt').toEqual([setAside]);
    const againMs = 10 * farMs;
    await pair.at(againMs);
    await b.expectNone('the job is set aside');

    const lost = await pair.insert(2);
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      await pair.at(againMs + (attempt - 1) * (leaseMs + 5));
      for (const _ of lost) {
        const job = await a.claimOne(`${attempt - 1} leases have ended`, `${worker}-${attempt}`);
        expect(job.attempt, `attempt, after ${attempt - 1} leases have ended`).toBe(attempt);
      }
    }
    const endMs = againMs + maxAttempts * (leaseMs + 5);
    await pair.at(endMs - 2);
    const healthy = await a.enqueueNew();
    await pair.at(endMs);
    const next = await b.claimOne(`2 jobs have lost the leases of all ${maxAttempts} attempts, and a new job is due`);
    expect(next.id, 'the job that was claimed then').toBe(healthy);
    await b.expectNone('the new job is claimed');
    const failed = (await a.subject.run(failedJobs)).toSorted((one, other) => one.id - other.id);
    expect(
      failed.map(({ id, error }) => ({ id, error })),
      `failedJobs, after the last worker, ${worker}-${maxAttempts}, lost its leases`,
    ).toEqual([
      { id: poison, error: expect.stringContaining(message) },
      ...lost.map((id) => ({ id, error: expect.stringContaining(`${worker}-${maxAttempts}`) })),
    ]);
    expect(await b.act('complete', next), 'complete for the new job').toEqual({ value: true });

    await expectLastEndCounts(pair, a, b);
  });

  test('A deadlock must be retried and must not reach the caller.', async ({ pair, onTestFinished }) => {
    const [a, b] = await pair.begin();
    const { admin } = pair.database;
    await makeHeavyRows(pair);
    await admin.query('CREATE INDEX by_all ON jobs (error(1), token, worker, lease_until, attempts, run_at, state)');
    onTestFinished(async () => void (await admin.query('DROP INDEX by_all ON jobs')));
    const lock = 'SELECT run_at FROM jobs FORCE INDEX (by_all) LOCK IN SHARE MODE';
    const ask = 'SELECT id FROM jobs FORCE INDEX (PRIMARY) FOR UPDATE';

    // More claims than the pool has connections, so that one that is lost after each deadlock is missed.
    const claims = Array.from({ length: connectionLimit + 1 }, () => 'claim' as const);
    for (const name of ['enqueue', ...claims, ...deeds] as const) {
      await pair.restart();
      if (name !== 'enqueue') await pair.insert(name === 'claim' ? 2 : 1);
      const job = name === 'enqueue' || name === 'claim' ? undefined : await a.claimOne('a new job');
      await pair.at(1);
      // Another worker may take the first job before the module hears of the deadlock.
      let rival: Promise<ClaimOutcome> | undefined;
      const meanwhile = async () => {
        if (name === 'claim') await standstillOf((rival = b.claim()), b, admin);
      };
      const outcome = await inDeadlock(pair, a, { lock, ask, meanwhile }, callOf(a, name, job));
      const what = `the server ended a deadlock of ${name} with another session`;
      const value = valueOf<unknown>(outcome, `${what}: ${name}`);
      if (name === 'claim') {
        const claimed = [value as Claimed | undefined, valueOf(await rival!, `${what}: claim of another process`)];
        expect(
          claimed.map((one) => one?.attempt),
          `${what}, and another process claimed; attempts of the two jobs`,
        ).toEqual([1, 1]);
        expectThat(claimed[0]!.id !== claimed[1]!.id, `${what}; another process claimed the same job meanwhile`);
      } else if (name !== 'enqueue') {
        expect(value, `${what}; ${name} returned`).toBe(true);
      }
      await expectEffect(pair, b, name, what);
    }
  });

  test('When a connection or process is lost at any statement, no job must be lost or come twice.', async ({
    pair,
  }) => {
    const [a, b] = await pair.begin();
    for (const name of ['enqueue', 'claim', ...deeds] as const)
      for (const at of points)
        for (let step = 1; step <= 12 && (await losesConnection(pair, a, b, { name, at, step })); step++);
    for (let step = 1; step <= 12 && (await losesProcess(pair, b, step)); step++);
  });

  test('close must leave no connection open.', async ({ pair }) => {
    await pair.begin();
    await using c = await pair.open('C');
    await pair.insert(4);
    const outcomes = await c.subject.run(claimAtOnce, [worker, worker, worker, worker]);
    expectThat(idsOf(outcomes).length > 0, `none of 4 claims at once returned a job${failuresOf(outcomes)}`);
    const opened = c.proxy.threadIds.length;
    await c.subject.run(closeQueue);
    await until(() => c.proxy.threadIds.length === 0);
    expect(c.proxy.threadIds.length, `of ${opened} connections still open after close`).toBe(0);
  });
});

describe('stretch', () => {
  test('A claim must get another job at once while another claim is paused, also among 10,000 jobs.', async ({
    pair,
  }) => {
    const [a, b] = await pair.begin();
    const putLostJob = await makeLostJob(pair, a);
    await insertMany(pair, 10_000);
    const states = [
      { due: '10,000 jobs are due', reset: async () => undefined, claims: 1 },
      // That a claim may not stop at the lost job is promise 7.
      { due: '10,000 jobs are due, and one more has lost its last lease', reset: putLostJob, claims: 2 },
    ];
    for (const { due, reset, claims } of states) {
      for (const other of [b, a]) {
        for await (const { step, first, others, standstill, timeline } of explore({
          first: { ...a.session, call: () => a.claim() },
          others: { ...other.session, call: () => claimUpTo(other, claims) },
          admin: pair.database.admin,
          reset,
          standstill: async (call, session, admin) => {
            const state = await standstillOf(call, session, admin);
            if (state !== 'idle') return state;
            return (await settles(call)) ? 'done' : 'not done';
          },
        })) {
          const where = other === a ? 'the same' : 'another';
          const what = `${due}; a claim was stopped after its statement ${step}; meanwhile a claim in ${where} process`;
          expect(standstill, `${what}\n${timeline}\nthe second claim was`).toBe('done');
          const job = valueOf(others, `${what}\n${timeline}\nthe second claim`);
          expectThat(job !== undefined, `${what} returned undefined\n${timeline}`);
          expectThat(
            job!.id !== valueOf(first, 'the claim that was stopped')?.id,
            `${what} returned the same job\n${timeline}`,
          );
        }
      }
    }
  });

  test('enqueue on the caller’s connection must take effect exactly if that transaction commits.', async ({ pair }) => {
    const [a, b] = await pair.begin();
    for (const [number, how] of (['commit', 'rollback'] as const).entries()) {
      await pair.restart();
      await pair.database.admin.query('DELETE FROM orders');
      await a.subject.run(beginOrder, number);
      const data = newData();
      const id = valueOf(await a.subject.run(enqueueForOrder, { data }), 'enqueue');
      const later = { data: newData(), runAt: pair.startMs + 50 };
      const laterId = valueOf(await a.subject.run(enqueueForOrder, later), 'enqueue');
      await pair.at(5);
      const early = b.claim();
      const standstill = await standstillOf(early, b, pair.database.admin);
      if (standstill === 'done')
        expect(await early, 'a claim before the caller’s transaction ended').toEqual({ value: undefined });
      expect(await a.subject.run(endOrder, { id: number + 10, how }), `INSERT and ${how} on that connection`).toEqual({
        value: 1,
      });

      const seen = [
        valueOf(await early, 'claim') ?? valueOf(await b.claim(), 'claim'),
        valueOf(await b.claim(), 'claim'),
      ];
      await b.settles();
      await pair.at(55);
      seen.push(valueOf(await b.claim(), 'claim'));
      const jobs = [{ id, data, attempt: 1 }, undefined, { id: laterId, data: later.data, attempt: 1 }];
      expect(
        seen.map((job) => job && { id: job.id, data: job.data, attempt: job.attempt }),
        `two jobs, one of them due 50 ms later; claims after ${how}: two at once, one 50 ms later`,
      ).toEqual(how === 'commit' ? jobs : [undefined, undefined, undefined]);
      const [[row]] = await pair.database.admin.query<RowDataPacket[]>('SELECT COUNT(*) AS orders FROM orders');
      expect(row?.orders, `the caller’s own rows after ${how}`).toBe(how === 'commit' ? 2 : 0);
    }
    await expectDeadlockEndsTheOrder(pair, a, b);
  });
});

type Call = 'enqueue' | 'claim' | Deed;

/** Those jobs, and none twice, have been claimed once `process` has claimed the rest. A claim may fail, but then its job may be missing. */
async function expectEachOnce(
  process: QueueProcess,
  ids: readonly number[],
  outcomes: readonly ClaimOutcome[],
  what: string,
): Promise<void> {
  const all = [...outcomes, ...(await process.claimInTurn(ids.length + 1))];
  const claimed = idsOf(all).toSorted((one, other) => one - other);
  const failures = failuresOf(all);
  const twice = claimed.filter((id, index) => claimed[index - 1] === id);
  expect(twice, `${what}jobs ${ids.join(', ')} were due; those that were claimed twice${failures}`).toEqual([]);
  if (failures === '') expect(claimed, `${what}jobs that were claimed, in the end`).toEqual(ids);
  else expectThat(claimed.length > 0, `${what}no claim returned a job${failures}`);
}

/** A table and one new job, which `process` has claimed. */
async function claimNew(pair: Pair, process: QueueProcess, name = worker): Promise<Claimed> {
  await pair.restart();
  await pair.insert(1);
  return await process.claimOne('a new job', name);
}

async function expectNothingAfterComplete(pair: Pair, a: QueueProcess, b: QueueProcess, deed: Deed): Promise<void> {
  const job = await claimNew(pair, a);
  await a.act('complete', job);
  expect(await a.act(deed, job), `${deed} after complete`).toEqual({ value: false });
  await pair.at(farMs);
  await b.expectNone(`a job was completed, then ${deed} was called for the same claim`);
  expect(await b.subject.run(failedJobs), `failedJobs, after complete and ${deed}`).toEqual([]);
}

async function expectNothingAfterFail(pair: Pair, a: QueueProcess, b: QueueProcess, deed: Deed): Promise<void> {
  let job = await claimNew(pair, a);
  await a.act('fail', job);
  expect(await a.act(deed, job), `${deed} after fail`).toEqual({ value: false });
  await pair.at(3 * retryMs);
  const what = `an attempt failed ${3 * retryMs} ms ago, then ${deed} was called for the same claim`;
  job = await b.claimOne(what);
  expect(job.attempt, `${what}; the attempt that was claimed`).toBe(2);

  const last = await claimNew(pair, a);
  await a.act('fail', last);
  await failOften(pair, a, { from: 2, to: maxAttempts - 1 });
  job = await a.claimOne('the last attempt');
  await a.act('fail', job);
  const before = await b.subject.run(failedJobs);
  expect(await a.act(deed, job, 'a second word'), `${deed} after the last attempt has failed`).toEqual({
    value: false,
  });
  const after = await b.subject.run(failedJobs);
  expect(before.length, 'failedJobs, after the last attempt has failed').toBe(1);
  expect(after, `failedJobs, after the last attempt has failed, and ${deed}`).toEqual(before);
}

/** The lease of a claim has ended, and `next` has claimed the job again. */
async function expectNothingAfterNextClaim(
  pair: Pair,
  a: QueueProcess,
  b: QueueProcess,
  deed: Deed,
  next: string,
): Promise<void> {
  const former = await claimNew(pair, a);
  const againMs = leaseMs + 5;
  await pair.at(againMs);
  const job = await b.claimOne('a lease has ended', next);
  await pair.at(againMs + 3);
  const what = `${next === worker ? 'the same' : 'another'} worker has claimed the job again; ${deed} for the former claim`;
  expect(await a.act(deed, former), what).toEqual({ value: false });
  await pair.at(againMs + leaseMs - 5);
  await a.expectNone(`${what}; before the end of the new lease`);
  expect(await b.act('renew', job), `${what}; then renew for the new claim`).toEqual({ value: true });
  await pair.at(againMs + 2 * leaseMs);
  const third = await a.claimOne(`${what}; the new lease has ended`);
  expect(third.attempt, `${what}; the attempt that was claimed then`).toBe(3);
}

/** A claim whose lease has just ended is ended or renewed while another process claims the job: one of the two takes effect. */
async function expectOneOfTwo(pair: Pair, a: QueueProcess, b: QueueProcess, deed: Deed): Promise<void> {
  let job: Claimed;
  for await (const { step, at, first, others, timeline } of explore({
    first: { ...a.session, call: () => a.act(deed, job) },
    others: { ...b.session, call: () => b.claim() },
    admin: pair.database.admin,
    reset: async () => {
      job = await claimNew(pair, a);
      await pair.at(leaseMs);
    },
    points,
  })) {
    const what = `a lease has just ended; ${deed} was stopped ${at} its statement ${step} while another process claimed\n${timeline}\n`;
    const tookEffect = valueOf(first, `${what}${deed}`);
    const claimed = valueOf(others, `${what}claim`) ?? valueOf(await b.claim(), `${what}claim`);
    expect([true, false], `${what}${deed} returned`).toContain(tookEffect);
    expectThat(!(tookEffect && claimed), `${what}${deed} returned true, and yet the job was claimed`);
    expectThat(tookEffect || claimed !== undefined, `${what}${deed} returned false, and yet the job cannot be claimed`);
  }
}

/** A claim is stopped while another process claims the only job and fails it: the claim must not get the job before its delay. */
async function expectDelayHolds(pair: Pair, a: QueueProcess, b: QueueProcess): Promise<void> {
  const claimAndFail = async () => {
    const outcome = await b.claim();
    return 'value' in outcome && outcome.value ? await b.act('fail', outcome.value) : undefined;
  };
  for await (const { step, first, others, timeline } of explore({
    first: { ...a.session, call: () => a.claim() },
    others: { ...b.session, call: claimAndFail },
    admin: pair.database.admin,
    reset: async () => {
      await pair.restart();
      await pair.insert(1);
    },
  })) {
    // While the first claim is stopped, it may have the job or hold its lock.
    if (!others) continue;
    const what = `a claim was stopped after its statement ${step}; meanwhile another process claimed the job and failed it`;
    expect(valueOf(others, `${what}\n${timeline}\nfail`), `${what}\n${timeline}\nfail returned`).toBe(true);
    const job = 'value' in first ? first.value : undefined;
    expectThat(
      job === undefined,
      `${what}\n${timeline}\nthe first claim returned the job as attempt ${job?.attempt}, ${retryMs} ms early`,
    );
  }
}

/** The delays of a queue whose jobs wait for hours: nothing may shorten them. */
async function expectLongDelays(pair: Pair): Promise<void> {
  await pair.restart();
  await pair.insert(1);
  await using c = await pair.open('C');
  const { longRetryMs } = drawn;
  const settings = { leaseMs, retryMs: longRetryMs, maxAttempts };
  await c.subject.run(openQueue, { mysql: c.account, settings });
  for (let attempt = 1; attempt < maxAttempts; attempt++) {
    await c.setClock(pair.startMs);
    const job = await c.claimOne(`the delay after attempt ${attempt - 1} is over, with retryMs ${longRetryMs}`);
    expect(await c.act('fail', job), `fail, in attempt ${attempt}`).toEqual({ value: true });
    pair.startMs += longRetryMs * 2 ** (attempt - 1);
    await c.setClock(pair.startMs - 1);
    await c.expectNone(`1 ms before the delay after attempt ${attempt} is over, with retryMs ${longRetryMs}`);
  }
}

/** The first claims of two processes, under the same name: the one whose lease has ended must not pass for the other. */
async function expectFirstClaimsDiffer(pair: Pair): Promise<void> {
  await pair.restart();
  await pair.insert(1);
  await using c = await pair.open('C');
  await using d = await pair.open('D');
  const ended = await c.claimOne('a new job', worker);
  await d.setClock(pair.startMs + leaseMs + 5);
  const next = await d.claimOne('a lease has ended', worker);
  const what = 'the job was claimed again, by another process under the same name';
  for (const deed of ['renew', 'fail', 'complete'] as const)
    expect(await c.act(deed, ended), `${what}; ${deed} for the claim before`).toEqual({ value: false });
  expect(await d.act('complete', next), `${what}; complete for the second claim`).toEqual({ value: true });
}

/** One call for a claim is stopped while `end`, for the same claim, runs: only one of the two may end it, and its effect must stay. */
async function expectEndStays(
  pair: Pair,
  a: QueueProcess,
  b: QueueProcess,
  deed: Deed,
  end: 'complete' | 'fail',
): Promise<void> {
  let job: Claimed;
  for await (const { step, at, first, others, timeline } of explore({
    first: { ...a.session, call: () => a.act(deed, job) },
    others: { ...a.session, call: () => a.act(end, job) },
    admin: pair.database.admin,
    reset: async () => void (job = await claimNew(pair, a)),
    points,
  })) {
    const what = `${deed} was stopped ${at} its statement ${step} while the same worker called ${end} for this claim\n${timeline}\n`;
    const [tookEffect, hasEnded] = [valueOf(first, `${what}${deed}`), valueOf(others, `${what}${end}`)];
    if (deed === 'renew') expect(hasEnded, `${what}${end} returned`).toBe(true);
    else expect(hasEnded, `${what}${deed} returned ${tookEffect}, and ${end}`).toBe(!tookEffect);
    if ((hasEnded ? end : deed) === 'complete') {
      await pair.at(farMs);
      await b.expectNone(`${what}complete returned true; then`);
      expect(await b.subject.run(failedJobs), `${what}failedJobs, after complete returned true`).toEqual([]);
    } else {
      await pair.at(3 * retryMs);
      const again = await b.claimOne(`${what}${3 * retryMs} ms after fail returned true`);
      expect(again.attempt, `${what}the attempt that was claimed after fail`).toBe(2);
    }
  }
}

/** Some attempts fail and others lose their lease: `failedJobs` must tell how the last one ended. */
async function expectLastEndCounts(pair: Pair, a: QueueProcess, b: QueueProcess): Promise<void> {
  await pair.restart();
  await pair.insert(1);
  await failOften(pair, a, { from: 1, to: maxAttempts - 1 });
  const lastWorker = `${worker}-last`;
  await a.claimOne('the last attempt', lastWorker);
  await pair.at((maxAttempts + 1) * farMs);
  await b.expectNone('the lease of the last attempt has ended');
  const [lost] = await b.subject.run(failedJobs);
  expect(
    lost?.error,
    `error in failedJobs, after ${maxAttempts - 1} attempts failed and ${lastWorker} lost the last lease`,
  ).toContain(lastWorker);

  await pair.restart();
  await pair.insert(1);
  for (let attempt = 1; attempt < maxAttempts; attempt++) {
    await a.claimOne(`${attempt - 1} leases have ended`);
    await pair.at(attempt * farMs);
  }
  const job = await a.claimOne('the last attempt');
  const message = `mailbox of ${worker} is gone`;
  await a.act('fail', job, message);
  const [failed] = await b.subject.run(failedJobs);
  expect(
    failed?.error,
    `error in failedJobs, after ${maxAttempts - 1} leases have ended and the last attempt failed`,
  ).toContain(message);
}

/** Fails the only job in these attempts, with much time between, and waits until it is due again. Returns its data. */
async function failOften(
  pair: Pair,
  process: QueueProcess,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<unknown> {
  let data: unknown;
  for (let attempt = from; attempt <= to; attempt++) {
    await pair.at(attempt * farMs);
    const job = await process.claimOne(`${attempt - 1} attempts have failed`);
    ({ data } = job);
    await process.act('fail', job, `attempt ${attempt} failed`);
  }
  await pair.at((to + 1) * farMs);
  return data;
}

function callOf(process: QueueProcess, name: Call, job: Claimed | undefined): () => Promise<Outcome<unknown>> {
  return async () => {
    if (name === 'enqueue') return await process.enqueue(newData());
    if (name === 'claim') return await process.claim();
    return await process.act(name, job!);
  };
}

/** What a call that was made 1 ms after the start has done, once. Looks only well before and well after a border. */
async function expectEffect(pair: Pair, b: QueueProcess, name: Call, what: string): Promise<void> {
  if (name === 'enqueue') {
    await pair.at(6);
    await b.claimOne(`${what}; then`);
  } else if (name !== 'complete') {
    if (name !== 'fail') {
      await pair.at(leaseMs - 5);
      await b.expectNone(`${what}; ${leaseMs - 6} ms later`);
    }
    await pair.at(name === 'fail' ? 3 * retryMs : farMs);
    for (let jobs = name === 'claim' ? 2 : 1; jobs > 0; jobs--) {
      const job = await b.claimOne(`${what}; later`);
      expect(job.attempt, `${what}; the attempt that was claimed later`).toBe(2);
    }
  } else {
    await pair.at(farMs);
  }
  await b.expectNone(`${what}; after that`);
}

/** Tables for a transaction that has written so much that a deadlock ends the other one. */
async function makeHeavyRows({ database: { admin } }: Pair): Promise<void> {
  const rows = Array.from({ length: 200 }, (_, n) => `(${n})`).join();
  await admin.query(
    `CREATE TABLE IF NOT EXISTS gravel (n INT); INSERT INTO gravel VALUES ${rows}; CREATE TABLE IF NOT EXISTS ballast (n INT)`,
  );
}

/**
 * Another session locks with `lock`; the call waits for it; `ask` closes the circle, and the server ends the call's transaction.
 * Then comes what happens `meanwhile`; the module hears of its deadlock after that.
 */
async function inDeadlock<T>(
  pair: Pair,
  process: QueueProcess,
  { lock, ask, meanwhile }: { readonly lock: string; readonly ask: string; meanwhile?(): Promise<void> },
  call: () => Promise<T>,
): Promise<T> {
  await using rival = await pair.database.connect();
  await rival.query('START TRANSACTION; INSERT INTO ballast SELECT n FROM gravel');
  await rival.query(lock);
  const refusal = process.proxy.holdError([deadlock]);
  const called = call();
  called.catch(() => undefined);
  const isWaiting = await until(
    async () => (await waitingThreads(pair.database.admin, process.proxy.threadIds)).size > 0,
  );
  expectThat(isWaiting, 'the call did not wait for rows that another session had locked');
  await rival.query(ask);
  await settles(Promise.race([refusal.reached, called]), 8000);
  await rival.query('ROLLBACK');
  await meanwhile?.();
  refusal.release();
  return await called;
}

/** Ends the connection of a call at its statement. Returns false when the call is done before that. */
async function losesConnection(
  pair: Pair,
  a: QueueProcess,
  b: QueueProcess,
  { name, at, step }: { readonly name: Call; readonly at: 'after' | 'before'; readonly step: number },
): Promise<boolean> {
  await pair.restart();
  const ids = name === 'enqueue' ? [] : await pair.insert(1);
  const job = name === 'enqueue' || name === 'claim' ? undefined : await a.claimOne('a new job');
  const hold = a.proxy.holdCommand(step, at);
  const call = callOf(a, name, job)();
  const command = await heldCommand(hold, call, a.subject);
  if (command) {
    if (at === 'after') await pair.database.admin.query(`KILL ${command.threadId}`);
    else hold.drop();
    await until(() => !a.proxy.threadIds.includes(command.threadId));
    await pair.database.sessionsEnd([command.threadId], 'a connection that the judge had ended');
  }
  hold.release();
  const outcome = await call;
  const what = command
    ? `the connection was lost ${at} the server ran statement ${step} of ${name}, ${command.sql}\n${name} ${'error' in outcome ? `failed: ${outcome.error}` : 'did not fail'}; `
    : `${name}, undisturbed: `;
  if (!command) valueOf(outcome, name);

  // Whatever the first call has done, nothing is left to do when a second one has come through.
  const again =
    'error' in outcome && name === 'complete' ? valueOf(await a.act(name, job!), `${what}once more`) : undefined;

  if ('value' in outcome && (name === 'claim' || name === 'renew') && outcome.value) {
    await pair.at(leaseMs - 5);
    await b.expectNone(`${what}before the lease ended`);
  }
  await pair.at(farMs);
  const came = idsOf(await b.claimInTurn(3));
  const took = 'value' in outcome && outcome.value !== false;
  if (name === 'enqueue') {
    if (took) expect(came, `${what}jobs that were claimed in the end`).toEqual([outcome.value]);
    else expectThat(came.length <= 1, `${what}jobs that were claimed in the end: ${came.join(', ')}`);
  } else if (name === 'complete') {
    if (took) expect(came, `${what}jobs that came again in the end`).toEqual([]);
    else expect(came, `${what}the worker called it again, which returned ${again}; jobs that came again`).toEqual([]);
  } else {
    expect(came, `${what}jobs that came again in the end`).toEqual(ids);
  }
  if (command) {
    await a.enqueueNew();
    await pair.at(farMs + 5);
    await a.claimOne(`${what}the next claim of that process, with a new job`);
  }
  return command !== undefined;
}

/** Kills a process while a statement of its `fail` is held. Returns false when the call is done before that. */
async function losesProcess(pair: Pair, b: QueueProcess, step: number): Promise<boolean> {
  await pair.restart();
  const ids = await pair.insert(1);
  const c = await pair.open('C');
  try {
    const job = await c.claimOne('a new job');
    const hold = c.proxy.holdCommand(step, 'after');
    const call = c.act('fail', job);
    call.catch(() => undefined);
    const command = await heldCommand(hold, call, c.subject);
    if (!command) return false;
    const threads = c.proxy.threadIdsSoFar;
    await c.subject[Symbol.asyncDispose]();
    await pair.database.sessionsEnd(threads, 'a process that the judge had killed');
    await pair.at(farMs);
    const came = idsOf(await b.claimInTurn(3));
    expect(came, `a process was killed after statement ${step} of fail, ${command.sql}; jobs that came again`).toEqual(
      ids,
    );
    return true;
  } finally {
    await c[Symbol.asyncDispose]();
  }
}

/** Makes a job that has lost its last lease, if leases end at all. Returns what puts it into the table as it is then. */
async function makeLostJob(pair: Pair, process: QueueProcess): Promise<() => Promise<void>> {
  const { admin } = pair.database;
  await pair.insert(1);
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    await process.claim();
    await process.settles();
    await pair.at(attempt * farMs);
  }
  await admin.query('DROP TABLE IF EXISTS lost; CREATE TABLE lost AS SELECT * FROM jobs; DELETE FROM jobs');
  return async () => void (await admin.query('REPLACE INTO jobs SELECT * FROM lost'));
}

/** Claims until it gets a job or an error, at most so often. */
async function claimUpTo(process: QueueProcess, claims: number): Promise<ClaimOutcome> {
  const outcome = await process.claim();
  const isEmpty = 'value' in outcome && outcome.value === undefined;
  return isEmpty && claims > 1 ? await claimUpTo(process, claims - 1) : outcome;
}

/** Jobs that have become due in the last 10 s, and whose order of time differs from the order of their ids. */
async function insertMany({ database: { admin }, nowMs }: Pair, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) => [
    JSON.stringify(newData()),
    nowMs - ((index * 7919) % 10_007),
  ]);
  await admin.query('INSERT INTO jobs (data, run_at) VALUES ?', [rows]);
  await admin.query('ANALYZE TABLE jobs');
}

/** A deadlock has rolled back the caller's transaction, so `enqueue` must not insert the job outside of it. */
async function expectDeadlockEndsTheOrder(pair: Pair, a: QueueProcess, b: QueueProcess): Promise<void> {
  await pair.restart();
  await makeHeavyRows(pair);
  await a.subject.run(beginOrder, 99);
  const outcome = await inDeadlock(
    pair,
    a,
    { lock: 'SELECT id FROM jobs LOCK IN SHARE MODE', ask: 'SELECT id FROM orders WHERE id = 99 FOR UPDATE' },
    () => a.subject.run(enqueueForOrder, { data: newData() }),
  );
  const what = 'the server ended a deadlock of the caller’s transaction with another session';
  expectThat('error' in outcome, `${what}, and enqueue did not fail`);
  await a.subject.run(leaveOrder);
  await pair.at(5);
  await b.expectNone(what);
}
