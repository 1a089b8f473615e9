import { basename } from 'node:path';
import { describe, expect } from 'vitest';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { Patience } from '../../helpers/judging/subject/patience.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/cluster/cluster.ts';
import { Boss, type SeenWorker } from './boss.ts';
import { ReservedPort } from './reserved-port.ts';
import { type Choice, Stage, drawn, pidsOf } from './stage.ts';

const { restartMs, maxFailures, stopMs, code } = drawn;
const pings = { pingMs: 1_000, hangMs: 8_000 };
/** Longer than all waits of a cluster together. */
const longMs = 100_000;
/** So much later than stopMs is soon enough. */
const soonMs = Math.floor(stopMs / 10);

// A process of its own for each test: what one cluster has left behind is not the next one's.
const test = judge<typeof Kata>('cluster', { spares: 1 })
  // Processes that are started take time of their own.
  .extend('patience', { scope: 'file' }, () => new Patience({ firstMs: 8_000, laterMs: 2_000 }))
  .extend('open', async ({ subjects, workspace, patience }, { onCleanup }) => {
    const opened: AsyncDisposable[] = [];
    onCleanup(async () => void (await Promise.all(opened.map((one) => one[Symbol.asyncDispose]()))));
    return async (choice: Choice = {}): Promise<Stage> => {
      const [subject, boss, port] = await Promise.all([subjects.fresh(), Boss.open(), ReservedPort.find()]);
      opened.push(subject, boss, port);
      return await Stage.open(subject, workspace, boss, patience, { ...choice, port: port.number });
    };
  })
  .extend('running', ({ open }) => async (choice: Choice = {}): Promise<Stage> => {
    const stage = await open(choice);
    await stage.starts();
    return stage;
  });

describe('core', () => {
  test('startCluster must resolve when size workers listen on port; stats() must list their process ids.', async ({
    open,
  }) => {
    const size = drawn.size;
    const stage = await open({ size, plan: (index) => (index === size - 1 ? 'wait' : 'listen') });
    // The others are started before it or beside it.
    const slow = await stage.worker(size - 1);
    const others = stage.boss.workers.filter((worker) => worker !== slow);
    await stage.answeredBy(others);
    const { start } = await stage.pass(0);
    expect(start.ended, `startCluster, while ${size - 1} of ${size} workers listen`).toBe('pending');

    slow.order({ do: 'listen' });
    await stage.starts();

    await stage.answeredBy(stage.boss.workers);
    expect(
      stage.boss.workers.map(({ port }) => port),
      'PORT of the workers',
    ).toEqual(Array(size).fill(String(stage.settings.port)));
    expect(stage.seen.forks, 'processes started').toBe(size);

    stage.boss.plan = () => 'wait';
    slow.order({ do: 'die' });
    const newcomer = await stage.worker(size);
    await stage.pass(0);
    await stage.serves(() => others);
    newcomer.order({ do: 'listen' });
    await stage.serves(() => [...others, newcomer]);
  });

  test('A worker that dies must be replaced at once, whatever its exit code or signal.', async ({ running }) => {
    const stage = await running();

    for (const [at, exitCode] of [0, 1].entries()) {
      stage.boss.living[at]!.order({ do: 'exit', code: exitCode });
      const newcomer = await stage.worker(2 + at);
      await stage.sees('the death of a worker', () => stage.boss.living.length === 2);
      await stage.serves();
      await stage.answeredBy([newcomer]);
    }
    const [killed, leaving] = stage.boss.living as [SeenWorker, SeenWorker];
    killed.order({ do: 'die' });
    leaving.order({ do: 'leave' });
    await stage.sees(
      'two new workers, after one was killed and one ended itself by cluster.worker.kill()',
      () => stage.boss.workers.length > 5,
    );
    await stage.sees('the death of two workers', () => stage.boss.living.length === 2);
    await stage.serves();

    await stage.answeredBy(stage.boss.living);
    expect(stage.seen.forks, 'processes started, for 2 workers of which 4 died').toBe(6);
  });

  test('stop() must end every worker, replace none, and resolve after the last one has exited.', async ({
    running,
  }) => {
    const stage = await running({ size: 3 });
    const [last, ...others] = stage.boss.workers as [SeenWorker, ...SeenWorker[]];
    await stage.obeys(last, 'ignore');

    const stops = [await stage.call('stop'), await stage.call('stop')];
    await stage.sees('the others to exit', ({ exits }) => exits === 2 && others.every(({ isGone }) => isGone));
    const { calls } = await stage.pass(0);
    expect(
      calls.map(({ ended }) => ended),
      'two calls of stop(), while one worker of 3 is alive',
    ).toEqual(['pending', 'pending']);
    last.order({ do: 'exit', code });

    for (const stop of stops)
      expect(await stage.ended(stop, 'stop()'), 'stop(), and workers alive at that moment').toEqual({
        ended: 'resolved',
        alive: 0,
      });
    const { forks, serving } = await stage.pass(longMs);
    expect(forks, 'processes started for 3 workers').toBe(3);
    expect(serving, 'stats()').toEqual([]);

    await expectStopToWaitForReload(await running({ size: 1 }));
  });
});

