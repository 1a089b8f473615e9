import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import { testFolder } from '../../foundations/processes/test-folder.ts';
import { SubjectsOfFile } from './subjects-of-file.ts';

const workspace = await testFolder(afterAll);

interface Sleepy {
  sleep(): Promise<void>;
}

/** The processes of a module with this source. */
async function subjectsOf(source: string, slug = 'event-emitter'): Promise<SubjectsOfFile<Sleepy>> {
  const file = join(workspace, 'module.ts');
  await writeFile(file, source);
  vi.stubEnv('KATA_TARGET', file);
  const subjects = new SubjectsOfFile<Sleepy>(slug, { workspace, spares: 0 });
  vi.unstubAllEnvs();
  onTestFinished(() => subjects[Symbol.asyncDispose]());
  return subjects;
}

const sleeps = 'export const sleep = () => new Promise(() => undefined);';

test('Before anything has hung, a process gets its full limit.', async () => {
  const subjects = await subjectsOf(sleeps);
  const subject = await subjects.fresh({ limitMs: 2000 });

  await expect(subject.evaluate(({ sleep }) => sleep())).rejects.toThrow('stopped after 2 s');
  expect(subject.hasHung).toBe(true);
});

test('After a call has hung, later processes get a quarter of their limit.', async () => {
  const subjects = await subjectsOf(sleeps);
  const first = await subjects.fresh({ limitMs: 2000 });
  await expect(first.evaluate(({ sleep }) => sleep())).rejects.toThrow('stopped after 2 s');

  const second = await subjects.fresh({ limitMs: 8000 });

  await expect(second.evaluate(({ sleep }) => sleep())).rejects.toThrow('stopped after 2 s');
});

test('After the third call that has hung, later processes get less than a quarter.', async () => {
  const subjects = await subjectsOf(sleeps);
  for (const limitMs of [1000, 4000, 4000]) {
    const subject = await subjects.fresh({ limitMs });
    await expect(subject.evaluate(({ sleep }) => sleep())).rejects.toThrow('stopped after 1 s');
  }

  const fourth = await subjects.fresh({ limitMs: 10_000 });

  await expect(fourth.evaluate(({ sleep }) => sleep())).rejects.toThrow('stopped after 1.5 s');
});

test('A call that throws does not shorten the limit of later processes.', async () => {
  const subjects = await subjectsOf(`${sleeps} export const fail = () => { throw new Error('no'); };`);
  const first = await subjects.fresh({ limitMs: 2000 });
  await expect(first.evaluate((kata) => (kata as unknown as { fail(): void }).fail())).rejects.toThrow('no');

  const second = await subjects.fresh({ limitMs: 2000 });

  await expect(second.evaluate(({ sleep }) => sleep())).rejects.toThrow('stopped after 2 s');
});

test('A module that hung while it loaded is not loaded again.', async () => {
  const subjects = await subjectsOf('await new Promise(() => setInterval(() => undefined, 1e6));');
  const failure = await subjects.fresh({ limitMs: 2000 }).catch((error: unknown) => error);

  const again = await subjects.fresh({ limitMs: 8000 }).catch((error: unknown) => error);

  expect(failure).toHaveProperty('message', expect.stringContaining('stopped after 2 s of loading'));
  expect(again).toBe(failure);
});

test('A process of its own may leave out the need for the heap, and then V8 optimizes the module.', async () => {
  const subjects = await subjectsOf(sleeps, 'memory-leak');
  const isExact = () => process.execArgv.includes('--no-opt');

  const usual = await subjects.fresh();
  const optimized = await subjects.fresh({ needs: [] });

  expect(await usual.evaluate(isExact)).toBe(true);
  expect(await optimized.evaluate(isExact)).toBe(false);
});
