import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// The katas' judges. `npm test` runs them, and plain `vitest` does too.
export default defineConfig({
  test: {
    include: ['tests/*/*.test.ts'],
    globalSetup: ['helpers/mysql-server/global-setup.ts'],
    setupFiles: [
      'helpers/judging/subject/inside/wake-pool.js',
      'helpers/judging/run/adopt-settings.ts',
      'helpers/judging/run/only-asked.ts',
      'helpers/judging/run/end-of-thread.ts',
    ],
    reporters: ['./helpers/judging/verdict/board-reporter.ts'],
    pool: 'threads',
    // Not in node_modules: the modules that are judged may read there.
    fsModuleCachePath: '.cache/vitest',
    // A judge also waits, so that two cores serve more than Vitest's one worker. Judges that share a server take turns.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Limits for what never comes, well above what a busy laptop needs. Nothing is judged by them.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // A judge never imports the module that it judges, so Vitest cannot see by itself what a change concerns.
    watchTriggerPatterns: [
      {
        pattern: /(?:katas|solutions)[\\/]([^\\/]+)[\\/][^\\/]+\.(?:ts|sql|md)$/,
        testsToRun: (_file, [, slug]) => `tests/${slug}/${slug}.test.ts`,
      },
    ],
    chaiConfig: { truncateThreshold: 400 },
  },
});