describe('robust', () => {
  test('stop() must refuse new connections and let every request in flight be answered.', async ({ running }) => {
    const stage = await running();
    const workers = stage.boss.living;
    const held = await stage.holdAt(workers);

    const stop = await stage.call('stop');
    const refuses = await until(async () => 'error' in (await stage.ask()));
    await stage.sees('all workers to be asked to stop', () => workers.every(({ isAsked }) => isAsked));
    const { calls } = await stage.pass(stopMs / 2);
    expect(refuses, 'new connections are refused').toBe(true);
    expect(calls[stop]!.ended, 'stop(), while requests are in flight').toBe('pending');
    for (const [at, worker] of workers.entries()) {
      for (const answer of await stage.release(held.filter((one) => one.worker === worker)))
        expect(answer, 'answer to a request in flight').toEqual({ pid: worker.pid });
      await stage.sees('a worker that has answered all to exit', ({ exits }) => exits === at + 1);
      if (at === 0) expect(stage.seen.calls[stop]!.ended, 'stop(), while one worker holds a request').toBe('pending');
    }

    expect(await stage.ended(stop, 'stop()'), 'stop()').toEqual({ ended: 'resolved', alive: 0 });
  });

  test('A worker that has not exited must be killed stopMs after it was first asked to stop, not earlier.', async ({
    running,
  }) => {
    const stage = await running(pings);
    for (const name of ['reload', 'stop'] as const) {
      await stage.settles();
      const slow = stage.boss.living[0]!;
      await stage.obeys(slow, 'ignore');
      const held = await stage.holdAt([slow]);
      const last = name === 'reload' ? held.pop() : undefined;
      // The last one is the only one at this worker.
      await stage.release(held);

      const call = await stage.call(name);
      await stage.sees('the worker to be asked to stop', () => slow.isAsked);
      await stage.pass(stopMs - 1);
      if (last) {
        const answers = await stage.release([last]);
        expect(answers, 'a request in flight, answered 1 ms before stopMs').toEqual([{ pid: slow.pid }]);
      }
      await expectNotYet(stage, call, slow, name);
      await stage.pass(soonMs);

      await stage.sees(`${name}() to kill the worker after stopMs`, () => slow.isGone);
      const ended = await stage.ended(call, `${name}()`);
      expect(ended, `${name}(), and workers alive at that moment`).toEqual({
        ended: 'resolved',
        alive: name === 'stop' ? 0 : 2,
      });
    }

    // One worker was asked by reload(), the other one by stop() in the middle of it.
    const both = await running({ ...pings, hangMs: stopMs - pings.pingMs });
    const halfMs = Math.floor(stopMs / 2);
    const old = both.boss.living[0]!;
    await both.obeys(old, 'ignore');
    await both.call('reload');
    await both.sees('the worker to be asked to stop', () => old.isAsked);
    const late = both.boss.workers[2];
    // Asked before a new one listens: promise 9 says so.
    if (!late) return;
    await both.obeys(late, 'ignore');
    await both.pass(halfMs);
    const stop = await both.call('stop');
    await both.sees('all workers to be asked to stop', () => both.boss.living.every(({ isAsked }) => isAsked));
    await both.pass(stopMs - halfMs - 1);
    await expectNotYet(both, stop, old, 'stop() during reload');
    await both.pass(soonMs);
    await both.sees('the worker that reload() had asked to be killed after stopMs', () => old.isGone);
    await both.pass(halfMs - soonMs);
    await expectNotYet(both, stop, late, 'stop() during reload');
    await both.pass(soonMs);
    const { ended } = await both.ended(stop, 'stop() during reload()');
    expect(ended, 'stop() during reload(), when all that it asked had been killed').toBe('resolved');
  });

  test('A failed start must be retried after restartMs, doubled for each further one in a row, up to maxRestartMs.', async ({
    open,
  }) => {
    const fails = { value: true };
    const plan = () => (fails.value ? 'wait' : 'listen');
    const delays = [1, 2, 4, 5, 5].map((times) => times * restartMs);
    const stage = await open({ size: 1, maxFailures: delays.length + 2, plan });

    for (const [at, delayMs] of delays.entries()) {
      await fail(stage, [at], at + 1);
      if (at === delays.length - 1) fails.value = false;
      await startsAfter(stage, delayMs, at + 1);
    }
    await stage.starts();
    fails.value = true;
    stage.boss.living[0]!.order({ do: 'die' });
    // The worker that died, and the first one in its place.
    await fail(stage, [delays.length + 1], delays.length + 2);
    await startsAfter(stage, restartMs, delays.length + 2);

    // Two places fail together. Each of them counts for itself.
    fails.value = false;
    const both = await open({ maxFailures: 6, plan });
    await both.starts();
    fails.value = true;
    for (const worker of both.boss.living) worker.order({ do: 'die' });
    for (const failures of [1, 2]) {
      await fail(both, [2 * failures, 2 * failures + 1], 2 + 2 * failures);
      await startsAfter(both, failures * restartMs, 2 + 2 * failures, 2);
    }

    // A row that has ended does not count for reload().
    fails.value = true;
    const later = await open({ size: 1, maxFailures: 4, plan });
    for (const at of [0, 1]) {
      await fail(later, [at], at + 1);
      if (at === 1) fails.value = false;
      await startsAfter(later, (at + 1) * restartMs, at + 1);
    }
    await later.starts();
    fails.value = true;
    const reload = await later.call('reload');
    await later.sees(
      'reload() to start a worker',
      ({ forks, calls }) => forks > 3 || calls[reload]!.ended !== 'pending',
    );
    // If it starts none, or ends the old one before, promise 9 says so.
    if (later.seen.forks === 3 || later.seen.exits > 2) return;
    await fail(later, [3], 3);
    await startsAfter(later, restartMs, 4);
  });

  test('After maxFailures failed starts in a row, startCluster must end all workers and reject, naming the file.', async ({
    open,
  }) => {
    const stage = await open({ plan: (index) => (index === 0 ? 'listen' : 'wait') });
    const [first, second] = [await stage.worker(0), await stage.worker(1)];
    await stage.answeredBy([first]);
    await stage.pass(0);
    await stage.obeys(first, 'ignore');
    second.order({ do: 'exit', code });

    for (let failures = 1; failures < maxFailures; failures++) {
      await failsAfter(stage, failures);
      const { start } = await stage.pass(5 * restartMs);
      expect(start.ended, `startCluster, after failed start ${failures} of ${maxFailures}`).toBe('pending');
      (await stage.worker(failures + 1)).order({ do: 'exit', code });
    }
    await failsAfter(stage, maxFailures);
    await stage.pass(stopMs + soonMs);

    await stage.sees('startCluster to reject', ({ start }) => start.ended !== 'pending');
    const { start } = stage.seen;
    expect(start.ended, 'startCluster').toMatch(/^rejected: /);
    expect(start.ended, 'startCluster').toContain(basename(stage.settings.worker));
    expect(start.alive, 'workers alive when it rejected').toBe(0);
    const { forks } = await stage.pass(longMs);
    expect(forks, `processes started, with maxFailures ${maxFailures} and one other worker`).toBe(1 + maxFailures);

    await expectToEndWhatStarts(await open({ plan: () => 'wait' }));
  });

  test('Once the cluster runs, giving up must be told to onGiveUp, once; the other workers must go on.', async ({
    running,
  }) => {
    const stage = await running();
    const [victim, other] = stage.boss.workers as [SeenWorker, SeenWorker];
    await givesUp(stage, victim);
    await stage.answeredBy([other]);
    await stage.serves(() => [other]);

    // With nobody to tell.
    const silent = await running({ maxFailures: 2, isTold: false });
    const [left, kept] = silent.boss.workers as [SeenWorker, SeenWorker];
    await givesUp(silent, left);
    await silent.answeredBy([kept]);

    await expectStopNotToGiveUp(await running());

    // Later, after a reload() that worked and one that did not. If there is none, promises 9 and 10 say so.
    const later = await running({ maxFailures: 2 });
    if (!(await later.reloads()) || !(await failsToReload(later)).startsWith('rejected')) return;
    await later.pass(longMs);
    const [first, second] = later.boss.living;
    if (!first || !second) return;
    // Nothing has ended the row of failures in its place so far.
    later.boss.plan = () => 'listen';
    const started = later.boss.workers.length;
    first.order({ do: 'die' });
    const newcomer = await later.worker(started);
    await later.settles(', after a reload() that failed and the death of a worker');
    await givesUp(later, newcomer);
    await later.serves(() => [second]);
  });
});

