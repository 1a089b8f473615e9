import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** These take a minute or more. Vitest orders new files by size and would start these short files last, so the run would wait for them alone. */
const longest = ['for-interviewers/score/tampering', 'for-authors/verify/main', 'for-interviewers/score/main'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = longest.findIndex((name) => moduleId.endsWith(`helpers/${name}.test.ts`));
      return found === -1 ? longest.length : found;
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}

/** What is scored in containers. It needs minutes and a Docker engine, so it has a run of its own: `npm run verify containers`. */
export const containerTests = 'helpers/**/*.containers.test.ts';

// The helpers' own tests: `npm run verify helpers`.
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['helpers/**/*.test.ts'],
    exclude: [containerTests],
    globalSetup: ['helpers/mysql-server/global-setup.ts'],
    setupFiles: [
      'helpers/judging/subject/inside/wake-pool.js',
      'helpers/judging/run/adopt-settings.ts',
      'helpers/judging/run/end-of-thread.ts',
    ],
    // A process with many threads has much memory, and starts others slowly.
    pool: 'forks',
    // Not in node_modules: the modules that are judged may read there.
    fsModuleCachePath: '.cache/vitest',
    sequence: { sequencer: LongestFirst },
    // Much of their time is spent waiting for processes, so that cores serve more workers than they are.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
