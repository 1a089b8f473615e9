import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, copyFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { repositoryRoot } from '../../helpers/foundations/catalogue/target.ts';
import { hasProc } from '../../helpers/foundations/processes/proc.ts';
import { testFolder } from '../../helpers/foundations/processes/test-folder.ts';
import { until } from '../../helpers/foundations/waiting/until.ts';
import { judge } from '../../helpers/instruments/judge/judge.ts';
import { drawOne } from '../../helpers/judging/drawn/drawn.ts';
import type { Subject } from '../../helpers/judging/subject/subject.ts';
import { expectAtMost, expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { median } from '../../helpers/judging/verdict/median.ts';
import type * as Kata from '../../katas/worker-pool/worker-pool.ts';
import {
  abortAtPipe,
  abortRunning,
  abortWaiting,
  close,
  countTasks,
  deliver,
  die,
  fail,
  fill,
  finishByDeath,
  finishTasks,
  leavePipe,
  move,
  openForFinished,
  readPipe,
  reuse,
  runBatch,
  watchThreads,
} from './inside.ts';
import { startPiscina } from './yardstick.ts';

const tasksFile = join(repositoryRoot, 'tests/worker-pool/tasks.js');
const order = (length: number) =>
  fc.shuffledSubarray(
    Array.from({ length }, (_, index) => index),
    { minLength: length },
  );
const drawn = drawOne(
  fc.record({
    size: fc.integer({ min: 2, max: 4 }),
    text: fc.stringMatching(/^[a-z]{6,12}$/),
    three: order(3),
    six: order(6),
    deeds: order(2).map((turns) => turns.map((turn) => ['hold', 'block'][turn]!)),
    exitCode: fc.integer({ min: 1, max: 200 }),
    lengths: fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 2, maxLength: 4 }),
  }),
);
const { size, text, three, six, deeds, exitCode, lengths } = drawn;
/** Rounds of 20 tasks. Whoever keeps what they returned keeps 6 MB. */
const rounds = 20;
const taskBytes = 16_384;
const heldLimit = 1024 ** 2;
/** What a small task may cost. */
const costLimit = 3;
const batchTasks = 400;
type Cost = Record<'clockMs' | 'cpuMs', number>;

/** How long what never comes is waited for; less once a promise is broken, so that a module that hangs costs one full limit. */
const waitMs = { first: 4_000, later: 1_500 };

const test = judge<typeof Kata>('worker-pool', { furnish: watchThreads, limitMs: 60_000 })
  .extend('given', { scope: 'file' }, async ({ workspace }) => ({
    file: await copyTasks(workspace, text),
    limitMs: waitMs.first,
    size,
    text,
  }))
  .extend('oddFile', { scope: 'file' }, async ({ workspace }) => await copyTasks(workspace, `${text} #1, 100%`));

async function copyTasks(folder: string, name: string): Promise<string> {
  const file = join(folder, `${name}.mjs`);
  await copyFile(tasksFile, file);
  return file;
}

/** Opens a named pipe for writing when somebody is there to read it. */
async function openForReader(pipe: string): Promise<FileHandle | undefined> {
  let writer: FileHandle | undefined;
  await until(async () => {
    // Refused until the reader has come to its open.
    writer = await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
    return writer !== undefined;
  });
  return writer;
}

/** How long the threads of a process have been ready to run without a processor; 0 where no /proc says. */
const waitedForCpuMs = async (subject: Pick<Subject<unknown>, 'fromOutside'>) =>
  hasProc ? await subject.fromOutside('waitedForCpuMs') : 0;

/** Says what was wrong, if something was. */
function expectHeld(given: { limitMs: number }, fault: string | undefined): void {
  if (fault !== undefined) given.limitMs = waitMs.later;
  expectThat(fault === undefined, fault ?? '');
}