describe('stretch', () => {
  test('reload() must replace every worker; no request may fail, and size workers must listen throughout.', async ({
    running,
  }) => {
    const size = 2 + (drawn.size % 2);
    const stage = await running({ size });
    const old = stage.boss.living;
    stage.boss.plan = () => 'wait';
    const held = await stage.holdAt(old);
    await using load = startLoad(stage);

    const reload = await stage.call('reload');
    const newcomer = await stage.worker(size);
    await stage.pass(0);
    await stage.answeredBy(old);
    expect(old.filter(({ isAsked }) => isAsked).length, 'old workers asked to stop before a new one listens').toBe(0);
    stage.boss.plan = () => 'listen';
    for (const worker of stage.boss.workers.slice(size)) worker.order({ do: 'listen' });
    await stage.answeredBy([newcomer]);
    expect((await stage.look()).calls[reload]!.ended, 'reload(), while old workers hold requests').toBe('pending');
    const answers = await stage.release(held);

    const ended = await stage.ended(reload, 'reload()');
    const failed = await load.stop();
    expect(ended, 'reload(), and workers alive at that moment').toEqual({ ended: 'resolved', alive: size });
    expect(failed, 'requests that failed meanwhile').toEqual([]);
    expect(answers, 'answers to the requests that were in flight').toEqual(
      held.map(({ worker: { pid } }) => ({ pid })),
    );
    await stage.serves();
    expect(old.filter(({ isGone }) => !isGone).length, 'old workers that are left').toBe(0);
    expect(stage.boss.living.length, 'workers').toBe(size);

    const started = stage.boss.workers.length;
    newcomer.order({ do: 'exit', code: 1 });
    await stage.worker(started);
    await stage.sees('the death of a new worker', () => newcomer.isGone);
    await stage.serves();
    await stage.answeredBy(stage.boss.living);

    await reloadsWithout(stage, 'waits for its next start');
    await reloadsWithout(stage, 'starts');
  });

  test('If new workers cannot start, reload() must reject, and the old ones must go on.', async ({ running }) => {
    const stage = await running();
    const old = stage.boss.living;

    expect(await failsToReload(stage), 'reload()').toMatch(/^rejected: /);
    await stage.pass(longMs);
    expect(pidsOf(stage.boss.living), 'workers that are alive').toEqual(pidsOf(old));
    await stage.answeredBy(old);
    await stage.serves();
    stage.boss.plan = () => 'listen';
    expect((await stage.ended(await stage.call('reload'), 'a later reload()')).ended, 'a later reload()').toBe(
      'resolved',
    );
  });

  test('A worker that answers no ping for hangMs must be killed and replaced; the others must live.', async ({
    running,
  }) => {
    const { pingMs, hangMs } = pings;
    const stage = await running({ ...pings, maxFailures: 1 });

    await stage.pass(2 * hangMs);
    expect(stage.seen.forks, 'processes started, for 2 workers that answer pings').toBe(2);
    const hangs = async (expectLife: (hung: SeenWorker) => Promise<void>, when = '') => {
      const { forks, exits: ended } = stage.seen;
      const [hung, other] = stage.boss.living as [SeenWorker, SeenWorker];
      const started = stage.boss.workers.length;
      await expectLife(hung);
      await stage.pass(4 * pingMs);

      await stage.sees(`the worker that hangs${when} to be killed`, () => hung.isGone);
      await stage.sees('the module to hear of its end', ({ exits }) => exits > ended);
      // Promise 2 says how soon it is replaced.
      await stage.pass(pingMs);
      const newcomer = await stage.worker(started);
      await stage.serves(() => [other, newcomer]);
      await stage.pass(hangMs);
      await stage.answeredBy([other, newcomer]);
      expect((await stage.look()).forks - forks, 'processes started after one worker of 2 hung').toBe(1);
    };
    const freezes = async (hung: SeenWorker) => {
      hung.order({ do: 'freeze' });
      await stage.sees('the worker to hang', () => hung.isFrozen);
      await stage.pass(hangMs - 2 * pingMs);
      expect(hung.isGone, 'the worker that hangs is gone, 2 pings before hangMs').toBe(false);
    };
    await hangs(freezes);
    await hangs(async (hung) => {
      // It recovers from the first time.
      for (const duty of ['mute', 'speak', 'mute'] as const) {
        await stage.obeys(hung, duty);
        await stage.pass(duty === 'mute' ? hangMs - 2 * pingMs : 2 * pingMs);
      }
      const what = 'a worker lives that answers no ping but sends other messages, 2 pings before hangMs';
      expect(await stage.lives(hung), what).toBe(true);
    });
    // It needs longer than hangMs until it listens.
    const { forks, exits } = stage.seen;
    const started = stage.boss.workers.length;
    stage.boss.plan = () => 'wait';
    const [dying] = stage.boss.living as [SeenWorker];
    // It owes an answer when it dies; the new one does not.
    await stage.obeys(dying, 'mute');
    await stage.pass(2 * pingMs);
    dying.order({ do: 'die' });
    await failsAfter(stage, exits + 1);
    await stage.pass(pingMs);
    const slow = await stage.worker(started);
    await stage.pass(2 * hangMs);
    stage.boss.plan = () => 'listen';
    slow.order({ do: 'listen' });
    await stage.serves();
    await stage.pass(2 * hangMs);
    await stage.settles(', after one that listened late');
    expect(
      stage.seen.forks - forks,
      'processes started for a worker that died with a ping unanswered; the new one listened late',
    ).toBe(1);

    // New workers, that have been through a reload() that failed. If it cannot reload, promises 9 and 10 say so.
    if (!(await stage.reloads())) return;
    const failing = stage.boss.workers.length;
    stage.boss.plan = (index) => (index === failing ? { exit: code } : 'wait');
    if (!(await stage.reloads('rejected'))) return;
    stage.boss.plan = () => 'listen';
    await hangs(freezes, ', after a reload() that failed,');
  });

  test('stop() may come at any time: no worker, retry, timer or listener must be left.', async ({
    running,
    workspace,
  }) => {
    const stage = await running({ size: 1 });
    let listeners: number | undefined;
    for (const [what, begin] of moments) {
      if (listeners !== undefined) {
        await stage.again();
        await stage.starts();
      }
      stage.boss.plan = () => 'wait';
      await begin(stage);
      const { forks } = await stage.pass(0);

      const ended = await stage.ended(await stage.call('stop'), `stop(), ${what},`);
      expect(ended, `stop(), ${what}`).toEqual({ ended: 'resolved', alive: 0 });
      const { seen } = stage;
      expect(seen.timers, `timers that hold the process after stop(), ${what}`).toBe(0);
      listeners ??= seen.listeners;
      expect(seen.listeners, 'listeners at cluster and process, as after the first cluster').toBe(listeners);
      const end = await stage.pass(longMs);
      expect(end.forks, `processes started, with stop() ${what}`).toBe(forks);
      await stage.sees('all workers to exit', () => stage.boss.living.length === 0);
    }

    // There is another place that reload() could go on to.
    const both = await running();
    const old = both.boss.living;
    const held = await both.holdAt(old);
    const reload = await both.call('reload');
    await both.sees(
      'reload() to ask an old worker to stop',
      ({ calls }) => calls[reload]!.ended !== 'pending' || old.some(({ isAsked, isGone }) => isAsked || isGone),
    );
    const leaving = old.filter(({ isAsked, isGone }) => isAsked || isGone);
    const stop = await both.call('stop');
    const { forks } = both.seen;
    // Those first that stop() has not asked itself: that it waits for them is promise 3.
    await both.release(held.filter(({ worker }) => leaving.includes(worker)));
    await both.sees('the worker that reload() had asked to exit', ({ exits }) => exits >= leaving.length);
    await both.release(held.filter(({ worker }) => !leaving.includes(worker)));
    await expectStopped(both, stop, forks, 'while reload() waits for an old worker');

    // What is sent to the worker fails.
    await both.again();
    await both.starts();
    const last = await both.stopAsDies(both.boss.living[0]!, workspace);
    if (last !== undefined) await expectStopped(both, last, 2, 'just as a worker dies');
  });
});

