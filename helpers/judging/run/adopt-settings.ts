import { inject } from 'vitest';
import { type Settings, adoptSettings } from '../../foundations/settings.ts';

// Loaded before each test file.

declare module 'vitest' {
  interface ProvidedContext {
    /** Those of the command that runs the tests; without them the environment says. */
    settings?: Settings;
  }
}

const provided = inject('settings');
if (provided) {
  adoptSettings(provided);
  // For the judge of memory-leak, which reads the variable itself.
  Object.assign(process.env, { KATA_EXPLAIN: provided.explain });
}
