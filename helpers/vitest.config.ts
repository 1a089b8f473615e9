import { defineConfig } from 'vitest/config';

// The helpers' own tests: `npm run verify helpers`.
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['helpers/**/*.test.ts'],
    globalSetup: ['helpers/mysql/global-setup.ts'],
    pool: 'threads',
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