/** Moments at which stop() comes, in the life of a cluster with one worker. */
const moments: readonly [what: string, begin: (stage: Stage) => Promise<void>][] = [
  [
    'while a start waits for its time',
    async (stage) => {
      const started = stage.boss.workers.length;
      stage.boss.living[0]!.order({ do: 'die' });
      (await stage.worker(started)).order({ do: 'exit', code });
      await failsAfter(stage, 2);
    },
  ],
  [
    'while reload() starts a worker',
    async (stage) => {
      const started = stage.boss.workers.length;
      await stage.call('reload');
      await stage.worker(started);
    },
  ],
  [
    'while a replacement starts',
    async (stage) => {
      const started = stage.boss.workers.length;
      stage.boss.living[0]!.order({ do: 'die' });
      await stage.worker(started);
    },
  ],
  [
    'while reload() waits for its next try',
    async (stage) => {
      const started = stage.boss.workers.length;
      await stage.call('reload');
      (await stage.worker(started)).order({ do: 'exit', code });
      await failsAfter(stage, 1);
    },
  ],
];

/** Sees that this call of stop() resolves, and that no process is left, and none is started. */
async function expectStopped(stage: Stage, stop: number, forks: number, when: string): Promise<void> {
  const ended = await stage.ended(stop, `stop(), ${when},`);
  expect(ended, `stop(), ${when}`).toEqual({ ended: 'resolved', alive: 0 });
  const end = await stage.pass(longMs);
  expect(end.forks, `processes started, with stop() ${when}`).toBe(forks);
}

