import { subscribe } from 'node:diagnostics_channel';
import { getEventListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import type { Worker } from 'node:worker_threads';
import type { Inside } from '../../helpers/instruments/judge/judge.ts';
import { installSteppedClock } from '../../helpers/instruments/stepped-clock/stepped-clock.ts';
import type * as Kata from '../../katas/worker-pool/worker-pool.ts';
import { type Call, Stage, becomes, fault, faultOf, inWords, onStage, pollMs, sleep } from './stage.ts';

interface Kept {
  /** All threads that were started in this process. */
  threads: Worker[];
  /** A pool of one thread, with a task that reads a pipe. Such a pool starts so many threads for its first task. */
  atPipe?: { stage: Stage; reading: Call; threadsEach: number };
  batches?: { pool: Kata.WorkerPool; board: Int32Array };
  finished?: {
    pool: Kata.WorkerPool;
    board: Int32Array;
    run: (deed: string, extras: { at?: number; value?: unknown; signal?: AbortSignal }) => Promise<unknown>;
  };
}

interface Given {
  /** How long what never comes is waited for. */
  readonly limitMs: number;
  readonly file: string;
  readonly size: number;
  /** Drawn, so that no answer knows them. */
  readonly text: string;
}

const clock = installSteppedClock();
const pauseMinutes = 5;

type OnStage<Args extends Given = Given> = Inside<typeof Kata, Args, Kept>;

/** Node tells of each thread that is started, however it is. */
export function watchThreads({ kept }: Inside<unknown, undefined, Kept>): void {
  kept.threads = [];
  subscribe('worker_threads', (message) => kept.threads.push((message as { worker: Worker }).worker));
}

const play = ({ kata, args, kept }: OnStage, part: (stage: Stage) => Promise<void>) =>
  onStage(kata, args, kept.threads, part);

/** Results of many kinds, in another order than the calls; and the order of the tasks. `oddFile` is a copy of the task file. */
export function deliver(inside: OnStage<Given & { turns: readonly number[]; oddFile: string }>) {
  const { size, text, turns, oddFile } = inside.args;
  return play(inside, async (stage) => {
    stage.open(3);
    const values = [text, undefined, null, 0, NaN, false, '', [text, [1n]], new Map([[text, new Date(0)]]), { text }];
    const calls = values.flatMap((value) =>
      ['echo', 'later'].map((deed) => ({
        value,
        call: stage.run(deed, { value, name: `a task that returns ${inWords(value)}` }),
      })),
    );
    for (const { call, value } of calls) await stage.returns(call, value);
    const held = turns.map((turn) => stage.run('hold', { value: `${text} ${turn}`, name: `task ${turn}` }));
    await stage.begins(...held);
    for (const turn of turns) {
      stage.letGo(held[turn]!);
      await stage.returns(held[turn]!, `${text} ${turns[turn]}`);
    }

    stage.open(1);
    const first = stage.run('hold', { name: 'the first task' });
    const line = stage.runMany(4 + 3 * size, 'echo', { name: 'a task that waited' });
    stage.letGo(first);
    await stage.settles(...line);
    const orders = line.map((call) => stage.order(call));
    const late = orders.findIndex((order, index) => index > 0 && order < orders[index - 1]!);
    if (late !== -1) fault(`${line.length} tasks waited, and the ${late + 1}th began before the ${late}th`);
    for (const end of ['returned', 'threw', 'ended its thread', 'was aborted'] as const)
      await expectLastInLine(stage, end, text);

    for (const deed of ['throw in a timer and go on', 'reject unheard and go on'])
      await expectOwnResult(stage, deed, text);

    stage.open(1, oddFile);
    await stage.returns(stage.run('echo', { value: text, name: `a task of the file ${inWords(oddFile)}` }), text);
  });
}

/** Somebody calls as soon as another call has settled. Those who wait come first. */
async function expectLastInLine(stage: Stage, end: keyof typeof deedOf, text: string): Promise<void> {
  stage.open(1);
  const controller = new AbortController();
  let newcomer: Call | undefined;
  const first = stage.run(deedOf[end], {
    value: end === 'ended its thread' ? 1 : text,
    name: `a task that ${end}`,
    controller,
    onSettled: () => (newcomer = stage.run('echo', { value: text, name: `a task that came when another one ${end}` })),
  });
  const line = stage.runMany(2, 'echo', { value: text, name: `a task that waited while another one ${end}` });
  if (end === 'returned' || end === 'was aborted') await stage.begins(first);
  if (end === 'was aborted') controller.abort(new Error(text));
  stage.letGo(first);
  // What else may go wrong after an abort or a death is up to promises 6 and 8.
  const hasBegun = await becomes(
    () => newcomer !== undefined && [...line, newcomer].every((call) => stage.order(call) > 0),
  );
  if (!hasBegun && (end === 'ended its thread' || end === 'was aborted')) return;
  await stage.settles(first);
  for (const call of [...line, newcomer!]) await stage.settles(call);
  const orders = [...line, newcomer!].map((call) => stage.order(call));
  const sorted = orders.toSorted((one, other) => one - other);
  if (!isDeepStrictEqual(orders, sorted))
    fault(`two tasks waited when another one ${end}, and one that was called only then began before them`);
}

/** A task fails outside of its function and goes on, if its thread lives. Its result is not that of the next task. */
async function expectOwnResult(stage: Stage, deed: string, text: string): Promise<void> {
  stage.open(1);
  const first = stage.run(deed, { value: `${text} of the first` });
  const next = stage.run('hold', { value: text });
  // What else may go wrong after a death is up to promise 6.
  if (!(await becomes(() => stage.order(next) > 0 && first.outcome !== undefined))) return;
  stage.letGo(first);
  if (!(await becomes(() => stage.thread(first) === undefined || stage.beats(first) > 0))) return;
  stage.letGo(next);
  await becomes(() => next.outcome !== undefined);
  const { outcome } = next;
  if (outcome && 'value' in outcome && outcome.value !== text)
    fault(
      `the call of a task ${stage.told(next)} instead of ${inWords(text)}; the task before it ("${deed}") ${stage.told(first)} and returned later`,
    );
}

const deedOf = { returned: 'hold', threw: 'reject', 'ended its thread': 'exit', 'was aborted': 'hold' } as const;

/** Tasks that hold their threads, in all of a pool's and more. */
export function fill(inside: OnStage<Given & { deeds: readonly string[]; turns: readonly number[] }>) {
  const { deeds, turns, text } = inside.args;
  return play(inside, async (stage) => {
    for (const size of [1, 2, 3]) {
      stage.open(size);
      const calls: Call[] = [];
      const add = () =>
        calls.push(stage.run(deeds[calls.length % deeds.length]!, { value: text, name: `task ${calls.length + 1}` }));
      for (let count = 0; count < 2 * size + 1; count++) add();
      const total = turns.length + 2 * size + 1;
      let ended = 0;
      for (const turn of [undefined, ...turns]) {
        if (turn !== undefined) {
          const atWork = calls.filter((call) => stage.order(call) > 0 && call.outcome === undefined);
          const next = atWork[turn % atWork.length]!;
          stage.letGo(next);
          await stage.returns(next, text);
          ended += 1;
          add();
        }
        await stage.until(
          () => stage.begun >= ended + size,
          () => `size ${size}: ${calls.length - stage.begun} tasks waited while ${stage.begun - ended} ran`,
        );
        if (turn === undefined) await stage.allSeen();
        if (stage.most > size) fault(`size ${size}: ${stage.most} tasks ran at once`);
      }
      stage.letGo(...calls);
      for (const call of calls) await stage.returns(call, text);
      if (stage.most > size) fault(`size ${size}: ${stage.most} tasks ran at once`);
      if (calls.length !== total) throw new Error(`${calls.length} calls of ${total}`);
    }
  });
}

/** Begins a task that reads a named pipe. Native code does that: while somebody has the pipe open for writing, nothing interrupts it. */
export async function readPipe({ kata, args, kept }: OnStage<Given & { pipe: string }>) {
  const stage = new Stage(kata, args.file, kept.threads);
  const before = kept.threads.length;
  stage.open(1);
  const controller = new AbortController();
  const reading = stage.run('read a pipe', { value: args.pipe, controller, name: 'a task in native code' });
  const fails = await faultOf(() => stage.begins(reading));
  kept.atPipe = { stage, reading, threadsEach: kept.threads.length - before };
  return fails;
}

/** Aborts that task. As long as its thread lives, the next one must wait. */
export async function abortAtPipe({ kept }: OnStage) {
  const { stage, reading, threadsEach } = kept.atPipe!;
  return await faultOf(async () => {
    const thread = stage.thread(reading);
    const before = kept.threads.length;
    reading.controller.abort();
    const next = stage.run('echo');
    // As long as two pools need for a thread and a task, one after the other: time enough for the next one to begin.
    for (let count = 0; count < 2; count++) {
      stage.open(1);
      await stage.settles(stage.run('echo', { name: 'the first task of another pool' }));
    }
    // A thread that was started meanwhile may be there to wait. If it is there for the next task, the task begins.
    if (kept.threads.length - before > 2 * threadsEach) await becomes(() => stage.order(next) > 0);
    if (stage.order(next) > 0 && thread && thread.threadId !== -1)
      fault(
        'size 1: a task in native code was aborted, and the next one began before the thread of the first had ended',
      );
  });
}

export async function leavePipe({ kept }: OnStage): Promise<void> {
  await kept.atPipe!.stage.end();
}

/** Bursts of tasks, and single ones; and single ones with pauses, in which the module's timers fire. */
export function reuse(inside: OnStage) {
  const { size, text } = inside.args;
  return play(inside, async (stage) => {
    stage.open(size);
    let tasks = 0;
    for (const burst of [5 * size, 1, 1, 3 * size, 1]) {
      const calls = stage.runMany(burst, 'later', { value: text });
      for (const call of calls) await stage.returns(call, text);
      tasks += burst;
      const { length: started } = stage.threads;
      if (started > size) fault(`${tasks} tasks were run in ${started} threads; the size is ${size}`);
      if (started === 0) fault(`${tasks} tasks were run, and no thread was started`);
    }
    await expectReuseAfterPauses(stage, inside.args);
  });
}

/** One task more than there are threads, with minutes between them in which only the module's timers fire. */
async function expectReuseAfterPauses(stage: Stage, { size, text }: Given): Promise<void> {
  clock.hold();
  try {
    stage.open(size);
    for (let done = 0; done <= size; done++) {
      await whileTimePasses(() =>
        stage.returns(stage.run('echo', { value: text, name: 'a task between pauses' }), text),
      );
      await clock.step(pauseMinutes * 60_000);
    }
  } finally {
    clock.release();
  }
  const { length: started } = stage.threads;
  if (started > size)
    fault(
      `${size + 1} tasks were run, with ${pauseMinutes} minutes between them, in ${started} threads; the size is ${size}`,
    );
}

/** Moves the held clock as fast as time passes. */
async function whileTimePasses(part: () => Promise<void>): Promise<void> {
  let isOver = false;
  const passing = (async () => {
    while (!isOver) {
      await sleep(pollMs);
      await clock.step(pollMs);
    }
  })();
  try {
    await part();
  } finally {
    isOver = true;
    await passing;
  }
}

export function countTasks(inside: OnStage) {
  const { size, text } = inside.args;
  return play(inside, async (stage) => {
    const pool = stage.open(size);
    const expectStats = async (when: string, running: number, waiting: number) =>
      await stage.until(
        () => isDeepStrictEqual({ ...pool.stats() }, { running, waiting }),
        () =>
          `${when}, stats() returned ${JSON.stringify(pool.stats())} instead of ${JSON.stringify({ running, waiting })}`,
      );
    await expectStats('before the first task', 0, 0);
    const first = stage.run('hold', { value: text });
    await stage.begins(first);
    await expectStats('with one task', 1, 0);
    const others = stage.runMany(size - 1, 'hold');
    await stage.begins(...others);
    await expectStats('with as many tasks as threads', size, 0);
    const controller = new AbortController();
    const waiting = [stage.run('hold'), stage.run('hold', { controller }), stage.run('hold')];
    await expectStats('with 3 tasks more', size, 3);
    controller.abort();
    await expectStats('with 2 tasks more', size, 2);
    stage.letGo(first);
    await stage.returns(first, text);
    await expectStats('when one of them had begun', size, 1);
    stage.letGo(...others, ...waiting);
    await stage.settles(...others, ...waiting);
    await expectStats('when all had ended', 0, 0);
    await stage.settles(stage.run('throw', { value: text }));
    await expectStats('after a task that threw', 0, 0);
  });
}

const failures = [
  ['throw', 'an error'],
  ['reject', 'an error'],
  ['throw', 'text'],
  ['reject', 'undefined'],
  ['throw', 'a function'],
  ['reject', 'an error with a function as its cause'],
  ['return a function', ''],
  ['echo', 'data'],
] as const;

/** Whether this is what a structured clone of the error of that task is. Its stack is not compared. */
const isCloneOf = (text: string) => (reason: unknown) =>
  reason instanceof Error &&
  reason.name === 'TypeError' &&
  reason.message === text &&
  isDeepStrictEqual(reason.cause, { what: text });

/** Tasks that fail without harm to their thread, beside one that goes on. */
export function fail(inside: OnStage) {
  const { size, text } = inside.args;
  return play(inside, async (stage) => {
    stage.open(size);
    const beside = stage.run('hold', { value: text, name: 'the task beside them' });
    await stage.begins(beside);
    const attempt = (deed: string, kind: string) => {
      const value = kind === 'an error' || kind === 'text' ? `${kind === 'text' ? 'text ' : ''}${text}` : kind;
      return kind === 'data'
        ? stage.run(deed, { data: { deed, callback: () => text }, name: 'a task whose data holds a function' })
        : stage.run(deed, { value, name: kind ? `a task that throws ${kind}` : 'a task that returns a function' });
    };
    const expectFailure = async (call: Call, kind: string) => {
      if (kind === 'an error')
        await stage.rejects(call, isCloneOf(text), `a TypeError "${text}", whose cause is ${inWords({ what: text })}`);
      else if (kind === 'text') await stage.rejects(call, (reason) => reason === `text ${text}`, `"text ${text}"`);
      else if (kind === 'undefined') await stage.rejects(call, (reason) => reason === undefined, 'undefined');
      else await stage.rejects(call, (reason) => reason instanceof Error, 'an error');
    };
    for (const [deed, kind] of failures) await expectFailure(attempt(deed, kind), kind);
    stage.letGo(beside);
    await stage.returns(beside, text);
    await stage.expectFullSize('tasks that failed');

    stage.open(1);
    const first = stage.run('hold', { value: text, name: 'the first task' });
    const waiting = failures.map(([deed, kind]) => ({
      kind,
      call: attempt(deed, kind),
      next: stage.run('echo', { value: `${text} ${kind}`, name: 'a task that waited with failing ones' }),
    }));
    await stage.begins(first);
    stage.letGo(first);
    await stage.returns(first, text);
    for (const { kind, call, next } of waiting) {
      await expectFailure(call, kind);
      await stage.returns(next, `${text} ${kind}`);
    }
  });
}

/** Threads that end: under a task, with others waiting, and between two tasks. */
export function die(inside: OnStage<Given & { exitCode: number }>) {
  const { size, text, exitCode } = inside.args;
  return play(inside, async (stage) => {
    // So that a thread is free when another one dies beside a third.
    stage.open(size + 1);
    const dies = async (deed: string, value?: number) => {
      const beside = stage.run('hold', { value: text, name: `a task beside one that ends its thread (${deed})` });
      await stage.begins(beside);
      const { begun } = stage;
      const call = stage.run(deed, {
        value,
        name: `a task that ends its thread (${deed}${value === undefined ? '' : ` ${value}`})`,
      });
      await stage.rejects(call, (reason) => reason instanceof Error, 'an error');
      if (stage.begun > begun + 1)
        fault(`${call.name} was begun ${stage.begun - begun} times before its call rejected`);
      stage.letGo(beside);
      await stage.returns(beside, text);
    };
    await dies('exit', 0);
    await dies('exit later', exitCode);
    await stage.expectFullSize('exits of threads');
    await dies('throw in a timer');
    await dies('reject unheard');
    await dies('take all memory');
    await stage.expectFullSize('threads that died of errors');

    const idle = stage.runMany(size + 1, 'exit when told', { value: text });
    for (const call of idle) await stage.returns(call, text);
    const [last] = idle.splice(-1);
    stage.letGo(last!);
    const thread = stage.thread(last!);
    await stage.until(
      () => stage.thread(last!) === undefined,
      () => `the thread ${thread?.threadId} did not end`,
    );
    await stage.expectFullSize('a thread that ended between two tasks');

    stage.open(1);
    const calls = [stage.run('exit', { value: exitCode }), stage.run('exit', { value: 0 })];
    const waiting = stage.runMany(3, 'later', { value: text, name: 'a task that waited while threads died' });
    await stage.settles(...calls);
    for (const call of waiting) await stage.returns(call, text);
  });
}

/** Aborts of tasks that wait. */
export function abortWaiting(inside: OnStage<Given & { turns: readonly number[] }>) {
  const { text, turns } = inside.args;
  const reasons = [new Error(text), undefined, null, 0, '', false];
  return play(inside, async (stage) => {
    stage.open(1);
    const first = stage.run('hold', { value: text, name: 'the first task' });
    await stage.begins(first);
    const lines = turns.map((turn) => {
      const aborted = stage.run('echo', { name: `an aborted task`, controller: new AbortController() });
      const kept = stage.run('echo', {
        value: `${text} ${turn}`,
        name: `a task that waited with aborted ones`,
        controller: new AbortController(),
      });
      return { aborted, kept, turn };
    });
    const shared = new AbortController();
    const together = stage.runMany(3, 'echo', { controller: shared, name: 'one of three tasks with one signal' });
    const last = stage.run('echo', { value: text, name: 'the last task' });
    for (const turn of turns) {
      const { aborted } = lines[turn]!;
      aborted.controller.abort(reasons[turn]);
      await stage.aborts(aborted);
    }
    shared.abort({ text });
    for (const call of together) await stage.aborts(call);
    const never = reasons.map((reason) => {
      const early = new AbortController();
      early.abort(reason);
      return stage.run('echo', { controller: early, name: `a task whose signal was aborted before, with ${reason},` });
    });
    for (const call of never) await stage.aborts(call);
    if (first.outcome) fault(`the call of the task at work ${stage.told(first)} when waiting ones were aborted`);
    stage.letGo(first);
    await stage.returns(first, text);
    for (const { kept, turn } of lines) await stage.returns(kept, `${text} ${turn}`);
    await stage.returns(last, text);
    const ran = [...lines.map(({ aborted }) => aborted), ...together, ...never].filter((call) => stage.order(call) > 0);
    if (ran.length > 0)
      fault(
        `${ran.length} of ${lines.length + 3 + never.length} tasks ran although they were aborted while they waited`,
      );
    for (const { kept } of lines) kept.controller.abort();
    await stage.expectFullSize('aborts of waiting and of finished tasks');
  });
}

/** Aborts of tasks at work, and of what has ended. */
export function abortRunning(inside: OnStage) {
  const { text } = inside.args;
  return play(inside, async (stage) => {
    stage.open(2);
    const beside = stage.run('hold', {
      value: text,
      name: 'the task beside an aborted one',
      controller: new AbortController(),
    });
    for (const deed of ['spin', 'hold', 'block'] as const) {
      const name = deed === 'spin' ? 'an endless loop' : 'a task at work';
      const running = stage.run(deed, { name, controller: new AbortController() });
      const waiting = stage.run('echo', { name: 'an aborted task', controller: new AbortController() });
      const next = stage.run('echo', { value: text, name: 'the task behind two aborted ones' });
      await stage.begins(beside, running);
      const thread = stage.thread(running);
      waiting.controller.abort(new Error('first'));
      running.controller.abort({ spin: new Error(text), hold: null, block: undefined }[deed]);
      await stage.aborts(running);
      await stage.aborts(waiting);
      await stage.returns(next, text);
      await stage.until(
        () => thread === undefined || thread.threadId === -1,
        () => `${name} was aborted, and its thread goes on`,
      );
    }
    if (beside.outcome) fault(`the call of ${beside.name} ${stage.told(beside)}`);
    stage.letGo(beside);
    await stage.returns(beside, text);

    // Whoever now works in its thread has nothing to do with its signal.
    const [heir, other] = stage.runMany(2, 'hold', {
      value: text,
      name: 'a task in the thread of one that ended before its abort',
    });
    await stage.begins(heir!, other!);
    beside.controller.abort(new Error('too late'));
    stage.letGo(heir!, other!);
    for (const call of [heir!, other!]) await stage.returns(call, text);

    const shared = new AbortController();
    const together = {
      controller: shared,
      value: text,
      name: 'one of three tasks with one signal, after the first returned',
    };
    const [done, ...rest] = stage.runMany(3, 'hold', together);
    await stage.begins(done!, rest[0]!);
    stage.letGo(done!);
    await stage.returns(done!, text);
    await stage.begins(rest[1]!);
    shared.abort(new Error(text));
    for (const call of rest) await stage.aborts(call);
    await stage.expectFullSize('aborts of tasks at work');

    stage.open(1);
    const late = stage.run('block', {
      controller: new AbortController(),
      name: 'a task aborted as its result arrives',
    });
    const behind = stage.run('echo', {
      value: text,
      name: 'the task behind one that was aborted as its result arrived',
    });
    await stage.begins(late);
    stage.letGoUnseen(late);
    late.controller.abort(new Error(text));
    // With its result or with the reason: that is open.
    await stage.settles(late);
    await stage.returns(behind, text);
  });
}

/** What holds the process, but for the pipes that Node opens with the first thread. */
const openResources = () =>
  process
    .getActiveResourcesInfo()
    .filter((kind) => !kind.startsWith('Pipe'))
    .sort();

/** What was seen of one call of close(): how many threads lived when it resolved. */
interface Closing {
  done: boolean;
  living: number;
  error?: unknown;
}

/** Closes pools at work, pools whose threads die, and idle ones. */
export function close(inside: OnStage) {
  const { text, size } = inside.args;
  const isClosed = async (stage: Stage, closing: Closing, when = '') => {
    await stage.until(
      () => closing.done,
      () => `${when}close() did not resolve; ${stage.living.length} threads live`,
    );
    if ('error' in closing) fault(`close() rejected with ${inWords(closing.error)}`);
    if (closing.living > 0) fault(`close() resolved while ${closing.living} threads lived`);
  };
  const beginClose = (stage: Stage) => {
    const closing: Closing = { done: false, living: 0 };
    stage.pool.close().then(
      () => Object.assign(closing, { done: true, living: stage.living.length }),
      (error: unknown) => Object.assign(closing, { done: true, error }),
    );
    return closing;
  };
  const expectRefused = async (stage: Stage, when: string) =>
    await stage.rejects(
      stage.run('echo', { name: `a task given ${when}` }),
      (reason) => reason instanceof Error,
      'an error',
    );
  return play(inside, async (stage) => {
    const before = openResources();
    stage.open(size);
    const calls = stage.runMany(size + 2, 'hold', { value: text, name: 'a task accepted before close()' });
    await stage.begins(...calls.slice(0, size));
    const controller = new AbortController();
    const aborted = stage.run('hold', { controller, name: 'a task aborted after close()' });
    const closings = [beginClose(stage), beginClose(stage)];
    await expectRefused(stage, 'after close()');
    controller.abort(new Error(text));
    await stage.settles(aborted);
    for (const call of calls) {
      if (closings.some(({ done }) => done)) fault('close() settled before the last task had ended');
      stage.letGo(call);
      await stage.returns(call, text);
    }
    for (const closing of closings) await isClosed(stage, closing);
    await isClosed(stage, beginClose(stage));
    await expectRefused(stage, 'to a closed pool');

    // A thread dies, and others wait, while the pool closes.
    stage.open(1);
    const first = stage.run('exit later', { value: 3, name: 'a task that ends its thread' });
    const waiting = stage.runMany(2, 'echo', {
      value: text,
      name: 'a task that waited for a thread that died after close()',
    });
    const closing = beginClose(stage);
    await stage.settles(first);
    for (const call of waiting) await stage.returns(call, text);
    await isClosed(stage, closing);

    for (const used of [true, false]) {
      stage.open(size);
      if (used) await stage.returns(stage.run('echo', { value: text }), text);
      await isClosed(stage, beginClose(stage));
    }
    await stage.until(
      () => openResources().length <= before.length,
      () => `open before were ${inWords(before)}, and after close() ${inWords(openResources())}`,
    );

    for (const when of ['before', 'after']) {
      stage.open(size);
      const starting = new AbortController();
      const tasks = { controller: starting, name: `one of ${size + 1} first tasks, all aborted just ${when} close(),` };
      const aborting = stage.runMany(size + 1, 'echo', tasks);
      if (when === 'before') starting.abort(new Error(text));
      const atStart = beginClose(stage);
      starting.abort(new Error(text));
      await stage.settles(...aborting);
      await isClosed(stage, atStart, `a new pool got ${size + 1} tasks, and all were aborted just ${when} close(): `);
    }

    for (const when of ['before', 'after']) {
      stage.open(1);
      const endless = stage.run('spin', { controller: new AbortController(), name: `a task aborted ${when} close()` });
      await stage.begins(endless);
      if (when === 'before') endless.controller.abort();
      const atAbort = beginClose(stage);
      endless.controller.abort();
      // Whether its thread ends is up to promise 8.
      if ((await becomes(() => atAbort.done)) || stage.living.length === 0) await isClosed(stage, atAbort);
    }
  });
}

/** Buffers that are moved, to tasks that begin at once and to tasks that wait; and one that is not. */
export function move(inside: OnStage<Given & { lengths: readonly number[] }>) {
  const { lengths, text } = inside.args;
  return play(inside, async (stage) => {
    stage.open(1);
    const first = stage.run('hold', { value: text });
    await stage.begins(first);
    const filled = (length: number) => new Uint8Array(length).fill(length % 7).buffer;
    const seen = lengths.map((length) => [length, length * (length % 7)]);
    for (const deed of ['a task that waited', 'a task']) {
      const [moved, copied] = [lengths.map(filled), lengths.map(filled)];
      const name = `${deed} with ${lengths.length} buffers`;
      const call = stage.run('add', { value: moved, transfer: moved, name });
      const other = stage.run('add', { value: copied, name: `${name} to copy` });
      stage.letGo(first);
      await stage.returns(call, seen);
      await stage.returns(other, seen);
      const left = moved.filter(({ detached }) => !detached).length;
      if (left > 0) fault(`${left} of ${moved.length} buffers in transfer were copied: their caller still has them`);
      const lost = copied.filter(({ detached }) => detached).length;
      if (lost > 0) fault(`${lost} buffers that were not in transfer were taken from their caller`);
    }
    const own = Uint8Array.from({ length: 8 }, (_, index) => index);
    const results = { buffer: own.buffer, view: own, part: own.slice(2, 5), nested: { list: [own.buffer] } };
    for (const [kind, result] of Object.entries(results))
      for (const call of stage.runMany(2, 'keep', {
        value: kind,
        name: `a task that returns a ${kind} of its thread’s`,
      }))
        await stage.returns(call, result);

    const [buffer] = [filled(8)];
    const wrong = stage.run('add', {
      value: [buffer],
      transfer: [buffer, buffer],
      name: 'a task with one buffer twice in transfer',
    });
    await stage.rejects(wrong, (reason) => reason instanceof Error, 'an error');
    await stage.expectFullSize('a transfer that failed');
  });
}

/** Makes a pool whose tasks end in each way, for `finishTasks` to run. */
export async function openForFinished({ kata, args, kept }: OnStage): Promise<void> {
  const pool = kata.createWorkerPool(args.file, { size: args.size });
  const board = new Int32Array(new SharedArrayBuffer(4 * 64));
  kept.finished = {
    pool,
    board,
    run: async (deed, { at = 4, value, signal }) =>
      await pool.run({ deed, board, at, value }, signal ? { signal } : {}).catch(() => undefined),
  };
}

/** Runs tasks that return, that fail, and that are aborted while they wait; says what is left of them. */
export async function finishTasks({ args, kept }: OnStage<Given & { rounds: number; bytes: number; isLast: boolean }>) {
  const { run, board } = kept.finished!;
  const { signal } = new AbortController();
  for (let round = 0; round < args.rounds; round++) {
    const controller = new AbortController();
    const tasks = Array.from({ length: 20 }, (_, index) =>
      run('echo', { value: `${round} ${index} `.padEnd(args.bytes, args.text), signal }),
    );
    tasks.push(run('reject', { value: args.text, signal }));
    const aborted = Array.from({ length: 4 }, () =>
      run('echo', { value: `${round} `.padEnd(args.bytes, args.text), signal: controller.signal }),
    );
    controller.abort();
    await Promise.all([...tasks, ...aborted]);
  }
  if (args.isLast) await run('echo', { value: () => undefined, signal });
  const onSignal = getEventListeners(signal, 'abort').length;
  // Counted while each thread has one task, and none is still ending.
  const ats = Array.from({ length: args.size }, (_, index) => 8 + 4 * index);
  for (const at of ats) Atomics.store(board, at + 2, 0);
  const held = ats.map((at) => run('hold', { at }));
  const living = () => kept.threads.filter(({ threadId }) => threadId !== -1);
  await becomes(() => Atomics.load(board, 0) === args.size && living().length <= args.size);
  const listeners = living().map((thread) =>
    thread.eventNames().reduce((sum, name) => sum + thread.listenerCount(name), 0),
  );
  const resources = process
    .getActiveResourcesInfo()
    .filter((kind) => kind === 'Timeout' || kind === 'MessagePort').length;
  for (const at of ats) Atomics.store(board, at + 2, 1);
  await Promise.all(held);
  return { onSignal, onThreads: listeners.reduce((sum, count) => sum + count, 0), resources };
}

/** Runs tasks that end their threads, and says how many listeners they left on their signal. */
export async function finishByDeath({ kept }: OnStage): Promise<number> {
  const { signal } = new AbortController();
  for (const deed of ['exit', 'throw in a timer']) {
    let isOver = false;
    void kept.finished!.run(deed, { value: 1, signal }).then(() => (isOver = true));
    // Whether it settles at all is up to promise 6.
    if (!(await becomes(() => isOver))) return 0;
  }
  const left = () => getEventListeners(signal, 'abort').length;
  // A thread that died of an error exits a moment later.
  await becomes(() => left() === 0);
  return left();
}

/** Runs a batch of small tasks, and says what it cost. The first call opens the pool. */
export async function runBatch({ kata, args, kept }: OnStage<Given & { tasks: number }>) {
  kept.batches ??= {
    pool: kata.createWorkerPool(args.file, { size: args.size }),
    board: new Int32Array(new SharedArrayBuffer(4 * 16)),
  };
  const { pool, board } = kept.batches;
  const [cpuBefore, before] = [process.cpuUsage(), performance.now()];
  const results = await Promise.all(
    Array.from({ length: args.tasks }, (_, index) => pool.run({ deed: 'echo', board, at: 4, value: index + 1 })),
  );
  const wallMs = performance.now() - before;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wallMs, cpuMs: (user + system) / 1000, areRight: results.every((result, index) => result === index + 1) };
}
