import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { startModule } from '../subject/subject.ts';
import { startBusyLoops } from '../verify/busy-loops.ts';
import { until } from '../wait/until.ts';
import { useWorkspace } from '../workspace/use-workspace.ts';
import { atRest } from './gauges.ts';
import { hasProc } from './proc.ts';
import { beginWork } from './work-clock.ts';

const workspace = await useWorkspace();
const workMs = 300;

interface Kata {
  burn(ms: number): void;
  sleep(ms: number): Promise<void>;
}

async function start() {
  const file = join(workspace, 'work.ts');
  await writeFile(
    file,
    `const spent = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
    export const burn = (ms: number) => { for (const began = spent(); spent() - began < ms;); };
    export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));`,
  );
  return await startModule<Kata>(file);
}

test('a busy machine makes work no longer', async ({ skip }) => {
  if (!hasProc) skip('There is no /proc here.');
  await using subject = await start();
  using _load = startBusyLoops(4 * availableParallelism());
  let [spent, clockMs] = [0, 0];
  const work = async () => {
    const beganAt = performance.now();
    const spentMs = await beginWork([subject]);
    await subject.evaluate((kata, ms) => kata.burn(ms), workMs);
    [spent, clockMs] = [await spentMs(), performance.now() - beganAt];
  };

  // The loops begin when they get to, and how often they are in the way is the kernel's affair.
  const isKeptWaiting = () => work().then(() => clockMs > 1.3 * workMs);
  expect(await until(isKeptWaiting, 20_000), 'the loops were in the way').toBe(true);

  expect(spent).toBeGreaterThanOrEqual(workMs - 20);
  // Most of what they have kept it waiting must be left out.
  expect(spent).toBeLessThan(workMs + (clockMs - workMs) / 2);
});

test('who sleeps gains nothing', async ({ skip }) => {
  if (!hasProc) skip('There is no /proc here.');
  await using subject = await start();
  // What its threads still do after its start may have to wait for a processor, beside the sleep.
  await atRest(subject);
  const spentMs = await beginWork([subject]);

  await subject.evaluate((kata, ms) => kata.sleep(ms), workMs);

  // Its CPU time alone would be next to nothing.
  expect(await spentMs()).toBeGreaterThanOrEqual(workMs / 2);
});

test('the work of all is counted, and that of this process by its id', async ({ skip }) => {
  if (!hasProc) skip('There is no /proc here.');
  await using subject = await start();
  const spentMs = await beginWork([subject, process.pid]);

  await subject.evaluate((kata, ms) => kata.burn(ms), workMs);
  const first = await spentMs();
  const { user } = process.cpuUsage();
  while (process.cpuUsage().user - user < workMs * 1000);

  expect(first).toBeGreaterThanOrEqual(workMs - 20);
  expect(await spentMs()).toBeGreaterThanOrEqual(2 * workMs - 40);
});

test('without workers it is the time by the clock', async () => {
  const beganAt = performance.now();
  const spentMs = await beginWork([]);

  await pause(50);
  const spent = await spentMs();

  expect(spent).toBeGreaterThanOrEqual(45);
  expect(spent).toBeLessThanOrEqual(performance.now() - beganAt);
});