/** startCluster gives up on one place while the worker of another one has not listened yet. */
async function expectToEndWhatStarts(stage: Stage): Promise<void> {
  const first = await stage.worker(0);
  // Who starts one worker after the other has none then.
  const { forks } = await stage.pass(0);
  if (forks === 1) return;
  await stage.worker(1);
  for (let failures = 1, failing = first; failures <= maxFailures; failures++) {
    failing.order({ do: 'exit', code });
    await failsAfter(stage, failures);
    if (failures === maxFailures) break;
    await stage.pass(5 * restartMs);
    failing = await stage.worker(failures + 1);
  }
  await stage.pass(stopMs + soonMs);
  await stage.sees('startCluster to reject', ({ start }) => start.ended !== 'pending');
  const { start } = stage.seen;
  expect(start.alive, 'workers alive when it rejected; one had not listened yet').toBe(0);
}

/** stop() is called while an old worker is alive that reload() has asked to stop. */
async function expectStopToWaitForReload(stage: Stage): Promise<void> {
  const old = stage.boss.living[0]!;
  await stage.obeys(old, 'ignore');
  const reload = await stage.call('reload');
  await stage.sees(
    'reload() to ask the old worker to stop',
    ({ calls }) => old.isAsked || old.isGone || calls[reload]!.ended !== 'pending',
  );
  // If it does not ask it, promise 9 says so.
  if (!old.isAsked || old.isGone) return;
  const stop = await stage.call('stop');
  await stage.sees('the others to exit', ({ forks, exits }) => forks - exits === 1);
  const pending = (await stage.pass(0)).calls[stop]!.ended;
  expect(pending, 'stop(), while the worker is alive that a reload() had asked to stop').toBe('pending');
  old.order({ do: 'exit', code });
  const ended = await stage.ended(stop, 'stop() during reload()');
  expect(ended, 'stop() during reload(), and workers alive at that moment').toEqual({ ended: 'resolved', alive: 0 });
}

