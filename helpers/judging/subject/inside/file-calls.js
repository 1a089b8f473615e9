// Runs in a subject's process that may write files, before the module. Node's permission model refuses fsync, fdatasync,
// fchmod, fchown and futimes to everybody, also for a file that may be written: a module that makes sure of its output
// would fail for it. Here they answer as Node does without that model, but do nothing to the file: a descriptor that
// is not open is refused, and else all is well. What a power cut would leave, or who may read a file, no judge looks at.
// https://nodejs.org/api/permissions.html#limitations-and-known-issues
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { fstat, fstatSync } = fs;
for (const name of ['fsync', 'fdatasync', 'fchmod', 'fchown', 'futimes']) {
  Object.assign(fs, {
    [name]: (/** @type {number} */ descriptor, /** @type {unknown[]} */ ...rest) => {
      const done = /** @type {(error: Error | null) => void} */ (rest.at(-1));
      fstat(descriptor, (error) => done(error));
    },
    [`${name}Sync`]: (/** @type {number} */ descriptor) => void fstatSync(descriptor),
  });
}

const handle = await fs.promises.open(import.meta.filename);
const prototype = Object.getPrototypeOf(handle);
const { stat } = prototype;
for (const name of ['sync', 'datasync', 'chmod', 'chown', 'utimes']) {
  prototype[name] = async function () {
    await stat.call(this);
  };
}
await handle.close();
syncBuiltinESMExports();
