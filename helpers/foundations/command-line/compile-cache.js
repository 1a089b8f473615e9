// Named by `--import` in the npm scripts: Node keeps what it compiled, so that the next run starts half a second sooner.
// `npm ci` throws it away. The modules that are judged neither read nor write it.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

const { directory } = enableCompileCache(join(import.meta.dirname, '../../../.cache/node'));
// For the threads of Vitest.
if (directory) process.env.NODE_COMPILE_CACHE ??= directory;