/** stop() is called while a place waits for its next start. */
async function expectStopNotToGiveUp(stage: Stage): Promise<void> {
  stage.boss.plan = () => 'wait';
  const { exits, forks } = stage.seen;
  stage.boss.living[0]!.order({ do: 'die' });
  (await stage.worker(forks)).order({ do: 'exit', code });
  await failsAfter(stage, exits + 2);
  await stage.pass(0);
  await stage.call('stop');
  const { givenUp } = await stage.pass(longMs);
  expect(givenUp, 'errors that onGiveUp heard when stop() came while a place waited for its next start').toEqual([]);
}

/** Waits until so many processes have ended, and the module has heard of it. */
async function failsAfter(stage: Stage, exits: number): Promise<void> {
  await stage.sees(`process ${exits} to end`, (seen) => seen.exits >= exits);
}

/** Lets these starts fail, while the clocks stand still, and waits until so many processes have ended. */
async function fail(stage: Stage, starts: readonly number[], exits: number): Promise<void> {
  for (const at of starts) (await stage.worker(at)).order({ do: 'exit', code });
  await failsAfter(stage, exits);
}

/** Sees that so many processes are started after that time, and none a millisecond before. A tenth later is soon enough. */
async function startsAfter(stage: Stage, delayMs: number, before: number, count = 1): Promise<void> {
  const early = await stage.pass(delayMs - 1);
  expect(early.forks, `processes started, ${delayMs - 1} ms after number ${before} has failed`).toBe(before);
  if (early.exits === early.forks)
    expectThat(
      early.timers > 0,
      `no worker was alive, and the next start waited for its time: no timer held the primary process, so it would have ended (is the timer unref'd?)`,
    );
  await stage.pass(delayMs / 10);
  await stage.sees(
    `${count} more to start, ${delayMs} ms after number ${before} has failed`,
    ({ forks }) => forks >= before + count,
  );
  expect(stage.seen.forks, `processes started, ${delayMs} ms after number ${before} has failed`).toBe(before + count);
}

