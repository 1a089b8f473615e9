import { defineConfig } from 'vitest/config';
export default defineConfig({ test: { root: '/work/main', include: ['tests/*/*.test.ts'], globalSetup: ['helpers/try-setup.ts'], testTimeout: 60000, chaiConfig: { truncateThreshold: 400 } } });
