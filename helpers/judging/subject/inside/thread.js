// The first code in each thread of a kata's module: what the main thread has lost, the thread loses, too. Node loads it by a flag of
// its own that threads.js gives to each thread.
import { registerHooks } from 'node:module';
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { forgetOriginals, lockLanguage, takeAway } from './lockdown.js';
import { holdThreads, takeInheritance } from './threads.js';

/** The module, by the name under which a thread can import it. */
export let moduleUrl = '';

if (!isMainThread) {
  const { slots, own, url, source } = takeInheritance();
  moduleUrl = url;
  if (url !== '')
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === url ? { url, format: 'module', shortCircuit: true } : next(specifier, context),
      load: (loaded, context, next) =>
        loaded === url ? { format: 'module', source, shortCircuit: true } : next(loaded, context),
    });
  holdThreads(() => ({ url, source }), slots, own);
  takeAway(
    pipeHandle(),
    process.execArgv.some((flag) => flag.startsWith('--allow-fs-write')),
  );
  forgetOriginals();
  lockLanguage();
}

/** A handle of the class of all Unix sockets, of which a thread has none. It is connected to nothing. */
function pipeHandle() {
  let handle;
  const socket = Object.defineProperty(new Socket(), '_handle', {
    get: () => undefined,
    set(made) {
      handle ??= made;
      throw new Error('seen');
    },
  });
  try {
    socket.connect('/nowhere');
  } catch (error) {
    if (handle === undefined) throw error;
  }
  return /** @type {object} */ (/** @type {unknown} */ (handle));
}