/** Sees that a worker lives and its call has not settled, 1 ms before stopMs. */
async function expectNotYet(stage: Stage, call: number, worker: SeenWorker, name: string): Promise<void> {
  expect(await stage.lives(worker), `${name}(): the worker lives, 1 ms before stopMs`).toBe(true);
  expect((await stage.look()).calls[call]!.ended, `${name}(), 1 ms before stopMs`).toBe('pending');
}

/** Has a worker die, and its place fail until it is given up. */
async function givesUp(stage: Stage, victim: SeenWorker): Promise<void> {
  const { forks: forksBefore, exits, givenUp: toldBefore } = stage.seen;
  const { maxFailures: most } = stage.settings;
  stage.boss.plan = () => 'wait';
  const startedBefore = stage.boss.workers.length;
  victim.order({ do: 'die' });

  for (let failures = 1; failures <= most; failures++) {
    (await stage.worker(startedBefore + failures - 1)).order({ do: 'exit', code });
    await failsAfter(stage, exits + 1 + failures);
    if (failures === most) break;
    const { givenUp } = await stage.pass(5 * restartMs);
    expect(givenUp, `onGiveUp, after failed start ${failures} of ${most}`).toEqual(toldBefore);
  }

  const told = stage.settings.isTold ? [expect.stringContaining(basename(stage.settings.worker))] : [];
  await stage.sees('onGiveUp', ({ givenUp }) => givenUp.length >= toldBefore.length + told.length);
  const { givenUp, forks } = await stage.pass(longMs);
  expect(givenUp.slice(toldBefore.length), 'errors that onGiveUp heard').toEqual(told);
  expect(forks - forksBefore, 'processes started for a place that was given up').toBe(most);
}

