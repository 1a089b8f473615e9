import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { spawnLeashed } from '../../foundations/processes/spawn-leashed.ts';
import { startModule } from '../../judging/subject/subject.ts';
import { startBusyLoops } from '../../foundations/processes/busy-loops.ts';
import { useWorkspace } from '../../judging/subject/use-workspace.ts';
import { atRest } from './gauges.ts';
import { hasProc, ofThisThread } from '../../foundations/processes/proc.ts';
import { beginWork } from './work-clock.ts';

const workspace = await useWorkspace();
const workMs = 300;
/** What a worker's other threads may do meanwhile, and the steps in which CPU time is told. */
const slackMs = 100;

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

test('a busy machine makes work of this thread no longer', async ({ skip }) => {
  if (!hasProc) skip('There is no /proc here.');
  using _load = startBusyLoops(4 * availableParallelism());
  const beganAt = performance.now();
  const before = ofThisThread();
  const spentMs = await beginWork(['this thread']);

  // The loops are in this process's session, and so in its way, where the kernel shares its time out by session.
  const { user } = process.threadCpuUsage();
  while (process.threadCpuUsage().user - user < workMs * 1000);
  const spent = await spentMs();
  const waitedMs = ofThisThread().waitedForCpuMs - before.waitedForCpuMs;

  expect(spent).toBeGreaterThanOrEqual(workMs - 20);
  expect(spent).toBeLessThanOrEqual(performance.now() - beganAt - waitedMs + slackMs);
});

/** Says that it is there; works once it is asked to, and tells how long its thread had waited before and after that, in ns. */
const workerScript = `
  const waitedNs = () => require('node:fs').readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[1];
  process.stdin.once('data', () => {
    const before = waitedNs();
    const { user } = process.threadCpuUsage();
    while (process.threadCpuUsage().user - user < ${workMs * 1000});
    console.log(before, waitedNs());
  });
  console.log('ready');`;

test('nor that of a process', async ({ skip }) => {
  if (!hasProc) skip('There is no /proc here.');
  // In this process's session as well, and not this process itself: other tests run in threads of it.
  const worker = spawnLeashed(process.execPath, ['-e', workerScript], { stdio: ['pipe', 'pipe', 'inherit'] });
  using lines = createInterface({ input: worker.stdout! });
  await once(lines, 'line');
  using _load = startBusyLoops(4 * availableParallelism());
  const beganAt = performance.now();
  const spentMs = await beginWork([worker.pid!]);

  worker.stdin!.end('work\n');
  const [told] = (await once(lines, 'line')) as [string];
  const spent = await spentMs();
  const [before, after] = told.split(' ').map(Number) as [number, number];

  expect(spent).toBeGreaterThanOrEqual(workMs - 20);
  expect(spent).toBeLessThanOrEqual(performance.now() - beganAt - (after - before) / 1e6 + slackMs);
});

test('without workers it is the time by the clock', async () => {
  const beganAt = performance.now();
  const spentMs = await beginWork([]);

  await pause(50);
  const spent = await spentMs();

  expect(spent).toBeGreaterThanOrEqual(45);
  expect(spent).toBeLessThanOrEqual(performance.now() - beganAt);
});
