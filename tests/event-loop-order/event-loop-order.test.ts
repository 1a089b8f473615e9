import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type fc from 'fast-check';
import { describe } from 'vitest';
import { noStuckDisk, stickDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { contrast } from '../../helpers/judging/verdict/contrast.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import type * as Kata from '../../katas/event-loop-order/event-loop-order.ts';
import {
  finishRuns,
  observeDrain,
  observeDrainsSideBySide,
  observeRuns,
  predictAll,
  startRunsAndAwaitTimers,
  synchronousReads,
} from './inside.ts';
import type { Logged, Run, RunSeen } from './observe-runs.ts';
import { drawLarge, drawSmall, execute, sourceOf } from './programs.ts';

const callers = ['I/O', 'timer', 'immediate'] as const;
const content = 'Grüße aus der Datei';
const fileStep = `file: ${content}`;
/** No chunk of an even number of bytes ends between two letters. */
const largeContent = `a${'ü'.repeat(100_000)}`;
const mediumContent = largeContent.slice(0, 35_000);
const otherContent = mediumContent.replaceAll('ü', 'ö');
const steps = ['script', 'nextTick', 'microtask', fileStep, 'file nextTick', 'file microtask', 'immediate', 'timer'];
const [resolves, returns, waiting] = ['(the promise resolves)', '(the call returns)', '(a waiting microtask)'];
const laterTimer = '(a timer set in the I/O callback)';
const mostTasksInOneTurn = 10;

const test = judge<typeof Kata>('event-loop-order')
  .extend('paths', { scope: 'file' }, async ({ workspace }) => {
    const paths = {
      file: join(workspace, 'greeting.txt'),
      large: join(workspace, 'letters.txt'),
      medium: join(workspace, 'fewer-letters.txt'),
      other: join(workspace, 'other-letters.txt'),
      empty: join(workspace, 'empty.txt'),
      missing: join(workspace, 'missing.txt'),
      folder: join(workspace, 'folder'),
    };
    await writeFile(paths.file, content);
    await writeFile(paths.large, largeContent);
    await writeFile(paths.medium, mediumContent);
    await writeFile(paths.other, otherContent);
    await writeFile(paths.empty, '');
    await mkdir(paths.folder);
    return paths;
  })
  /** One run per kind of caller, on an idle machine. */
  .extend('calmRuns', async ({ subject, paths }) => await observe(subject, fromEachCaller(paths.file), 'one by one'))
  /** One run whose read hangs until no timer or immediate of the module is left; empty where no disk can be made to hang. */
  .extend('slowRuns', async ({ subject, paths, workspace }) => {
    if (noStuckDisk !== undefined) return [];
    const runs: Run[] = [{ caller: 'timer', file: paths.file }];
    await using disk = await stickDisk(subject, workspace);
    await subject.run(startRunsAndAwaitTimers, runs);
    await disk.release();
    return withWords(runs, await subject.run(finishRuns), 'while the disk hung');
  });

describe('core', () => {
  test('run must do its steps in the order of the table and resolve after the last one.', async ({
    subject,
    paths,
    calmRuns,
    slowRuns,
  }) => {
    for (const { did, account } of [...slowRuns, ...calmRuns]) {
      const logged = account.map(({ step }) => step).filter((step) => !step.startsWith('(') || step === resolves);
      expectSame([...steps, resolves], logged, did);
    }
    await expectRead(subject, [[paths.large, largeContent]]);
    await expectRead(subject, [[paths.empty, '']]);
  });

  test('nextTick must come before every waiting microtask, and microtask before the event loop goes on.', async ({
    calmRuns,
  }) => {
    const inCall = ['script', returns, 'nextTick', waiting, 'microtask'];
    for (const { did, account } of calmRuns) {
      expectSame(
        inCall.map((step) => `${step} · the caller’s callback`),
        withPlaces(account, (step) => inCall.includes(step)),
        did,
      );
    }
  });

  test('run must not block while it reads, and both file steps must come before the event loop goes on.', async ({
    subject,
    paths,
    calmRuns,
  }) => {
    for (const { did, account } of calmRuns) {
      expectSame(
        [`${fileStep} · an I/O callback`, 'file nextTick · the same callback', 'file microtask · the same callback'],
        withPlaces(account, (step) => step.startsWith('file')),
        did,
      );
    }

    const before = await subject.run(synchronousReads);
    await expectRead(subject, [[paths.file, content]]);
    const reads = (await subject.run(synchronousReads)) - before;
    expectThat(reads === 0, `a small file was read; synchronous reads, during which nobody else gets a turn: ${reads}`);
  });

  test('immediate must come before any timer set in the I/O callback, and timer must come from a timer.', async ({
    subject,
    paths,
  }) => {
    // A timer that is not due cannot win, so the thread is held until it is due.
    for (const { did, account } of await observe(subject, fromEachCaller(paths.file, fileStep), 'one by one')) {
      expectSame(
        ['immediate · an immediate', `${laterTimer} · a timer`, 'timer · a timer'],
        [
          ...withPlaces(account, (step) => step === 'immediate' || step === laterTimer),
          ...withPlaces(account, (step) => step === 'timer'),
        ],
        did,
      );
    }
  });
});

describe('robust', () => {
  test('All this must hold in 200 runs: from any caller, side by side, with a slow disk and busy thread.', async ({
    subject,
    paths,
    slowRuns,
  }) => {
    const holds = [undefined, ...steps];
    const runs = Array.from({ length: 100 }, (_, index): Run => {
      const holdAt = holds[Math.floor(index / callers.length) % holds.length];
      return { caller: callers[index % callers.length]!, file: paths.file, ...(holdAt !== undefined && { holdAt }) };
    });
    const sideBySide = await observe(subject, runs, 'side by side');
    const oneByOne = await observe(subject, runs, 'one by one');

    for (const { did, account } of [...slowRuns, ...sideBySide, ...oneByOne])
      expectSame(wholeAccount(), withPlaces(withoutFreeTimer(account)), did);
    await expectRead(subject, [
      [paths.medium, mediumContent],
      [paths.other, otherContent],
      [paths.medium, mediumContent],
    ]);
  });

  test('When the file cannot be read, run must reject with that error after its first three steps.', async ({
    subject,
    paths,
  }) => {
    for (const [what, path, code] of [
      ['the file does not exist', paths.missing, 'ENOENT'],
      ['the file is a folder', paths.folder, 'EISDIR'],
    ] as const)
      for (const { did, account, end } of await observe(subject, fromEachCaller(path), 'one by one')) {
        const logged = account.map(({ step }) => step).filter((step) => !step.startsWith('('));
        expectSame([...steps.slice(0, 3), `run rejected with ${code}`], [...logged, `run ${end}`], `${what}; ${did}`);
      }
    const failing = Array.from({ length: 100 }, (): Run => ({ caller: 'timer', file: paths.missing }));
    const good = [{ caller: 'timer', file: paths.file }] as const;
    const last = (await observe(subject, [...failing, ...good], 'one by one')).at(-1)!;
    expectThat(
      last.end === 'resolved',
      `after ${failing.length} calls with a file that does not exist, run was called with one that does, and ${last.end}`,
    );
  });

  test('drain must run each task once, in order, and resolve; when a task throws, drain must stop and reject.', async ({
    subject,
  }) => {
    for (const count of [0, 1, 25]) {
      const { order, end, looks, alive } = await subject.run(observeDrain, { count });
      expectSame(
        [...taskLines(count), 'drain resolved'],
        [...order.map(taskLine), `drain ${end}`],
        `drain was called with ${count} tasks`,
      );
      expectThat(
        looks === 0 || alive > 0,
        `drain was called with ${count} tasks; while some were left, nothing that it waited for kept the process alive, so in a process that has nothing else to do they never run`,
      );
    }
    for (const throwsAt of [0, 12]) {
      const { order, end } = await subject.run(observeDrain, { count: 25, throwsAt });
      expectSame(
        [...taskLines(throwsAt + 1), 'drain rejected with OF_A_TASK'],
        [...order.map(taskLine), `drain ${end}`],
        `drain was called with 25 tasks, and task ${throwsAt + 1} throws`,
      );
    }
    for (const nothing of [undefined, null]) {
      const { order, end } = await subject.run(observeDrain, { count: 25, throwsAt: 12, thrown: [nothing] });
      expectSame(
        [...taskLines(13), `drain rejected with ${nothing}`],
        [...order.map(taskLine), `drain ${end}`],
        `drain was called with 25 tasks, and task 13 throws ${nothing}`,
      );
    }
    const beside = await subject.run(observeDrainsSideBySide, { count: 25, throwsAt: 12 });
    expectSame(
      [...taskLines(25), 'drain resolved'],
      [...beside.order.map(taskLine), `drain ${beside.end}`],
      'drain was called with 25 tasks, beside another call of which task 13 throws',
    );
  });

  test('drain must run all tasks, but not more than ten in one turn of the event loop.', async ({ subject }) => {
    const { order, mostInOneTurn } = await subject.run(observeDrain, { count: 1000 });

    expectThat(order.length === 1000, `drain was called with 1000 tasks; expected 1000 to run, saw ${order.length}`);
    expectThat(
      mostInOneTurn <= mostTasksInOneTurn,
      `drain was called with 1000 tasks; expected at most ${mostTasksInOneTurn} in one turn of the event loop, saw ${mostInOneTurn}`,
    );
  });
});

describe('stretch', () => {
  test('predict must return Node’s order of nextTicks, microtasks and async functions.', async ({ subject }) => {
    await expectPredicted(subject, drawSmall);
  });

  test('predict must return Node’s order of immediates and timers, too.', async ({ subject }) => {
    await expectPredicted(subject, drawLarge);
  });
});

/** Calls `run` for these files, at once if there are several. */
async function expectRead(
  subject: Subject<typeof Kata>,
  files: readonly (readonly [path: string, written: string])[],
): Promise<void> {
  const runs = files.map(([file, written]): Run => ({ caller: 'I/O', file, letters: 10 + 2 * written.length }));
  const seen = await observe(subject, runs, files.length === 1 ? 'one by one' : 'side by side');
  for (const [at, { account, did }] of seen.entries()) {
    const [, written] = files[at]!;
    const file = account.find(({ step }) => step.startsWith('file: '));
    const bytes = Buffer.byteLength(written);
    expectThat(file !== undefined, `${did}, with a file of ${bytes} bytes; "file: …" was not logged`);
    const text = file!.step.slice('file: '.length);
    const wrongAt = [...written].findIndex((letter, index) => text[index] !== letter);
    expectThat(
      text === written,
      `${did}, with a file of ${bytes} bytes; its text is wrong from letter ${wrongAt + 1} on, and has ${text.length} letters instead of ${written.length}`,
    );
  }
}

async function expectPredicted(subject: Subject<typeof Kata>, examples: fc.Arbitrary<Kata.Program>): Promise<void> {
  await expectForDrawn({
    examples,
    count: 300,
    ask: async (programs: readonly Kata.Program[]) => {
      const inNode = await execute(programs);
      const predicted = await subject.run(predictAll, programs);
      return programs.map((_, index) => contrast(inNode[index]!, predicted[index], ['Node logs', 'predict returns']));
    },
    fault: (difference) => difference && `predict was called with this program; Node executed it\n${difference}\n`,
    inWords: sourceOf,
  });
}

/** What one call did, and in `did` the circumstances in words. */
interface Observed extends RunSeen {
  readonly did: string;
}

function fromEachCaller(file: string, holdAt?: string): Run[] {
  return callers.map((caller) => ({ caller, file, ...(holdAt !== undefined && { holdAt }) }));
}

async function observe(
  subject: Subject<typeof Kata>,
  runs: readonly Run[],
  way: 'one by one' | 'side by side',
): Promise<Observed[]> {
  return withWords(runs, await subject.run(observeRuns, { runs, way }), `${runs.length} calls ${way}`);
}

function withWords(runs: readonly Run[], seen: readonly RunSeen[], way: string): Observed[] {
  return runs.map(({ caller, holdAt }, index) => {
    const from = { 'I/O': 'an I/O callback', timer: 'a timer', immediate: 'an immediate' }[caller];
    const held = holdAt === undefined ? '' : `, with the thread held for 3 ms at "${holdAt}"`;
    return { ...seen[index]!, did: `run was called from ${from}, ${way}${held}` };
  });
}

function wholeAccount(): string[] {
  const [script, tick, microtask, read, readTick, readMicrotask, immediate, timer] = steps;
  return [
    ...[script, returns, tick, waiting, microtask].map((step) => `${step} · the caller’s callback`),
    `${read} · an I/O callback`,
    ...[readTick, readMicrotask].map((step) => `${step} · the same callback`),
    `${immediate} · an immediate`,
    `${timer} · a timer`,
    resolves,
  ];
}

/** After the immediate, the judge's later timer may come at any point. */
function withoutFreeTimer(account: readonly Logged[]): Logged[] {
  const immediate = account.findIndex(({ step }) => step === 'immediate');
  return account.filter(({ step }, index) => step !== laterTimer || index < immediate);
}

/** Each step with the callback of the event loop in which it was logged. */
function withPlaces(account: readonly Logged[], isWanted: (step: string) => boolean = () => true): string[] {
  const callersCallback = account.find(({ step }) => step === returns)?.callback;
  const ofFile = account.find(({ step }) => step.startsWith('file: '));
  return account
    .filter(({ step }) => isWanted(step))
    .map((logged) => {
      const { step, callback } = logged;
      // An answer may close its file before it resolves.
      if (step === resolves) return step;
      if (callback === callersCallback) return `${step} · the caller’s callback`;
      if (logged !== ofFile && callback === ofFile?.callback) return `${step} · the same callback`;
      const where = { 'I/O': 'an I/O callback', timer: 'a timer', immediate: 'an immediate' }[logged.place];
      return `${step} · ${where ?? 'another callback'}`;
    });
}

function taskLines(count: number): string[] {
  return Array.from({ length: count }, (_, number) => taskLine(number));
}

function taskLine(number: number): string {
  return `task ${number + 1} runs`;
}

function expectSame(expected: readonly string[], seen: readonly string[], did: string): void {
  const difference = contrast(expected, seen, ['expected', 'seen']);
  expectThat(difference === undefined, `${did}\n${difference}`);
}
