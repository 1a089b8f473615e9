import { syncBuiltinESMExports } from 'node:module';

/**
 * Changes Node's own modules in the subject's process, before the kata's module loads: whichever way that imports them, it gets the
 * changed ones. For a judge's `inside.ts`. The judge imports that file as well, for the names of its functions, and there nothing
 * is changed: the judge needs a Node that works.
 */
export function inSubject(change: () => void): void {
  // A subject sees next to nothing of the runner's environment, and this least of all.
  if (process.env.VITEST !== undefined) return;
  change();
  syncBuiltinESMExports();
}
