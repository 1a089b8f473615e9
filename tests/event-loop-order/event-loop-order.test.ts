import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noStuckDisk, stickDisk } from '../../helpers/instruments/disk/stuck-disk.ts';
import { expectForDrawn } from '../../helpers/judging/drawn/drawn.ts';
import { useSubject } from '../../helpers/judging/subject/use-subject.ts';
import { contrast } from '../../helpers/judging/verdict/contrast.ts';
import { expectThat } from '../../helpers/judging/verdict/expect-that.ts';
import { once } from '../../helpers/foundations/waiting/once.ts';
import { useWorkspace } from '../../helpers/judging/subject/use-workspace.ts';
import type * as Kata from '../../katas/event-loop-order/event-loop-order.ts';
import { observeDrain } from './drains.ts';
import { drawLarge, drawSmall, execute, sourceOf } from './program.ts';
import { type KeptRuns, type Run, type RunSeen, type Said, observeRuns } from './runs.ts';

const callers = ['I/O', 'timer', 'immediate'] as const;
const content = 'Grüße aus der Datei';
const fileStep = `file: ${content}`;
const steps = ['script', 'nextTick', 'microtask', fileStep, 'file nextTick', 'file microtask', 'immediate', 'timer'];
const [resolves, returns, waiting] = ['(the promise resolves)', '(the call returns)', '(a microtask that was waiting)'];
const laterTimer = '(a timer that was set in the I/O callback)';
const tasksATurn = 10;

const workspace = await useWorkspace();
const file = join(workspace, 'greeting.txt');
await writeFile(file, content);
const folder = join(workspace, 'folder');
await mkdir(folder);

describe('core', () => {
  test('run does its steps in the order of the table, and resolves after the last of them.', async () => {
    for (const { how, account } of [...(await slowRuns()), ...(await calmRuns())]) {
      const said = account.map(({ step }) => step).filter((step) => !step.startsWith('(') || step === resolves);
      expectSame([...steps, resolves], said, how);
    }
  });

  test('Its nextTick comes before every microtask that is waiting, and its microtask before the event loop goes on.', async () => {
    for (const { how, account } of await calmRuns()) {
      const ofCaller = ['script', returns, 'nextTick', waiting, 'microtask'];
      const said = placed(account, (step) => ofCaller.includes(step));
      expectSame(
        ofCaller.map((step) => `${step} · the caller’s callback`),
        said,
        `${how}; what was said, and where`,
      );
    }
  });

  test('It reads the file without waiting for it, and what follows the file comes before the event loop goes on.', async () => {
    for (const { how, account } of await calmRuns()) {
      const said = placed(account, (step) => step.startsWith('file'));
      expectSame(
        [`${fileStep} · an I/O callback`, 'file nextTick · the same callback', 'file microtask · the same callback'],
        said,
        `${how}; what was said, and where`,
      );
    }
  });

  test('Its immediate comes before any timer that is set in the I/O callback, and its timer is one.', async () => {
    // A timer that is not due yet can only lose: the thread is held until it is.
    for (const { how, account } of await observe(fromEach(file, fileStep), 'one by one')) {
      const inOrder = placed(account, (step) => step === 'immediate' || step === laterTimer);
      const timer = placed(account, (step) => step === 'timer');
      expectSame(
        ['immediate · an immediate', `${laterTimer} · a timer`, 'timer · a timer'],
        [...inOrder, ...timer],
        `${how}; what was said, and where`,
      );
    }
  });
});

describe('robust', () => {
  test('The order and the places are the same in 200 runs, whoever calls, however slow the disk and however busy the thread.', async () => {
    const holds = [undefined, ...steps];
    const runs = Array.from({ length: 100 }, (_, index): Run => {
      const holdAt = holds[Math.floor(index / callers.length) % holds.length];
      return { caller: callers[index % callers.length]!, file, ...(holdAt !== undefined && { holdAt }) };
    });

    const observed = [
      ...(await slowRuns()),
      ...(await observe(runs, 'side by side')),
      ...(await observe(runs, 'one by one')),
    ];

    for (const { how, account } of observed)
      expectSame(wholeAccount(), placed(withoutFreeTimer(account)), `${how}; what was said, and where`);
  });

  test('A file that cannot be read makes run reject with its error, after the first three steps and without the others.', async () => {
    const missing: [what: string, path: string, code: string][] = [
      ['there is no file', join(workspace, 'missing.txt'), 'ENOENT'],
      ['the file is a folder', folder, 'EISDIR'],
    ];
    for (const [what, path, code] of missing)
      for (const { how, account, end } of await observe(fromEach(path), 'one by one')) {
        const said = account.map(({ step }) => step).filter((step) => !step.startsWith('('));
        expectSame([...steps.slice(0, 3), `run has rejected with ${code}`], [...said, `run ${end}`], `${what}, ${how}`);
      }
  });

  test('drain runs each task once, in order, and resolves after the last; one that throws ends it with its error.', async () => {
    const subject = await kataProcess();
    for (const count of [0, 1, 25]) {
      const { order, end } = await subject.evaluate(observeDrain, { count });
      expect({ order, end }, `${count} tasks; the order in which they ran, and how drain ended`).toEqual({
        order: [...Array(count).keys()],
        end: 'resolved',
      });
    }
    for (const throwsAt of [0, 12]) {
      const { order, end } = await subject.evaluate(observeDrain, { count: 25, throwsAt });
      expect({ order, end }, `25 tasks, and number ${throwsAt} throws; those that ran, and how drain ended`).toEqual({
        order: [...Array(throwsAt + 1).keys()],
        end: 'rejected with OF_A_TASK',
      });
    }
  });

  test('drain runs at most ten tasks in one turn of the event loop, so it keeps neither timers nor I/O waiting.', async () => {
    const { most, beforeTimer } = await (await kataProcess()).evaluate(observeDrain, { count: 1000 });

    expect(most, 'of 1000 tasks, the most that ran in one turn of the event loop').toBeLessThanOrEqual(tasksATurn);
    expect(
      beforeTimer,
      'a timer had been due since the first of 1000 tasks; tasks that ran before it fired',
    ).toBeLessThanOrEqual(2 * tasksATurn);
  });
});

