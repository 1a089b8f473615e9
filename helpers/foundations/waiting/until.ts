import { setTimeout as pause } from 'node:timers/promises';

/**
 * What one step of waiting counts at most, in milliseconds. A machine so busy that this process does not get to run must
 * not use up a limit that is there for what never comes: who is judged gets to run as seldom.
 */
const stepMs = 100;

/**
 * Asks again and again until the answer is true, and says whether it became so within `limitMs` (default 5,000) of time in
 * which this process ran. The limit is for what never comes; nothing is judged by how long it took.
 */
export async function until(ask: () => boolean | Promise<boolean>, limitMs = 5_000): Promise<boolean> {
  for (let spentMs = 0, last = performance.now(); !(await ask());) {
    const now = performance.now();
    spentMs += Math.min(now - last, stepMs);
    last = now;
    if (spentMs > limitMs) return false;
    await pause(5);
  }
  return true;
}

/** Says whether `promise` settled, either way, within `limitMs` (default 5,000) of time in which this process ran. */
export async function settles(promise: Promise<unknown>, limitMs = 5_000): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const cancel = after(limitMs, () => resolve(false));
  const settled = promise.then(
    () => true,
    () => true,
  );
  const answer = await Promise.race([settled, late]);
  cancel();
  return answer;
}

/**
 * Calls `run` after `limitMs` of time in which this process ran, unless that is cancelled.
 * @returns the function that cancels it
 */
export function after(limitMs: number, run: () => void): () => void {
  let leftMs = limitMs;
  const step = () => setTimeout(() => ((leftMs -= stepMs) > 0 ? (timer = step()) : run()), Math.min(leftMs, stepMs));
  let timer = step();
  return () => clearTimeout(timer);
}
