import { join } from 'node:path';
import { startVitest } from 'vitest/node';
import { repositoryRoot } from '../../foundations/catalogue/target.ts';

/** Runs the helpers' own tests and counts them; those that fail are shown, those that are skipped with their reason. */
export async function runHelperTests(): Promise<{ passed: number; failed: number; skipped: number }> {
  const vitest = await startVitest('test', [], {
    root: repositoryRoot,
    config: join(repositoryRoot, 'helpers', 'vitest.config.ts'),
    watch: false,
    reporters: ['default'],
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