describe('stretch', () => {
  test('predict tells the order of nextTicks, microtasks and async functions as Node keeps it.', async () => {
    await expectPredicted(drawSmall);
  });

  test('predict tells the order of immediates and timers, too, as Node keeps it.', async () => {
    await expectPredicted(drawLarge);
  });
});

type Program = Kata.Program;

async function expectPredicted(examples: fc.Arbitrary<Program>): Promise<void> {
  await expectForDrawn({
    examples,
    count: 300,
    ask: async (programs: readonly Program[]) => {
      const really = await execute(programs);
      const predicted = await (
        await kataProcess()
      ).evaluate((kata, all) => all.map((program) => [...kata.predict(program)].map(String).slice(0, 1000)), programs);
      return programs.map((_, index) => contrast(really[index]!, predicted[index], ['Node', 'predicted']));
    },
    fault: (difference) => difference && `is predicted otherwise than Node does it\n${difference}\n`,
    inWords: sourceOf,
  });
}

/** The module's process. */
const { running: kataProcess } = useSubject<typeof Kata, KeptRuns>('event-loop-order');

/** One run, and how it was done, in words. */
interface Observed extends RunSeen {
  readonly how: string;
}

/** One run from each kind of callback, with nothing else to do; seen once, for all promises that are about it. */
const calmRuns = once(() => observe(fromEach(file), 'one by one'));

/** A run while the disk hangs, for as long as any timer of it is to come; none where a disk cannot be made to hang. */
const slowRuns = once(async () => {
  if (noStuckDisk !== undefined) return [];
  const subject = await kataProcess();
  const runs: Run[] = [{ caller: 'timer', file }];
  await using disk = await stickDisk(subject, workspace);
  await subject.evaluate(observeRuns, { runs, way: 'in the background' });
  await subject.evaluate(async (_kata, _args, kept) => await kept.timersDone!());
  await disk.release();
  const seen = await subject.evaluate(async (_kata, _args, kept) => await kept.observing!);
  return withWords(runs, seen, 'while the disk was slow');
});

function fromEach(path: string, holdAt?: string): Run[] {
  return callers.map((caller) => ({ caller, file: path, ...(holdAt !== undefined && { holdAt }) }));
}

async function observe(runs: readonly Run[], way: 'one by one' | 'side by side'): Promise<Observed[]> {
  return withWords(runs, await (await kataProcess()).evaluate(observeRuns, { runs, way }), way);
}

function withWords(runs: readonly Run[], seen: readonly RunSeen[], way: string): Observed[] {
  return runs.map(({ caller, holdAt }, index) => {
    const held = holdAt === undefined ? '' : `, and the thread was busy for a while at "${holdAt}"`;
    const from = { 'I/O': 'an I/O callback', timer: 'a timer', immediate: 'an immediate' }[caller];
    return {
      ...seen[index]!,
      how: `called from ${from}, ${runs.length > 1 ? `${runs.length} runs ` : ''}${way}${held}`,
    };
  });
}

function wholeAccount(): string[] {
  const [script, tick, microtask, read, readTick, readMicrotask, immediate, timer] = steps;
  return [
    ...[script, returns, tick, waiting, microtask].map((step) => `${step} · the caller’s callback`),
    `${read} · an I/O callback`,
    ...[readTick, readMicrotask].map((step) => `${step} · the same callback`),
    `${immediate} · an immediate`,
    ...[timer, resolves].map((step) => `${step} · a timer`),
  ];
}

/** Once the immediate has come, the later timer may come when it likes. */
function withoutFreeTimer(account: readonly Said[]): Said[] {
  const immediate = account.findIndex(({ step }) => step === 'immediate');
  return account.filter(({ step }, index) => step !== laterTimer || index < immediate);
}

/** What was said, with the callback of the event loop in which it was said. */
function placed(account: readonly Said[], isWanted: (step: string) => boolean = () => true): string[] {
  const ofCaller = account.find(({ step }) => step === returns)?.callback;
  const ofFile = account.find(({ step }) => step.startsWith('file: '));
  return account
    .filter(({ step }) => isWanted(step))
    .map((said) => {
      const where =
        said.callback === ofCaller
          ? 'the caller’s callback'
          : said !== ofFile && said.callback === ofFile?.callback
            ? 'the same callback'
            : { 'I/O': 'an I/O callback', timer: 'a timer', immediate: 'an immediate' }[said.place];
      return `${said.step} · ${where ?? 'another callback'}`;
    });
}

function expectSame(expected: readonly string[], seen: readonly string[], what: string): void {
  const difference = contrast(expected, seen, ['as promised', 'yours']);
  expectThat(difference === undefined, `${what}\n${difference}`);
}