describe('core', () => {
  test('run must resolve with its own task’s result; tasks must begin in the order of their calls.', async ({
    subject,
    given,
    oddFile,
  }) => {
    expectHeld(given, await subject.run(deliver, { ...given, turns: three, oddFile }));
  });

  test('Never more than size tasks must run at once, and no thread must idle while a task waits.', async ({
    subject,
    subjects,
    given,
    workspace,
  }) => {
    expectHeld(given, await subject.run(fill, { ...given, deeds, turns: six }));
    // Windows has no named pipe that holds up a read.
    if (process.platform === 'win32') return;
    const pipe = join(workspace, 'pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    const begun = await subject.run(readPipe, { ...given, pipe });
    const writer = begun === undefined ? await openForReader(pipe) : undefined;
    // A container in a virtual machine has pipes of its own: nobody here meets a reader there.
    if (begun === undefined && writer === undefined) return await subjects.end();
    const seen = begun ?? (await subject.run(abortAtPipe, given));
    await writer?.close();
    await subject.run(leavePipe, given);
    expectHeld(given, seen);
  });

  test('Threads must be reused: however many tasks return, at most size threads are started.', async ({
    subject,
    given,
  }) => {
    expectHeld(given, await subject.run(reuse, given));
  });

  test('stats() must count the running and the waiting tasks.', async ({ subject, given }) => {
    expectHeld(given, await subject.run(countTasks, given));
  });
});

describe('robust', () => {
  test('A task that throws, or whose data or result cannot be cloned, must reject only its own call.', async ({
    subject,
    given,
  }) => {
    expectHeld(given, await subject.run(fail, given));
  });

  test('A thread that dies must reject only its own task; the pool must go on at full size.', async ({
    subject,
    given,
  }) => {
    expectHeld(given, await subject.run(die, { ...given, exitCode }));
  });

  test('An aborted waiting task must reject with its signal’s reason, never begin, and leave others alone.', async ({
    subject,
    given,
  }) => {
    expectHeld(given, await subject.run(abortWaiting, { ...given, turns: six }));
  });

  test('An abort must stop a running task, even an endless loop, and harm no other task.', async ({
    subject,
    given,
  }) => {
    expectHeld(given, await subject.run(abortRunning, given));
  });

  test('close() must refuse new tasks, finish accepted ones, and resolve when every thread has ended.', async ({
    subject,
    given,
  }) => {
    expectHeld(given, await subject.run(close, given));
  });
});

describe('stretch', () => {
  test('ArrayBuffers in transfer must be moved to the thread; others must be copied.', async ({ subject, given }) => {
    expectHeld(given, await subject.run(move, { ...given, lengths }));
  });

  test('A finished task must leave no listener and no memory behind.', async ({ fresh, given }) => {
    const subject = await fresh({ limitMs: 20_000 });
    await subject.run(openForFinished, given);
    const args = { ...given, bytes: taskBytes };
    const few = await subject.run(finishTasks, { ...args, rounds: 3, isLast: false });
    expect(few.onSignal, 'listeners on the signal of 63 finished tasks').toBe(0);
    const before = await subject.heldBytes();

    const many = await subject.run(finishTasks, { ...args, rounds, isLast: true });
    const held = (await subject.heldBytes()) - before;

    expect(many.onSignal, 'listeners on the signal of 420 finished tasks').toBe(0);
    expectThat(
      many.onThreads <= few.onThreads,
      `the threads had ${few.onThreads} listeners after 60 tasks, and ${many.onThreads} after 400 more`,
    );
    // A short timer may just be under way; what each task leaves comes to 400.
    const added = Math.max(0, many.resources - few.resources);
    expectAtMost(added, 40, '400 more tasks have left', 'timers and message ports');
    expectAtMost(Math.max(0, held), heldLimit, '400 finished tasks of 16 KB still hold');
    const onLast = await subject.run(finishByDeath, given);
    expect(onLast, 'listeners on the signal of 2 tasks that ended their threads').toBe(0);
  });

  test('Small tasks must cost at most 3 times Piscina’s time, by the clock and of the CPU.', async ({
    fresh,
    given,
    onTestFinished,
  }) => {
    const folder = await testFolder((dispose) => onTestFinished(dispose));
    const piscina = await startPiscina(folder, tasksFile);
    onTestFinished(() => piscina[Symbol.asyncDispose]());
    const subject = await fresh();
    const pools = [
      { pool: subject, file: given.file, costs: [] as Cost[] },
      { pool: piscina, file: join(folder, 'tasks.mjs'), costs: [] as Cost[] },
    ] as const;
    const [own, its] = pools;
    const round = async (tasks: number) => {
      for (const { pool, file, costs } of pools) {
        const waited = await waitedForCpuMs(pool);
        const { areRight, wallMs, cpuMs } = await pool.run(runBatch, { ...given, size: 2, file, tasks });
        const waitedMs = (await waitedForCpuMs(pool)) - waited;
        expect(areRight, `whether ${tasks} small tasks returned what they were given`).toBe(true);
        // On a busy machine, a thread that wants a processor waits for one. Whoever sleeps gains nothing.
        costs.push({ cpuMs, clockMs: Math.max(cpuMs, wallMs - waitedMs) });
      }
    };
    // The first round warms up. Who is that far from the limit after the second need not go on.
    await round(batchTasks / 10);
    await round(batchTasks / 10);
    if (own.costs[1]!.cpuMs < 10 * costLimit * its.costs[1]!.cpuMs) {
      for (const { costs } of pools) costs.length = 0;
      for (let count = 0; count < 15; count++) await round(batchTasks);
    }

    for (const [kind, name] of [
      ['clockMs', 'by the clock'],
      ['cpuMs', 'of the CPU'],
    ] as const) {
      // Each batch is compared with the one beside it, which met the machine in the same state.
      const ratio = median(own.costs.map((cost, at) => cost[kind] / its.costs[at]![kind]));
      expectAtMost(ratio, costLimit, `small tasks took ${name}`, 'times as long as with Piscina');
    }
  });
});