/**
 * Calls reload() while a place has no worker: its next start waits for its time, or is under way. In the end there are `size` workers,
 * and none of the old ones. Whether reload() itself fills that place is open.
 */
async function reloadsWithout(stage: Stage, what: 'waits for its next start' | 'starts'): Promise<void> {
  const { exits } = stage.seen;
  const started = stage.boss.workers.length;
  const [victim, ...old] = stage.boss.living as [SeenWorker, ...SeenWorker[]];
  stage.boss.plan = () => 'wait';
  victim.order({ do: 'exit', code: 1 });
  const next = await stage.worker(started);
  if (what === 'starts') await failsAfter(stage, exits + 1);
  else await fail(stage, [started], exits + 2);
  stage.boss.plan = () => 'listen';

  const reload = await stage.call('reload');
  await stage.settlesOrStalls(reload, next);
  next.order({ do: 'listen' });
  await stage.pass(longMs);
  await stage.ended(reload, `reload(), while a place ${what},`);
  await stage.pass(longMs);

  await stage.settles(`, after a reload() while a place ${what}`);
  const left = old.filter(({ isGone }) => !isGone).length;
  expect(left, `old workers that are left after a reload() while a place ${what}`).toBe(0);
}

/** Calls reload(), and lets all new workers fail until it settles. Says how. */
async function failsToReload(stage: Stage): Promise<string> {
  const old = stage.boss.living;
  stage.boss.plan = () => 'wait';
  const { forks: forksBefore } = stage.seen;
  const { maxFailures: most } = stage.settings;
  const goneBefore = stage.boss.workers.length - old.length;
  const exitsBefore = stage.seen.exits;

  const reload = await stage.call('reload');
  // One after the other, or several at a time.
  for (let failures = 0, before = forksBefore; failures < most; failures++) {
    await stage.sees('reload() to start a worker', ({ forks }) => forks > before);
    await stage.sees(
      'all workers to start',
      ({ forks }) => stage.boss.workers.length - goneBefore - old.length === forks - forksBefore,
    );
    before = stage.seen.forks;
    expect(stage.seen.calls[reload]!.ended, `reload(), after ${failures} failed starts of ${most}`).toBe('pending');
    // One by one: what is sent to a process that is just dying may fail.
    for (const worker of stage.boss.living.filter((one) => !old.includes(one))) {
      if ((await stage.look()).calls[reload]!.ended !== 'pending' || worker.isAsked) break;
      worker.order({ do: 'exit', code });
      const ended = () => stage.boss.workers.length - goneBefore - stage.boss.living.length;
      await stage.sees('a worker to exit', ({ exits }) => worker.isGone && exits - exitsBefore === ended());
    }
    await stage.pass(5 * restartMs);
  }
  return (await stage.ended(reload, 'reload()')).ended;
}

/** A client that asks without a pause, each time on a new connection. */
function startLoad(stage: Stage): AsyncDisposable & { stop(): Promise<string[]> } {
  const failed: string[] = [];
  let isOver = false;
  const client = async () => {
    while (!isOver) {
      const answer = await stage.ask();
      if ('error' in answer) failed.push(answer.error);
    }
  };
  const asking = client();
  const stop = async () => {
    isOver = true;
    await asking;
    return failed;
  };
  return {
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}
