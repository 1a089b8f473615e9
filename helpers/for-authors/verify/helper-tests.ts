import { join } from 'node:path';
import { startVitest } from 'vitest/node';
import { containerTests } from '../../vitest.config.ts';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

/** Runs the helpers' own tests, or those in containers, and counts them; those that fail are shown, and why others are skipped. */
export async function runHelperTests(
  which: 'helpers' | 'containers',
): Promise<{ passed: number; failed: number; skipped: number }> {
  const vitest = await startVitest('test', [], {
    root: repositoryRoot,
    config: join(repositoryRoot, 'helpers', 'vitest.config.ts'),
    watch: false,
    reporters: ['default'],
    ...(which === 'containers' && { include: [containerTests], exclude: [] }),
  });
  const tests = vitest.state.getTestModules().flatMap((module) => [...module.children.allTests()]);
  const count = (state: string) => tests.filter((test) => test.result().state === state).length;
  const broken = vitest.state
    .getTestModules()
    .filter((module) => !module.ok() && [...module.children.allTests('failed')].length === 0).length;
  const failed = count('failed') + broken + vitest.state.getUnhandledErrors().length;
  await vitest.close();
  return { passed: count('passed'), failed, skipped: count('skipped') };
}
