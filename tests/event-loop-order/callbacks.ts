import { AsyncResource } from 'node:async_hooks';

/**
 * The kind of a callback that the loop itself calls, by what `init` of async_hooks tells of it; undefined for what runs before the loop
 * goes on. An `AsyncResource` is a scope that JavaScript opens, as `AsyncLocalStorage.bind` and `stream.finished` do.
 */
export function kindOfCallback(type: string, resource: object): 'I/O' | 'timer' | 'immediate' | 'other' | undefined {
  if (['PROMISE', 'TickObject'].includes(type) || resource instanceof AsyncResource) return undefined;
  if (type === 'Timeout') return 'timer';
  if (type === 'Immediate') return 'immediate';
  return /^FS|^FILEHANDLE/.test(type) ? 'I/O' : 'other';
}
