import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// The helpers' own tests: `npm run verify helpers`.
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['helpers/**/*.test.ts'],
    globalSetup: ['helpers/mysql/global-setup.ts'],
    pool: 'threads',
    // Much of their time is spent waiting for processes, so that two cores serve more than Vitest's one worker.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
