import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['helpers/**/*.test.ts', 'tests/*/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
