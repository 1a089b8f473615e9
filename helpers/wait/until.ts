import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks again and again until the answer is true, and says whether it became so within `limitMs` (default 5,000).
 * The limit is for what never comes; nothing is judged by how long it took.
 */
export async function until(ask: () => boolean | Promise<boolean>, limitMs = 5_000): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (!(await ask())) {
    if (performance.now() > end) return false;
    await pause(5);
  }
  return true;
}

/** Says whether `promise` settled, either way, within `limitMs` (default 5,000). */
export async function settles(promise: Promise<unknown>, limitMs = 5_000): Promise<boolean> {
  const stop = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  const late = pause(limitMs, false, { signal: stop.signal }).catch(() => false);
  const answer = await Promise.race([settled, late]);
  stop.abort();
  return answer;
}
